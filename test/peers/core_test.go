package peers

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/test/programs"
)

// An agent that crashes while it holds a secret leaves it nowhere: in no core, no output, no state, on no command line.
func TestNoSecretInACore(t *testing.T) {
	t.Parallel()
	planted := "planted-core-" + rand.Text() // on no command line of anybody else, who may look for this very test
	s := programs.NewSite(t, `  - file: $D/token
    content: '{{ secret "disk/password" }}'
    mode: "0600"
  - exec: wait
    command: [sh, -c, 'mkfifo $D/fifo && read line < $D/fifo', vigo-core-test]
    env: {PASSWORD: '{{ secret "disk/password" }}'}
    always: true
    requires: ["file:$D/token"]
`)
	given, cwd := t.TempDir(), t.TempDir()
	for _, dir := range []string{given, filepath.Join(given, "app")} { // where a provider of files looks is told in its manual
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "password"), []byte(planted), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s.Write("fleet.yaml", "kind: Fleet\nname: lab\nsecrets:\n  disk: {file: app}\n")
	agent := s.Command("--secrets-dir", given, "--debug", "-o", "table")
	// Without limits, a crash of this kind writes a core into the folder it was started in.
	crash := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -c unlimited; exec "$@"`, "sh"}, agent.Args...)...)
	crash.Dir, crash.Env, crash.SysProcAttr = cwd, append(agent.Env, "GOTRACEBACK=crash"), agent.SysProcAttr
	var said bytes.Buffer
	crash.Stdout, crash.Stderr = &said, &said
	if err := crash.Start(); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(s.Dir, "fifo")
	waitFor(t, fifo, &said)
	t.Cleanup(func() { // an agent that crashes leaves what it runs: here, it ends with its input
		end, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			err = end.Close()
		}
		if err != nil && !errors.Is(err, syscall.ENXIO) { // nobody reads any more
			t.Error(err)
		}
	})
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range lines {
		line, _ := os.ReadFile(file) // of a process that may be gone
		if bytes.Contains(line, []byte(planted)) {
			t.Errorf("%s shows it", file)
		}
	}
	if err := crash.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	_ = crash.Wait() // it crashes: that is what is wanted
	if !strings.Contains(said.String(), "SIGABRT") {
		t.Fatalf("it did not crash:\n%s", &said)
	}
	if strings.Contains(said.String(), planted) {
		t.Errorf("its last words hold it:\n%s", &said)
	}
	if s.Read("token") != planted {
		t.Errorf("the file holds %q: nothing was proved", s.Read("token"))
	}
	for _, dir := range []string{cwd, s.State} {
		searchTree(t, dir, planted)
	}
}

// waitFor waits until a file is there.
func waitFor(t *testing.T, path string, said fmt.Stringer) {
	t.Helper()
	for deadline := time.Now().Add(programs.Patience); ; time.Sleep(10 * time.Millisecond) { // nobody tells of it
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never came:\n%s", path, said)
		}
	}
}

// searchTree looks for a text in all files of a folder.
func searchTree(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("%s holds it (%d bytes)", path, len(data))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
