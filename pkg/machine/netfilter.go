//go:build linux

package machine

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// netfilter is a connection to the netfilter subsystem of the kernel, netlink(7).
type netfilter struct {
	fd     int
	family byte
	seq    uint32
}

const (
	nftSubsystem  = 10
	netlinkAnswer = 1 << 16 // bytes that one message of the kernel has at most
	attributeKind = 0x3fff  // without the flags
)

func dialNetfilter(family byte) (*netfilter, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	c := &netfilter{fd: fd, family: family}
	wait := unix.Timeval{Sec: 5}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		c.close()
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *netfilter) close() { unix.Close(c.fd) }

// ask sends a question and returns the answers: the attributes of each message. EINTR says that what was listed has
// changed meanwhile.
func (c *netfilter) ask(message uint16, dump bool, attrs ...attribute) ([]attributes, error) {
	c.seq++
	body := []byte{c.family, 0, 0, 0}
	for _, a := range attrs {
		body = a.append(body)
	}
	flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK)
	if dump {
		flags = unix.NLM_F_REQUEST | unix.NLM_F_DUMP
	}
	head := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	head = binary.NativeEndian.AppendUint16(head, nftSubsystem<<8|message)
	head = binary.NativeEndian.AppendUint16(head, flags)
	head = binary.NativeEndian.AppendUint32(head, c.seq)
	head = binary.NativeEndian.AppendUint32(head, 0)
	if err := unix.Sendto(c.fd, append(head, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	return c.answers()
}

func (c *netfilter) answers() ([]attributes, error) {
	var all []attributes
	changed := false
	buf := make([]byte, netlinkAnswer)
	for {
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		if err == unix.EINTR {
			continue // a signal, such as that a child has ended: a wait with a time limit is not taken up again by itself
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			if m.Header.Seq != c.seq {
				continue
			}
			changed = changed || m.Header.Flags&unix.NLM_F_DUMP_INTR != 0
			switch {
			case m.Header.Type == unix.NLMSG_ERROR || m.Header.Type == unix.NLMSG_DONE:
				err := errnoOf(m.Data)
				if err == nil && changed {
					err = unix.EINTR
				}
				return all, err
			case len(m.Data) < 4:
				return nil, fmt.Errorf("a message of %d bytes", len(m.Data))
			}
			all = append(all, parseAttributes(append([]byte(nil), m.Data[4:]...)))
		}
	}
}

// errnoOf reads the result at the end of an answer; none is success.
func errnoOf(data []byte) error {
	if len(data) < 4 {
		return nil
	}
	if n := int32(binary.NativeEndian.Uint32(data)); n != 0 {
		return unix.Errno(-n)
	}
	return nil
}

// attribute is one of a netlink message.
type attribute struct {
	kind uint16
	data []byte
}

func (a attribute) append(to []byte) []byte {
	to = binary.NativeEndian.AppendUint16(to, uint16(4+len(a.data)))
	to = binary.NativeEndian.AppendUint16(to, a.kind)
	to = append(to, a.data...)
	for len(to)%4 != 0 {
		to = append(to, 0)
	}
	return to
}

type attributes []attribute

// get returns the first of a kind; nothing if there is none.
func (as attributes) get(kind uint16) []byte {
	for _, a := range as {
		if a.kind == kind {
			return a.data
		}
	}
	return nil
}

// parseAttributes reads attributes one after the other; what is cut off at the end is passed over.
func parseAttributes(data []byte) attributes {
	var all attributes
	for len(data) >= 4 {
		size := int(binary.NativeEndian.Uint16(data))
		if size < 4 || size > len(data) {
			break
		}
		all = append(all, attribute{kind: binary.NativeEndian.Uint16(data[2:]) & attributeKind, data: data[4:size]})
		data = data[min((size+3)&^3, len(data)):]
	}
	return all
}
