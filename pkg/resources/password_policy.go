package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// PasswordPolicy is what passwords must be like and how long they last: keys of /etc/login.defs (for accounts made from
// now on; for those that are there see the aging of user), of /etc/security/pwquality.conf (how good a new password must
// be), of /etc/security/faillock.conf (when guessing locks an account out) and of /etc/security/pwhistory.conf (which old
// ones may not be used again). Only the keys that are given are managed, each where it stands; a key that is missing is
// added at the end. The modules pam_pwquality, pam_faillock and pam_pwhistory must be in the PAM stack: see pam_rule.
//
//	resources:
//	  - password_policy: cis
//	    login_defs: {PASS_MAX_DAYS: 365, PASS_MIN_DAYS: 1, PASS_WARN_AGE: 7, ENCRYPT_METHOD: YESCRYPT}
//	    pwquality: {minlen: 14, minclass: 4, enforce_for_root: true}
//	    faillock: {deny: 5, unlock_time: 900}
type PasswordPolicy struct {
	// Name of the policy, free to choose.
	Name string `vigo:"identity"`

	// Ensure says whether the keys should be as given (present), or no longer be set (absent).
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// LoginDefs are keys of login.defs(5), in capital letters.
	LoginDefs map[string]any `yaml:"login_defs"`

	// PWQuality are keys of pwquality.conf(5). True sets a key that has no value, false takes it away.
	PWQuality map[string]any `yaml:"pwquality"`

	// Faillock are keys of faillock.conf(5), such as deny, unlock_time, fail_interval and even_deny_root.
	Faillock map[string]any `yaml:"faillock"`

	// PWHistory are keys of pwhistory.conf(5), such as remember.
	PWHistory map[string]any `yaml:"pwhistory"`
}

var (
	_ resource.Validator = (*PasswordPolicy)(nil)
	_ resource.Requirer  = (*PasswordPolicy)(nil)
)

// settingsFile is a file of keys and values, one a line.
type settingsFile struct {
	path   string
	known  []string // keys; none: all in capital letters
	equals bool     // key = value, not key value
	create bool
	values map[string]any
	field  string
}

func (p *PasswordPolicy) files() []settingsFile {
	words := strings.Fields
	return []settingsFile{
		{path: "/etc/login.defs", values: p.LoginDefs, field: "login_defs"},
		{path: "/etc/security/pwquality.conf", values: p.PWQuality, field: "pwquality", equals: true, create: true, known: words(
			`badwords dcredit dictcheck dictpath difok enforce_for_root enforcing gecoscheck lcredit local_users_only maxclassrepeat
			maxrepeat maxsequence minclass minlen ocredit palindrome retry ucredit usercheck usersubstr`)},
		{path: "/etc/security/faillock.conf", values: p.Faillock, field: "faillock", equals: true, create: true, known: words(
			`admin_group audit deny dir even_deny_root fail_interval local_users_only no_log_info nodelay root_unlock_time silent
			unlock_time`)},
		{path: "/etc/security/pwhistory.conf", values: p.PWHistory, field: "pwhistory", equals: true, create: true, known: words(
			`debug enforce_for_root file remember retry`)},
	}
}

var loginDefsKey = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// Validate implements [resource.Validator].
func (p *PasswordPolicy) Validate() error {
	given := 0
	for _, f := range p.files() {
		for _, key := range slices.Sorted(maps.Keys(f.values)) {
			given++
			if f.known == nil && !loginDefsKey.MatchString(key) {
				return fmt.Errorf("%s: %q is not a key of %s", f.field, key, f.path)
			}
			if f.known != nil && !slices.Contains(f.known, key) {
				return fault.WithHint(fmt.Errorf("%s: %q is not a key of %s", f.field, key, f.path), fault.DidYouMean(key, f.known))
			}
			if err := checkSetting(f, f.values[key]); err != nil {
				return fmt.Errorf("%s: %s: %w", f.field, key, err)
			}
		}
	}
	if given == 0 {
		return errors.New("sets nothing: give login_defs, pwquality, faillock or pwhistory")
	}
	return nil
}

func checkSetting(f settingsFile, v any) error {
	switch v := v.(type) {
	case string:
		if strings.TrimSpace(v) == "" || strings.ContainsAny(v, "\n\r#\x00") {
			return errors.New("want one line that is not empty")
		}
	case int, int64, float64:
	case bool:
		if f.known == nil {
			return fault.WithHint(errors.New("login.defs has no true and false"), `write "yes" or "no"`)
		}
	default:
		return fmt.Errorf("want a string, a number, true or false, got %s", resource.Describe(v))
	}
	return nil
}

// Requires implements [resource.Requirer].
func (p *PasswordPolicy) Requires() []resource.ID {
	var ids []resource.ID
	for _, name := range []string{"login", "shadow-utils", "libpam-pwquality", "libpwquality", "libpam-modules", "pam"} {
		ids = append(ids, resource.ID{Type: "package", Name: name})
	}
	return ids
}

// Plan implements [resource.Resource].
func (p *PasswordPolicy) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	for _, f := range p.files() {
		if len(f.values) == 0 {
			continue
		}
		if err := f.mustBe(h); err != nil {
			return plan, err
		}
		if f.create && p.Ensure != "absent" {
			if err := planParent(h, &plan, f.path); err != nil {
				return plan, err
			}
		}
		edited, err := textEdit{Path: f.path, Create: f.create, Edit: func(lines []string) ([]string, error) {
			for _, key := range slices.Sorted(maps.Keys(f.values)) {
				lines = f.set(lines, key, p.Ensure == "absent")
			}
			return lines, nil
		}}.plan(h)
		if err != nil {
			return plan, err
		}
		plan.Include(f.field, edited)
	}
	return plan, nil
}

// mustBe refuses a file that is missing and not made here.
func (f settingsFile) mustBe(h *host.Host) error {
	is, err := look(h, f.path)
	if err != nil || is != nil || f.create {
		return err
	}
	return fault.WithHint(fmt.Errorf("reading %s: %w", f.path, host.ErrNotFound), "it comes with the package login, or shadow-utils")
}

// set sets a key where it stands first and takes further lines with it away; or all of them.
func (f settingsFile) set(lines []string, key string, absent bool) []string {
	line, want := f.line(key)
	done := absent || !want
	var edited []string
	for _, l := range lines {
		switch {
		case f.keyOf(l) != key:
			edited = append(edited, l)
		case !done:
			done = true
			if f.valueOf(l) == f.valueOf(line) {
				line = l // only spaces differ
			}
			edited = append(edited, line)
		}
	}
	if !done {
		edited = append(edited, line)
	}
	return edited
}

// line renders a key, and says whether it is wanted at all.
func (f settingsFile) line(key string) (string, bool) {
	switch v := f.values[key].(type) {
	case bool:
		return key, v
	default:
		if f.equals {
			return key + " = " + limitText(v), true
		}
		return key + "\t" + limitText(v), true
	}
}

func (f settingsFile) parts(line string) (key, value string) {
	line = strings.TrimSpace(line)
	if f.equals {
		line, _, _ = strings.Cut(line, "#")
		key, value, _ = strings.Cut(line, "=")
		return strings.TrimSpace(key), strings.TrimSpace(value)
	}
	key = line
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		key, value = line[:i], strings.TrimSpace(line[i:])
	}
	return key, value
}

func (f settingsFile) keyOf(line string) string   { key, _ := f.parts(line); return key }
func (f settingsFile) valueOf(line string) string { _, value := f.parts(line); return value }
