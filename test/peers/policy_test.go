package peers

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"vigo.dev/test/programs"
)

// Ansible's lineinfile adds its line again and again when the pattern does not match what it wrote (ansible#29776, #34690,
// #4531, #58923, #16596). FuzzLineTwice in pkg/resources tries the same at random.
func TestBug05ALineIsEditedInEveryRun(t *testing.T) {
	t.Parallel()
	const before = "# comment\nPort 22\n  Port 2200\nListen *.80\npath=C:\\new\\t\n\nlast without an end"
	for name, attributes := range map[string]string{
		"the pattern does not match the line":  "    text: Port 2222\n    match: ^Listen\n",
		"the pattern matches several":          "    text: Port 2222\n    match: 'Port'\n",
		"the pattern is of special characters": "    text: 'Listen [::]:80 (a|b)* $1 \\1'\n    match: '^Listen \\*\\.80$'\n",
		"backslashes":                          "    text: 'path=C:\\new\\dir'\n    match: ^path=\n",
		"behind a line that is there":          "    text: Port 2222\n    insert_after: ^Port\n",
		"behind a line that is not there":      "    text: Port 2222\n    insert_after: ^nothing\n",
		"before the first":                     "    text: Port 2222\n    insert_before: .\n",
		"at the end of a file without an end":  "    text: one more\n",
		"a line that is there as a part":       "    text: Port\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := programs.NewSite(t, "  - line: it\n    path: $D/file\n"+attributes)
			s.Put("file", before)
			if run := s.Apply(); run.Counts.Changed != 1 {
				t.Fatalf("the first run: %+v", run)
			}
			once := s.Read("file")
			if run := s.Apply(); !run.Quiet() || s.Read("file") != once {
				t.Errorf("the second run: %+v\n%s", run, s.Read("file"))
			}
		})
	}
}

// An unquoted 0644 is the number 420 to YAML, and 644 is 01204 (ansible#13159, #9196, ansible-lint#2758, #2965).
func TestBug06AModeIsANumber(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"0644", "644", "0o644", "420"} {
		s := programs.NewSite(t, "  - file: $D/file\n    content: x\n    mode: "+mode+"\n")
		said, code := programs.Refused(t, s.Command())
		if code != 1 || !regexp.MustCompile(`^modules/site/module.yaml:5:\d+: .*quotes`).MatchString(said) {
			t.Errorf("%s: exit status %d, %s", mode, code, said)
		}
	}
}

// Salt tells a mistake in a state file without the place (salt#21298, #39908, #44501, #59243).
func TestBug11AMistakeHasNoPosition(t *testing.T) {
	t.Parallel()
	s := programs.NewSite(t, `  - fiel: $D/a
    content: x
  - file: $D/b
    contnt: x
  - file: $D/c
    template: nowhere.tmpl
  - file: $D/d
    content: "{{ .param.nothing }}"
  - file: $D/e
    content: "{{ .os.famly }}"
  - file: $D/f
    content: "{{ if }}"
  - file: $D/g
    content: x
    requires: file:$D/nowhere
  - file: $D/h
    content: x
    when: os.famly == "debian"
`)
	s.Write("roles/second.yaml", "kind: Role\nwhen: role ==\nmodules: [sight]\n")
	s.Write("modules/broken/module.yaml", "kind: Module\nresources:\n  - file: x\n   content: y\n")
	said, code := programs.Refused(t, programs.Command(t, nil, "vigo", "lint", s.Policy))
	if code != 1 {
		t.Errorf("exit status %d", code)
	}
	place := regexp.MustCompile(`^(modules|roles)/[a-z/]+\.yaml:\d+(:\d+)?: `) // the YAML parser knows no column
	mistakes := 0
	for line := range strings.Lines(said) {
		switch {
		case place.MatchString(line):
			mistakes++
		case !strings.HasPrefix(line, "vigo: ") && !strings.HasPrefix(line, "  "):
			t.Errorf("no place: %s", line)
		}
	}
	if mistakes < 9 {
		t.Errorf("only %d mistakes are told:\n%s", mistakes, said)
	}
}

// Puppet does not let two modules want the same package (puppet-misp#43, puppet-php#133, puppetlabs-apache#638, and many).
func TestBug12TwoModulesWantTheSame(t *testing.T) {
	t.Parallel()
	s := programs.NewSite(t, "  - directory: $D/shared\n    mode: \"0750\"\n")
	s.Write("roles/second.yaml", "kind: Role\nmodules: [other]\n")
	s.Write("modules/other/module.yaml", "kind: Module\nresources:\n  - directory: $D/shared\n    mode: \"0750\"\n  - file: $D/shared/file\n    content: x\n")
	if run := s.Apply(); run.Counts.Failed != 0 || run.Counts.Changed != 2 {
		t.Errorf("the same twice: %+v", run)
	}
	s.Write("modules/other/module.yaml", "kind: Module\nresources:\n  - directory: $D/shared\n    mode: \"0755\"\n")
	said, _ := programs.Refused(t, s.Command())
	for _, place := range []string{"modules/site/module.yaml:3", "modules/other/module.yaml:3"} {
		if !strings.Contains(said, place) {
			t.Errorf("the two differ, and %s is not named:\n%s", place, said)
		}
	}
}

// A command without a guard is a change in every run, and nobody looks at the dashboard any more (wazuh-puppet#1262).
func TestBug13ACommandRunsInEveryRun(t *testing.T) {
	t.Parallel()
	s := programs.NewSite(t, "  - exec: tinsel\n    command: [\"true\"]\n")
	said, code := programs.Refused(t, programs.Command(t, nil, "vigo", "lint", s.Policy))
	if code != 1 || !strings.Contains(said, "modules/site/module.yaml:3:") || !strings.Contains(said, "creates, removes, unless, only_if or refresh_only, or always: true") {
		t.Errorf("exit status %d, %s", code, said)
	}
}

// Puppet's noop runs were shown as if something had been done (puppetboard#306, puppetdb#1960).
func TestBug14ADryRunLooksLikeARun(t *testing.T) {
	t.Parallel()
	s := programs.NewSite(t, "  - file: $D/file\n    content: x\n")
	if run := s.Apply("--dry-run"); !run.DryRun || run.Counts.Drift != 1 || run.Counts.Changed != 0 || run.Compliance() != "drift" {
		t.Errorf("the dry run: %+v", run)
	}
	s.Declare("  - file: $D/file\n    content: x\n    audit: true\n")
	if run := s.Apply(); run.DryRun || run.Counts.Drift != 1 || run.Counts.Changed != 0 || run.Compliance() != "drift" {
		t.Errorf("a resource that is only looked at: %+v", run)
	}
	s.Declare("  - file: $D/file\n    content: x\n")
	if run := s.Apply(); run.DryRun || run.Counts.Changed != 1 {
		t.Errorf("what was only looked at before is not drift that is repaired, it is a change: %+v", run)
	}
}

// mgmt holds one inotify instance for each file: with the limits that a system has, 200 files end it.
func TestBug18ManyFilesNeedManyDescriptors(t *testing.T) {
	t.Parallel()
	const files, modules = 10_000, 10 // a document has an end, and the folder of the test may have a long name
	s := programs.NewSite(t, "  - file: $D/only\n    content: x\n")
	var named []string
	for m := range modules {
		declared := strings.Builder{}
		declared.WriteString("kind: Module\nresources:\n")
		for i := range files / modules {
			name := fmt.Sprintf("%d-%02d/%d", m, i%10, i)
			s.Put(name, "content\n")
			fmt.Fprintf(&declared, "  - file: $D/%s\n    content: \"content\\n\"\n", name)
		}
		named = append(named, fmt.Sprint("m", m))
		s.Write("modules/"+named[m]+"/module.yaml", declared.String())
	}
	s.Write("roles/all.yaml", "kind: Role\nmodules: ["+strings.Join(named, ", ")+"]\n")
	limited := func(args ...string) (said string) {
		cmd := s.Command(args...)
		cmd.Args = append([]string{"prlimit", "--nofile=64:64", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/usr/bin/prlimit"
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%.2000s", err, out)
		}
		return string(out)
	}
	if said := limited(); !strings.Contains(said, fmt.Sprintf(`"ok": %d,`, files)) {
		t.Errorf("%.2000s", said)
	}
}
