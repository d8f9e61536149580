package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// AuditRule is what the kernel writes to the audit log: rules of auditctl(8) in a file of their own,
// /etc/audit/rules.d/<name>.rules, mode 0640. Where the machine has augenrules(8), the rules of all files are then put
// together and loaded. A run that changes nothing starts no program: whether the rules are loaded is judged by
// /etc/audit/audit.rules, which augenrules writes; rules that somebody takes out of the kernel by hand come back when
// auditd starts.
//
//	resources:
//	  - audit_rule: 50-identity
//	    rules:
//	      - -w /etc/passwd -p wa -k identity
//	      - -a always,exit -F arch=b64 -S sethostname -k system-locale
type AuditRule struct {
	// Name of the file without its end. Files are read in the order of their names.
	Name string `vigo:"identity"`

	// Ensure says whether the rules should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Rules as audit.rules(7) writes them, one an item.
	Rules []string `yaml:"rules"`
}

var (
	_ resource.Validator = (*AuditRule)(nil)
	_ resource.Requirer  = (*AuditRule)(nil)

	auditOption = regexp.MustCompile(`^(-[aAdDbefrwWi]|-c|--(backlog_wait_time|loginuid-immutable|reset-lost))$`)
)

const (
	auditDir    = "/etc/audit/rules.d/"
	auditLoaded = "/etc/audit/audit.rules"
)

// Validate implements [resource.Validator].
func (a *AuditRule) Validate() error {
	if !plainWord(a.Name, ".") {
		return fmt.Errorf("%q cannot be the name of a file of rules", a.Name)
	}
	if a.Ensure == "absent" {
		return nil
	}
	if len(a.Rules) == 0 {
		return errors.New(`needs the key "rules"`)
	}
	for _, r := range a.Rules {
		words := strings.Fields(r)
		if err := oneLine("a rule", r); err != nil {
			return err
		}
		if len(words) == 0 || !auditOption.MatchString(words[0]) {
			return fault.WithHint(fmt.Errorf("%q is not a rule of audit", r), "a rule begins with -a or -w")
		}
		if words[0] == "-w" && (len(words) < 2 || !strings.HasPrefix(words[1], "/")) {
			return fmt.Errorf("%q watches no absolute path", r)
		}
	}
	return nil
}

// Requires implements [resource.Requirer].
func (a *AuditRule) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "auditd"}, {Type: "package", Name: "audit"}}
}

// Plan implements [resource.Resource].
func (a *AuditRule) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := ownedAs(auditDir+a.Name+".rules", ownedMark+strings.Join(a.Rules, "\n")+"\n", 0o640)
	merges, err := hasProgram(h, "augenrules")
	if err != nil {
		return resource.Plan{}, err
	}
	load := func(ctx context.Context) error { return loadAudit(ctx, h) }
	if !merges {
		load = func(context.Context) error { return nil }
	}
	if a.Ensure == "absent" {
		return ownedPlan(ctx, h, gone(f.Path), load)
	}
	p, err := f.Plan(ctx, h)
	if err != nil || !merges {
		return p, err
	}
	if p.Empty() {
		loaded, err := a.loaded(h)
		if err == nil && !loaded {
			p.Do(load, change.Of("rules", "not loaded", "loaded"))
			return p, nil
		}
		if err != nil {
			return p, err
		}
	}
	return p.Tell(load), nil
}

// loaded reports whether the rules are among those that augenrules has put together.
func (a *AuditRule) loaded(h *host.Host) (bool, error) {
	data, err := h.FS.Read(auditLoaded, maxEdit)
	if errors.Is(err, host.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the loaded rules: %w", err)
	}
	there := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		there[strings.TrimSpace(line)] = true
	}
	for _, r := range a.Rules {
		// -D, -b, -f and -e come first or last of all files, and of several of them one is left.
		if r = strings.TrimSpace(r); !there[r] && (strings.HasPrefix(r, "-a") || strings.HasPrefix(r, "-w")) {
			return false, nil
		}
	}
	return true, nil
}

// loadAudit puts the rules of all files together and loads them.
func loadAudit(ctx context.Context, h *host.Host) error {
	res, err := h.Run.Run(ctx, host.Command{Argv: []string{"augenrules", "--load"}})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // another root folder: they are loaded at boot
	}
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("augenrules ended with status %d%s", res.Code, lastWords(append(res.Stdout, res.Stderr...)))
	}
	if err != nil {
		return fmt.Errorf("loading the rules of audit: %w", err)
	}
	return nil
}
