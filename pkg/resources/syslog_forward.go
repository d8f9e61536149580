package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// SyslogForward sends what rsyslog gets to another machine: the file /etc/rsyslog.d/60-vigo-<name>.conf. A new one is
// checked by rsyslogd before it takes the place of the old one, and rsyslog is restarted when it has changed. What cannot be
// sent is kept on disk, up to queue_size, and sent later.
//
//	resources:
//	  - syslog_forward: central
//	    target: logs.example.com
//	    protocol: tcp
type SyslogForward struct {
	// Name of the file, free to choose.
	Name string `vigo:"identity"`

	// Ensure says whether messages should be sent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Target is the name or address of the machine.
	Target string `yaml:"target"`

	// Port of the target; 514 by default, or 6514 with tls.
	Port int `yaml:"port"`

	// Protocol is tcp (the default), udp or tls, which needs the package rsyslog-gnutls and ca.
	Protocol string `yaml:"protocol" vigo:"enum=tcp|udp|tls"`

	// CA is the file of the authority that has signed the certificate of the target, for tls.
	CA string `yaml:"ca"`

	// Selector chooses the messages, as rsyslog.conf(5) describes it; "*.*" by default.
	Selector string `yaml:"selector"`

	// QueueSize is how much is kept on disk, such as 100m; 100m by default.
	QueueSize string `yaml:"queue_size"`
}

var (
	_ resource.Validator = (*SyslogForward)(nil)
	_ resource.Requirer  = (*SyslogForward)(nil)

	syslogTarget   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:-]*$`)
	syslogSelector = regexp.MustCompile(`^[a-z0-9*.,;!=]+$`)
	syslogSize     = regexp.MustCompile(`^[1-9][0-9]*[kmg]$`)
)

// Validate implements [resource.Validator].
func (s *SyslogForward) Validate() error {
	if err := checkWord("the name of the file", s.Name); err != nil || s.Ensure == "absent" {
		return err
	}
	switch {
	case !syslogTarget.MatchString(s.Target):
		return fmt.Errorf("target: %q is neither a name nor an address", s.Target)
	case s.Port < 0 || s.Port > 65535:
		return fmt.Errorf("port: %d is not a port", s.Port)
	case s.Selector != "" && !syslogSelector.MatchString(s.Selector):
		return fmt.Errorf("selector: %q is not a selector, such as *.* or auth,authpriv.*", s.Selector)
	case s.QueueSize != "" && !syslogSize.MatchString(s.QueueSize):
		return fmt.Errorf("queue_size: %q is not a size, such as 100m", s.QueueSize)
	case (s.Protocol == "tls") != (s.CA != ""):
		return errors.New("tls and ca belong together")
	case s.CA != "":
		if err := checkPath(s.CA); err != nil || strings.Contains(s.CA, `"`) {
			return fmt.Errorf("ca: %q is not a path", s.CA)
		}
	}
	return nil
}

// Requires implements [resource.Requirer].
func (s *SyslogForward) Requires() []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "rsyslog"}, {Type: "package", Name: "rsyslog-gnutls"}}
	if s.CA != "" {
		ids = append(ids, resource.ID{Type: "file", Name: s.CA})
	}
	return ids
}

// Plan implements [resource.Resource].
func (s *SyslogForward) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := gone("/etc/rsyslog.d/60-vigo-" + s.Name + ".conf")
	if s.Ensure != "absent" {
		f = ownedFile(f.Path, s.body())
		if err := f.checkedBy(h, "rsyslogd", "-N1", "-f", "{}"); err != nil {
			return resource.Plan{}, err
		}
	}
	return ownedPlan(ctx, h, f, func(ctx context.Context) error { return restartIfRunning(ctx, h, "rsyslog") })
}

func (s *SyslogForward) body() string {
	protocol, port := "tcp", 514
	switch s.Protocol {
	case "udp":
		protocol = "udp"
	case "tls":
		port = 6514
	}
	if s.Port != 0 {
		port = s.Port
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s action(type=\"omfwd\" target=\"%s\" port=\"%d\" protocol=\"%s\"\n", ownedMark, orWord(s.Selector, "*.*"), s.Target, port, protocol)
	if s.Protocol == "tls" {
		fmt.Fprintf(&b, "    StreamDriver=\"gtls\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/name\"\n")
		fmt.Fprintf(&b, "    StreamDriverPermittedPeers=\"%s\" StreamDriver.CAFile=\"%s\"\n", s.Target, s.CA)
	}
	fmt.Fprintf(&b, "    queue.type=\"LinkedList\" queue.filename=\"vigo-%s\" queue.maxDiskSpace=\"%s\" queue.saveOnShutdown=\"on\"\n",
		s.Name, orWord(s.QueueSize, "100m"))
	b.WriteString("    action.resumeRetryCount=\"-1\")\n")
	return b.String()
}
