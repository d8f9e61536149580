package hosttest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// device is what a block device holds: bytes at some places, and zeros at all others.
type device struct {
	size  int64
	parts map[int64]string
}

// devices implements host.Devices.
type devices struct{ m *Machine }

var _ host.Devices = devices{}

// Device implements host.Devices.
func (d devices) Device(name string) (host.Device, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	_, n, err := d.m.look("device", name, true)
	switch {
	case err != nil:
		return host.Device{}, err
	case n.kind == host.File:
		return host.Device{Content: content{strings.NewReader(n.content)}, Size: int64(len(n.content))}, nil
	case n.device == nil:
		return host.Device{}, fmt.Errorf("%s: is a %s, not a block device", name, n.kind)
	}
	return host.Device{Content: content{n.device}, Size: n.device.size}, nil
}

// content closes what need not be closed.
type content struct{ io.ReaderAt }

func (content) Close() error { return nil }

// ReadAt implements io.ReaderAt.
func (d *device) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 || offset > d.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), d.size-offset))
	clear(b[:n])
	for at, part := range d.parts {
		switch {
		case at >= offset && at < offset+int64(n):
			copy(b[at-offset:n], part)
		case at < offset && at+int64(len(part)) > offset:
			copy(b[:n], part[offset-at:])
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// fill sets what a device holds: words OFFSET:HEX, or size:SIZE.
func (d *device) fill(words []string) error {
	d.parts = map[int64]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, ":")
		if key == "size" {
			size, err := sizeOf(value)
			if err != nil {
				return err
			}
			d.size = size
			continue
		}
		at, err := strconv.ParseUint(key, 0, 63)
		part, hexErr := hex.DecodeString(value)
		if err := errors.Join(err, hexErr); err != nil {
			return fmt.Errorf("%q is not OFFSET:HEX: %w", w, err)
		}
		d.parts[int64(at)] = string(part)
	}
	return nil
}

// sizeOf reads bytes, with K, M, G or T behind them.
func sizeOf(text string) (int64, error) {
	number := strings.TrimRight(text, "KMGT")
	n, err := strconv.ParseUint(number, 10, 63)
	if unit := strings.TrimPrefix(text, number); unit != "" && err == nil {
		power := 10 * (strings.Index("KMGT", unit) + 1)
		if power == 0 || n > math.MaxInt64>>power {
			return 0, fmt.Errorf("%q is not a size", text)
		}
		n <<= power
	}
	return int64(n), err
}

func (d *device) print(b *strings.Builder, name string) {
	size, unit := d.size, ""
	for i := 0; i < 4 && size != 0 && size%1024 == 0; i++ {
		size, unit = size/1024, "KMGT"[i:i+1]
	}
	fmt.Fprintf(b, "device %s size=%d%s", bare(name), size, unit)
	sep := " holds="
	for _, at := range slices.Sorted(maps.Keys(d.parts)) {
		fmt.Fprintf(b, "%s0x%x:%x", sep, at, d.parts[at])
		sep = ","
	}
	b.WriteByte('\n')
}

// device reads `device PATH size=64M holds=0x438:53ef`.
func (p *parser) device(l *line) error {
	d := &device{}
	words := append(l.list("holds"), "size:"+l.attr("size", "0"))
	if err := l.want(1, 1, "device PATH with size=, holds="); err != nil {
		return err
	}
	name := l.args[0]
	if err := errors.Join(clean(name), d.fill(words)); err != nil {
		return err
	}
	p.m.imply(path.Clean(name))
	p.m.nodes[name] = &node{kind: host.Other, mode: 0o660, device: d}
	return nil
}

// leave does what a program did to a device: DEVICE,OFFSET:HEX,… is all that it holds then.
func (m *Machine) leave(spec string) {
	words := strings.Split(spec, ",")
	at, err := m.resolve(words[0], true)
	if err != nil {
		return
	}
	d := &device{}
	if n := m.nodes[at]; n != nil && n.device != nil {
		d.size = n.device.size
	}
	if d.fill(words[1:]) == nil { // the parser has read them already
		m.imply(at)
		m.nodes[at] = &node{kind: host.Other, mode: 0o660, device: d}
	}
}
