package house

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "vigo.dev"

// A file is one Go file of the tree, parsed.
type file struct {
	path    string // relative to the module root, slash-separated
	dir     string // its package, relative to the module root; "" for the root
	test    bool   // a _test.go file
	ast     *ast.File
	lines   int
	tags    bool // has a build constraint, in a comment or in its name
	ignored bool // its constraint holds nowhere: it only anchors requirements
}

// readTree parses every Go file of the module. It reads them itself, so the test cache knows what it depends on.
func readTree(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	root := "../.."
	fset := token.NewFileSet()
	var files []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != root && (name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, p, src, parser.ParseComments)
		if err != nil {
			t.Errorf("%v", err)
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		dir := path.Dir(rel)
		if dir == "." {
			dir = ""
		}
		files = append(files, file{
			path: rel, dir: dir, test: strings.HasSuffix(rel, "_test.go"), ast: parsed,
			lines: strings.Count(string(src), "\n"), tags: tagged(d.Name(), parsed), ignored: rel == "anchor.go",
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files: is this test in test/house?", len(files))
	}
	return fset, files
}

// tagged says whether a file is built on some systems only.
func tagged(name string, f *ast.File) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if constraint.IsGoBuild(c.Text) || constraint.IsPlusBuild(c.Text) {
				return true
			}
		}
	}
	base := strings.TrimSuffix(strings.TrimSuffix(name, ".go"), "_test")
	for _, system := range []string{"linux", "windows", "darwin", "freebsd", "unix", "amd64", "arm64", "arm"} {
		if strings.HasSuffix(base, "_"+system) {
			return true
		}
	}
	return false
}

// imports returns the import paths of a file.
func imports(f file) []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// local returns the package relative to the module, and whether the import path is inside it.
func local(importPath string) (string, bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}
