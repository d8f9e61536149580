package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// A workload is what every tool is asked to keep: the same files, packages and users, all in line already.
type workload struct {
	name     string
	owner    string // of the files: who runs the bench
	group    string
	dirs     []string
	files    []file
	packages []string
	users    []account
}

type file struct{ path, content string }

// An account is a user of this machine with what its line in /etc/passwd says.
type account struct{ name, uid, home, shell string }

func (w workload) resources() int {
	return len(w.dirs) + len(w.files) + len(w.packages) + len(w.users)
}

// newWorkload names dirs directories and files files of about 350 bytes below root; nothing is written yet.
func newWorkload(name, root string, dirs, files int) (workload, error) {
	me, err := user.Current()
	if err != nil {
		return workload{}, err
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		return workload{}, err
	}
	w := workload{name: name, owner: me.Username, group: group.Name}
	for i := range dirs {
		w.dirs = append(w.dirs, filepath.Join(root, fmt.Sprintf("d%02d", i)))
	}
	for i := range files {
		w.files = append(w.files, file{filepath.Join(w.dirs[i%dirs], fmt.Sprintf("file%05d.conf", i)), fileContent(i)})
	}
	return w, nil
}

// fileContent is a small configuration file that no other number gives.
func fileContent(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# file %d, kept by policy\n", i)
	for line := range 4 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %d", i, line))
		fmt.Fprintf(&b, "setting%d = %s\n", line, hex.EncodeToString(sum[:]))
	}
	return b.String()
}

// write puts the files in place, so that no tool has anything to do.
func (w workload) write() error {
	for _, dir := range w.dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask is
			return err
		}
	}
	for _, f := range w.files {
		if err := os.WriteFile(f.path, []byte(f.content), 0o644); err != nil {
			return err
		}
		if err := os.Chmod(f.path, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// addInstalled adds n packages of dpkg's database that are installed in whole.
func (w *workload) addInstalled(status string, n int) error {
	in, err := os.Open(status)
	if err != nil {
		return fmt.Errorf("looking for installed packages: %w", err)
	}
	defer in.Close()
	name, multi := "", map[string]bool{}
	var found []string
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if p, ok := strings.CutPrefix(lines.Text(), "Package: "); ok {
			name = p
		}
		if lines.Text() == "Status: install ok installed" && !multi[name] {
			multi[name] = true
			found = append(found, name)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(found) < n {
		return fmt.Errorf("looking for installed packages: %d, fewer than %d", len(found), n)
	}
	step := len(found) / n // spread over the database, which is in no order a tool could profit from
	for i := range n {
		w.packages = append(w.packages, found[i*step])
	}
	return nil
}

// addUsers adds n users of a passwd(5) file, never root.
func (w *workload) addUsers(passwd string, n int) error {
	data, err := os.ReadFile(passwd)
	if err != nil {
		return fmt.Errorf("looking for users: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 7 && f[2] != "0" && len(w.users) < n {
			w.users = append(w.users, account{f[0], f[2], f[5], f[6]})
		}
	}
	if len(w.users) < n {
		return fmt.Errorf("looking for users: %d, fewer than %d", len(w.users), n)
	}
	return nil
}
