package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Logrotate is how log files are rotated: the file /etc/logrotate.d/<name>. A new one is checked by logrotate before it
// takes the place of the old one, where that program is there.
//
//	resources:
//	  - logrotate: myapp
//	    paths: [/var/log/myapp/*.log]
//	    frequency: weekly
//	    keep: 8
//	    options: [compress, delaycompress, missingok, notifempty]
//	    postrotate: systemctl kill -s HUP myapp.service
type Logrotate struct {
	// Name of the file. A package may have one of the same name, which is replaced.
	Name string `vigo:"identity"`

	// Ensure says whether the file should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Paths of the log files; they may hold *, ? and […].
	Paths []string `yaml:"paths"`

	// Frequency of rotating; that of /etc/logrotate.conf if it is not given.
	Frequency string `yaml:"frequency" vigo:"enum=hourly|daily|weekly|monthly|yearly"`

	// Keep is how many old files are kept.
	Keep *int `yaml:"keep"`

	// Size rotates a file only when it is larger, such as 100M.
	Size string `yaml:"size"`

	// Options are further lines, as logrotate(8) describes them: compress, missingok, create 0640 root adm, su app app.
	Options []string `yaml:"options"`

	// Prerotate is a shell script that runs before files are rotated.
	Prerotate string `yaml:"prerotate"`

	// Postrotate is a shell script that runs once after all files were rotated.
	Postrotate string `yaml:"postrotate"`
}

var (
	_ resource.Validator = (*Logrotate)(nil)
	_ resource.Requirer  = (*Logrotate)(nil)
)

// Validate implements [resource.Validator].
func (l *Logrotate) Validate() error {
	if err := checkWord("the name of the file", l.Name); err != nil {
		return err
	}
	if l.Ensure == "absent" {
		return nil
	}
	if len(l.Paths) == 0 {
		return errors.New(`needs the key "paths"`)
	}
	for _, p := range l.Paths {
		if !path.IsAbs(p) || strings.ContainsAny(p, "\n\"{}") {
			return fmt.Errorf("paths: %q is not an absolute path", p)
		}
	}
	if l.Keep != nil && *l.Keep < -1 {
		return errors.New("keep: want a number, or -1 to keep all")
	}
	for _, o := range l.Options {
		if err := oneLine("options", o); err != nil || strings.ContainsAny(o, "{}") {
			return fmt.Errorf("options: %q is not one option", o)
		}
	}
	for field, script := range map[string]string{"prerotate": l.Prerotate, "postrotate": l.Postrotate} {
		for line := range strings.Lines(script) {
			if strings.TrimSpace(line) == "endscript" {
				return fmt.Errorf("%s: the script holds the line endscript", field)
			}
		}
	}
	return oneLine("size", l.Size)
}

// Requires implements [resource.Requirer].
func (l *Logrotate) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "logrotate"}}
}

// Plan implements [resource.Resource].
func (l *Logrotate) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	name := "/etc/logrotate.d/" + l.Name
	if l.Ensure == "absent" {
		return gone(name).Plan(ctx, h)
	}
	f := ownedFile(name, l.body())
	is, err := hasProgram(h, "logrotate")
	if err != nil {
		return resource.Plan{}, err
	}
	if is {
		f.check = func(ctx context.Context, candidate string) error {
			res, err := h.Run.Run(ctx, host.Command{Argv: []string{"logrotate", "--debug", candidate}})
			if err != nil {
				return fmt.Errorf("validating: %w", err)
			}
			if said := string(append(res.Stdout, res.Stderr...)); res.Code != 0 || strings.Contains(said, "error: "+candidate) {
				return fmt.Errorf("validating: logrotate refused the file with status %d%s", res.Code,
					strings.ReplaceAll(lastWords([]byte(said)), candidate, name))
			}
			return nil
		}
	}
	return f.Plan(ctx, h)
}

func (l *Logrotate) body() string {
	var b strings.Builder
	b.WriteString(ownedMark)
	for _, p := range l.Paths {
		b.WriteString(`"` + p + "\"\n")
	}
	b.WriteString("{\n")
	put := func(words ...string) { b.WriteString("    " + strings.Join(words, " ") + "\n") }
	if l.Frequency != "" {
		put(l.Frequency)
	}
	if l.Keep != nil {
		put("rotate", fmt.Sprint(*l.Keep))
	}
	if l.Size != "" {
		put("size", l.Size)
	}
	for _, o := range l.Options {
		put(o)
	}
	script := func(word, text string) {
		if strings.TrimSpace(text) == "" {
			return
		}
		put(word)
		for line := range strings.Lines(text) {
			b.WriteString("        " + strings.TrimRight(line, "\n") + "\n")
		}
		put("endscript")
	}
	if l.Postrotate != "" || l.Prerotate != "" {
		put("sharedscripts")
	}
	script("prerotate", l.Prerotate)
	script("postrotate", l.Postrotate)
	b.WriteString("}\n")
	return b.String()
}
