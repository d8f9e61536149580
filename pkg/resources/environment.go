package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Environment is a variable that everybody who logs in has: in /etc/environment, which PAM reads for every kind of login,
// or in a script of its own, /etc/profile.d/vigo-<name>.sh, which shells read at login. Other lines of /etc/environment are
// left as they are. Services of systemd do not have it: see systemd_dropin.
//
//	resources:
//	  - environment: HTTPS_PROXY
//	    value: http://proxy.example.com:3128
type Environment struct {
	// Name of the variable.
	Name string `vigo:"identity"`

	// Ensure says whether the variable should be set.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Value of the variable; nothing is expanded.
	Value *string `yaml:"value"`

	// Where it is kept: environment (the default) or profile.
	Where string `yaml:"where" vigo:"enum=environment|profile"`
}

var _ resource.Validator = (*Environment)(nil)

// Validate implements [resource.Validator].
func (e *Environment) Validate() error {
	switch {
	case !cronVar.MatchString(e.Name):
		return fmt.Errorf("%q is not the name of a variable", e.Name)
	case e.Ensure == "absent" && e.Value != nil:
		return errors.New("a variable that is to be absent has no value")
	case e.Ensure != "absent" && e.Value == nil:
		return errors.New(`needs the key "value"`)
	case e.Value == nil:
		return nil
	case e.Where != "profile" && strings.ContainsAny(*e.Value, `"#\`):
		// pam_env(8) has no way to write these.
		return fmt.Errorf("value: /etc/environment cannot hold quotes, # or backslashes; where: profile can")
	}
	return oneLine("value", *e.Value)
}

// Plan implements [resource.Resource].
func (e *Environment) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	if e.Where == "profile" {
		name := "/etc/profile.d/vigo-" + e.Name + ".sh"
		if e.Ensure == "absent" {
			return gone(name).Plan(ctx, h)
		}
		value := strings.ReplaceAll(*e.Value, "'", `'\''`)
		return ownedFile(name, ownedMark+"export "+e.Name+"='"+value+"'\n").Plan(ctx, h)
	}
	return textEdit{Path: "/etc/environment", Create: true, Edit: e.edit}.plan(h)
}

// edit leaves one line for the variable, in the place of the first.
func (e *Environment) edit(lines []string) ([]string, error) {
	out, done := make([]string, 0, len(lines)+1), e.Ensure == "absent"
	want := ""
	if !done {
		want = e.Name + `="` + *e.Value + `"`
	}
	for _, l := range lines {
		name, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(l), "export "), "=")
		if !ok || strings.TrimSpace(name) != e.Name {
			out = append(out, l)
		} else if !done {
			out, done = append(out, want), true
		}
	}
	if !done {
		out = append(out, want)
	}
	return slices.Clip(out), nil
}
