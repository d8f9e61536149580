package policy

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"vigo.dev/pkg/fault"
)

// TestWhatIsNoDocument says of each file once what is wrong with it, wherever it is, and reads the others.
func TestWhatIsNoDocument(t *testing.T) {
	t.Parallel()
	large := &fstest.MapFile{Data: bytes.Repeat([]byte("# much\n"), MaxDocument/7+1)}
	for folder, name := range map[string]string{"data": "common", "roles": "web", "alerts": "disk", "rollouts": "stable"} {
		for code, file := range map[string]*fstest.MapFile{"too-large": large, "empty": {}, "two-documents": {Data: []byte("a: 1\n---\nb: 2\n")}} {
			t.Run(folder+"/"+code, func(t *testing.T) {
				t.Parallel()
				at := folder + "/" + name + ".yaml"
				_, _, err := Read(fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\n")}, at: file}, func(*Policy, *Content) error { return nil })
				var problems fault.Problems
				if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Code != code || problems[0].Pos.File != at {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// TestAFileThatIsGone is not taken for a folder that is not there: what is read of the rest would be another policy.
func TestAFileThatIsGone(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"data/common.yaml", "roles/web.yaml", "alerts/disk.yaml", "rollouts/stable.yaml"} {
		_, _, err := Read(vanishing{fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\n")}, at: {Data: []byte("a: 1\n")}}, at}, func(*Policy, *Content) error { return nil })
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// vanishing lists a file that cannot be opened, as one that is removed meanwhile.
type vanishing struct {
	fstest.MapFS
	file string
}

// Open implements fs.FS.
func (v vanishing) Open(name string) (fs.File, error) {
	if name == v.file {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return v.MapFS.Open(name)
}

// Stat implements fs.StatFS.
func (v vanishing) Stat(name string) (fs.FileInfo, error) {
	if name == v.file {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return v.MapFS.Stat(name)
}
