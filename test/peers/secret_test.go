package peers

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/test/programs"
)

// Ansible's no_log does not reach the diff, and modules log what they were given (ansible#14339, ansible-percona#75,
// puppet-strongswan#21). Secrets of a fleet are planted and looked for in pkg/agent; here it is what an author calls sensitive.
func TestBug10ASecretIsInTheDiffOrTheLog(t *testing.T) {
	t.Parallel()
	const before, planted = "the-old-one-9f3b", "correct-horse-7c1d"
	s := programs.NewSite(t, `  - file: $D/token
    content: "token = `+planted+`\n"
    mode: "0600"
    sensitive: true
  - exec: register
    command: [sh, -c, "echo $TOKEN; echo $TOKEN >&2; exit 7"]
    env: {TOKEN: `+planted+`}
    always: true
    sensitive: true
`)
	s.Put("token", "token = "+before+"\n")
	for _, args := range [][]string{{"--dry-run"}, {"--dry-run", "-o", "table"}, {"--debug", "-o", "table"}, {"--debug"}} {
		out, _ := s.Command(args...).CombinedOutput() // a dry run ends with 2, the failure with 3
		if !strings.Contains(string(out), "site/exec:register") {
			t.Errorf("%v: it does not say what it did:\n%s", args, out)
		}
		for _, secret := range []string{before, planted} {
			if strings.Contains(string(out), secret) {
				t.Errorf("%v shows it:\n%s", args, out)
			}
		}
	}
	if s.Read("token") != "token = "+planted+"\n" {
		t.Errorf("the file holds %q", s.Read("token"))
	}
	err := filepath.WalkDir(s.State, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, secret := range []string{before, planted} {
			if strings.Contains(string(data), secret) {
				t.Errorf("%s keeps it", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
