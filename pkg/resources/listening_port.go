package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/sockets"
	"vigo.dev/pkg/resource"
)

// ListeningPort is a port that nothing may listen at, or that only the named programs may. It repairs nothing: a port that
// is not as declared is an error of the resource, which names the program and the address. What ends it or starts it is
// declared as a service or process; put that into requires of this resource.
//
// The sockets are read from /proc/net, so they are those of the network that the agent itself is in.
//
//	resources:
//	  - listening_port: tcp/23
//	    ensure: absent
//	  - listening_port: tcp/22
//	    ensure: listening
//	    programs: [/usr/sbin/sshd]
//	  - listening_port: tcp/6379
//	    ensure: absent
//	    public: true        # at 127.0.0.1 it may
type ListeningPort struct {
	// Port with its protocol, tcp or udp, such as tcp/22.
	Port string `vigo:"identity"`

	// Ensure says whether something must listen (listening) or nothing may (absent).
	Ensure string `yaml:"ensure" vigo:"required,enum=absent|listening"`

	// Programs are the paths of the executables that may listen; every process that holds the socket must run one of them.
	// A socket that systemd opened for a service is held by /usr/lib/systemd/systemd too.
	Programs []string `yaml:"programs"`

	// Public, when true, looks only at addresses that other machines may reach: all but those of the machine to itself.
	Public bool `yaml:"public"`
}

var (
	_ resource.Validator = (*ListeningPort)(nil)

	portForm = regexp.MustCompile(`^(tcp|udp)/[1-9][0-9]{0,4}$`)
)

// Validate implements [resource.Validator].
func (l *ListeningPort) Validate() error {
	_, port, _ := strings.Cut(l.Port, "/")
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || !portForm.MatchString(l.Port) {
		return fault.WithHint(fmt.Errorf("%q is not a protocol and port", l.Port), "such as tcp/22 or udp/53")
	}
	if l.Ensure == "absent" && len(l.Programs) > 0 {
		return fault.WithHint(errors.New("programs are for a port that is listened at"), "use ensure: listening")
	}
	for _, p := range l.Programs {
		if !path.IsAbs(p) || path.Clean(p) != p {
			return fmt.Errorf("programs: %q is not an absolute, clean path", p)
		}
	}
	return nil
}

// Plan implements [resource.Resource]. There is nothing that it could do: it looks.
func (l *ListeningPort) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var none resource.Plan
	all, err := sockets.Listening(h)
	if err != nil {
		return none, fmt.Errorf("looking which ports are listened at: %w", err)
	}
	var addresses []string
	inodes := map[string]bool{}
	for _, s := range all {
		if s.Key() != l.Port || l.Public && !s.Public() {
			continue
		}
		inodes[s.Inode] = true
		if a := s.Addr.Addr().String(); !slices.Contains(addresses, a) {
			addresses = append(addresses, a)
		}
	}
	switch {
	case len(inodes) == 0 && l.Ensure == "absent":
		return none, nil
	case len(inodes) == 0:
		return none, fault.WithHint(fmt.Errorf("nothing listens at %s", l.Port), "declare the service that does, and require it here")
	case l.Ensure == "listening" && len(l.Programs) == 0:
		return none, nil
	}
	return none, l.judge(ctx, h, inodes, strings.Join(addresses, ", "))
}

// judge says what is wrong with who holds the sockets.
func (l *ListeningPort) judge(ctx context.Context, h *host.Host, inodes map[string]bool, addresses string) error {
	var wrong []string
	unseen := map[string]bool{}
	for inode := range inodes {
		unseen[inode] = true
	}
	err := sockets.Holders(ctx, h, inodes, func(pid int, held []string) bool {
		for _, inode := range held {
			delete(unseen, inode)
		}
		if exe := programOf(h, pid); !slices.Contains(l.Programs, exe) {
			wrong = append(wrong, fmt.Sprintf("%s (process %d)", orWord(exe, "an unknown program"), pid))
		}
		return len(wrong) < 5
	})
	switch {
	case err != nil:
		return fmt.Errorf("looking who listens at %s: %w", l.Port, err)
	case len(wrong) > 0:
		err = fmt.Errorf("%s is listened at by %s, at %s", l.Port, strings.Join(wrong, ", "), addresses)
	case l.Ensure == "absent":
		err = fmt.Errorf("%s is listened at by a process that cannot be seen, at %s", l.Port, addresses)
	case len(unseen) > 0:
		return fmt.Errorf("looking who listens at %s: no process that can be seen holds the socket at %s", l.Port, addresses)
	default:
		return nil
	}
	return fault.WithHint(err, "declare the service as stopped or the process as absent, and require it here")
}

// programOf returns the executable of a process; empty if it ended or may not be looked at. A program whose file was
// replaced since keeps its path.
func programOf(h *host.Host, pid int) string {
	info, err := h.FS.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(info.Target, " (deleted)")
}
