package resources

import (
	"context"
	"errors"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Motd is what a machine tells those who log in: the message of the day after the login, or a banner before it.
//
//	resources:
//	  - motd: issue.net
//	    content: "Authorized use only. All activity is recorded.\n"
type Motd struct {
	// Which of them: motd (/etc/motd, after the login), issue (/etc/issue, before a login at the machine), issue.net
	// (/etc/issue.net, before one over the network, when sshd has Banner /etc/issue.net).
	Which string `vigo:"identity"`

	// Ensure says whether there should be a message. Absent leaves an empty file, since packages put their own in place
	// of a missing one.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Content is the message.
	Content *string `yaml:"content"`

	// Template is a file below templates/ of the module, whose rendering for the node is the message.
	Template string `yaml:"template"`

	file *File
}

var (
	_ resource.Validator = (*Motd)(nil)
	_ resource.Binder    = (*Motd)(nil)
)

// Validate implements [resource.Validator].
func (m *Motd) Validate() error {
	given := m.Content != nil || m.Template != ""
	switch {
	case m.Which != "motd" && m.Which != "issue" && m.Which != "issue.net":
		return errors.New("want motd, issue or issue.net")
	case m.Ensure == "absent" && given:
		return errors.New("a message that is to be absent has no content")
	case m.Ensure != "absent" && !given:
		return errors.New(`needs the key "content" or "template"`)
	}
	return m.message().Validate()
}

func (m *Motd) message() *File {
	if m.file == nil {
		m.file = ownedFile("/etc/"+m.Which, "")
		if m.Ensure != "absent" {
			m.file.Content, m.file.Template = m.Content, m.Template
		}
	}
	return m.file
}

// Bind implements [resource.Binder].
func (m *Motd) Bind(c resource.Content) error { return m.message().Bind(c) }

// Plan implements [resource.Resource].
func (m *Motd) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	return m.message().Plan(ctx, h)
}
