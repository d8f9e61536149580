package cli_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/agentcmd"
	"vigo.dev/pkg/cli/vigocmd"
	"vigo.dev/pkg/fault"
)

var update = flag.Bool("update", false, "rewrite the checked-in reference")

const reference = "../../docs/reference/cli"

// trees are the commands of both programs.
func trees() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for name, tree := range map[string]func(*cli.Env) *cobra.Command{"vigo": vigocmd.New, "vigo-agent": agentcmd.New} {
		env := cli.System(name, "0.0.0")
		all[name] = tree(env)
		cli.Prepare(env, all[name])
	}
	return all
}

// every visits all commands that people may type.
func every(visit func(*cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		visit(c)
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" { // cobra's own, but for its name
				walk(sub)
			}
		}
	}
	for _, root := range trees() {
		walk(root)
	}
}

// The reference is generated; with -update it is rewritten.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	for _, root := range trees() {
		for name, text := range cli.Reference(root) {
			pages[name] = text
		}
	}
	if *update {
		if err := os.MkdirAll(reference, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range pages {
		path := filepath.Join(reference, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v: run make docs", err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is out of date: run make docs\n%s", path, diff)
		}
	}
	entries, err := os.ReadDir(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("%s is about no command", filepath.Join(reference, e.Name()))
		}
	}
}

// Every command says in a line what it does, and shows how it is used.
func TestReferenceIsComplete(t *testing.T) {
	t.Parallel()
	every(func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: want a short text without a full stop, got %q", c.CommandPath(), c.Short)
		}
		if c.Example == "" && !c.HasSubCommands() {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.SplitSeq(c.Long, "\n") {
			if len([]rune(line)) > 130 {
				t.Errorf("%s: a line of %d characters: %s", c.CommandPath(), len([]rune(line)), line)
			}
		}
	})
}

// Every example can be typed as it is: its commands and flags exist, and its arguments are as many as are taken.
func TestReferenceExamplesParse(t *testing.T) {
	t.Parallel()
	every(func(c *cobra.Command) {
		for line := range strings.SplitSeq(strings.ReplaceAll(c.Example, "\\\n", " "), "\n") {
			for _, words := range commands(line) {
				if err := parse(words); err != nil {
					t.Errorf("%s: example %q: %v", c.CommandPath(), strings.TrimSpace(line), err)
				}
			}
		}
	})
}

var (
	shellWord = regexp.MustCompile(`&&|[|;>]|(?:'[^']*'|"[^"]*"|\$\([^)]*\)|[^\s|;>'"])+`)
	assigned  = regexp.MustCompile(`^[A-Z_]+=`)
)

// commands are the calls of our programs in a line of shell.
func commands(line string) [][]string {
	var all [][]string
	var call []string
	add := func() {
		if len(call) > 0 && slices.Contains([]string{"vigo", "vigo-agent"}, call[0]) {
			all = append(all, call)
		}
		call = nil
	}
	for _, word := range shellWord.FindAllString(line, -1) {
		switch {
		case slices.Contains([]string{"|", ";", ">", "&&"}, word):
			add()
		case strings.HasPrefix(word, "#"):
			add()
			return all
		case len(call) > 0 || !assigned.MatchString(word):
			call = append(call, word)
		}
	}
	add()
	return all
}

func parse(words []string) error {
	root, ok := trees()[words[0]]
	if !ok {
		return fmt.Errorf("there is no program %s", words[0])
	}
	c, rest, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	if c == root {
		return fmt.Errorf("%v names no command", words)
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	return c.ValidateArgs(c.Flags().Args())
}

// The exit statuses in the help texts are those that programs end with.
func TestReferenceExitStatuses(t *testing.T) {
	t.Parallel()
	all := []fault.Code{fault.OK, fault.Failure, fault.Drift, fault.Partial, fault.Refused, fault.NotVerified, fault.Usage, fault.Interrupted}
	entry := regexp.MustCompile(`(?:^  |    )(\d+)  `)
	every(func(c *cobra.Command) {
		_, codes, found := strings.Cut(c.Long, "EXIT STATUS")
		if !found {
			return
		}
		var said []fault.Code
		for line := range strings.SplitSeq(codes, "\n") {
			for _, m := range entry.FindAllStringSubmatch(line, -1) {
				n, err := strconv.Atoi(m[1])
				if err != nil || !slices.Contains(all, fault.Code(n)) {
					t.Errorf("%s: %s is no exit status: %s", c.CommandPath(), m[1], line)
				}
				said = append(said, fault.Code(n))
			}
		}
		if len(said) == 0 || said[0] != fault.OK {
			t.Errorf("%s: the exit statuses must begin with 0, got %v", c.CommandPath(), said)
		}
		if !c.HasParent() && c.Name() == "vigo" && !slices.Equal(said, all) {
			t.Errorf("%s lists the statuses %v, want %v", c.CommandPath(), said, all)
		}
	})
}

// Every command and every flag is used in a script, where its effect is seen.
func TestReferenceIsShownByScripts(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	files, err := filepath.Glob("../../cmd/*/testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("looking for scripts: %d, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if rest, ok := strings.CutPrefix(line, "up "); ok {
				line = "vigo up --data x --git y --listen z " + rest
			}
			if rest, ok := strings.CutPrefix(line, "hub "); ok {
				line = "vigo hub --data x --listen z " + rest
			}
			if at := regexp.MustCompile(`\bvigo(-agent)? `).FindStringIndex(line); at != nil {
				use(used, strings.TrimSuffix(line[at[0]:], "'"))
			}
		}
	}
	elsewhere := regexp.MustCompile(`^vigo (` +
		`controller|report|up --(registry|plain-http)|` + // test/separate: each a process of its own
		`up --(pointer-ttl|fleet|advertise)|` + // test/kill
		`up --allow-rewrite|` + // pkg/up
		`up --hook-token-file)`) // test/bench, which measures from the nudge to the pointer
	anywhere := regexp.MustCompile(` --(config|server|cert|key)$`) // how the service is reached is the same for every command
	for name := range used {
		if flag := anywhere.FindString(name); flag != "" {
			used[flag] = true
		}
	}
	every(func(c *cobra.Command) {
		if c.HasSubCommands() && !strings.Contains(c.Use, " ") || elsewhere.MatchString(c.CommandPath()) {
			return
		}
		if !used[c.CommandPath()] {
			t.Errorf("no script runs %s", c.CommandPath())
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			name := c.CommandPath() + " --" + f.Name
			reaches := c.Flags().Lookup("server") != nil && used[anywhere.FindString(name)]
			if f.Name != "help" && !used[name] && !reaches && !elsewhere.MatchString(name) {
				t.Errorf("no script uses %s", name)
			}
		})
	})
}

// use notes the command of a line and the flags it is given.
func use(used map[string]bool, line string) {
	for _, words := range commands(line) {
		root, ok := trees()[words[0]]
		if !ok {
			continue
		}
		c, rest, err := root.Find(words[1:])
		if err != nil {
			continue
		}
		used[c.CommandPath()] = true
		for _, word := range rest {
			name, _, _ := strings.Cut(word, "=")
			if long, ok := strings.CutPrefix(name, "--"); ok {
				used[c.CommandPath()+" --"+long] = true
			} else if short, ok := strings.CutPrefix(name, "-"); ok && len(short) == 1 {
				if f := c.Flags().ShorthandLookup(short); f != nil {
					used[c.CommandPath()+" --"+f.Name] = true
				}
			}
		}
	}
}
