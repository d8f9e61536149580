package house

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// The most lines there may be; what is beyond the target is listed with -v.
const (
	maxFile    = 350
	maxFunc    = 100
	targetFunc = 60
	maxMethods = 5
)

func TestFilesAndFunctionsAreShort(t *testing.T) {
	t.Parallel()
	fset, files := readTree(t)
	for _, f := range files {
		if f.test || f.ignored {
			continue
		}
		if f.lines > maxFile {
			t.Errorf("%s: %d lines, at most %d", f.path, f.lines, maxFile)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			switch n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; {
			case n > maxFunc:
				t.Errorf("%s:%d: %s has %d lines, at most %d", f.path, fset.Position(fn.Pos()).Line, fn.Name.Name, n, maxFunc)
			case n > targetFunc:
				t.Logf("%s:%d: %s has %d lines, want %d", f.path, fset.Position(fn.Pos()).Line, fn.Name.Name, n, targetFunc)
			}
		}
	}
}

func TestInterfacesAreSmall(t *testing.T) {
	t.Parallel()
	fset, files := readTree(t)
	for _, f := range files {
		if f.test || f.ignored {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if it, ok := n.(*ast.InterfaceType); ok && it.Methods != nil && !isHostContract(f) {
				if methods := methodsOf(it); methods > maxMethods {
					t.Errorf("%s: an interface of %d methods, at most %d", fset.Position(n.Pos()), methods, maxMethods)
				}
			}
			return true
		})
	}
}

// isHostContract says whether a file declares the face of the operating system, which is as wide as the system is.
func isHostContract(f file) bool { return f.dir == "pkg/host" }

func methodsOf(it *ast.InterfaceType) int {
	n := 0
	for _, m := range it.Methods.List {
		if _, ok := m.Type.(*ast.FuncType); ok {
			n += max(1, len(m.Names))
		}
	}
	return n
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	_, files := readTree(t)
	said, seen := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if f.test || f.ignored {
			continue
		}
		seen[f.dir] = true
		if f.ast.Doc != nil && (strings.HasPrefix(f.ast.Doc.Text(), "Package "+f.ast.Name.Name+" ") || f.ast.Name.Name == "main") {
			said[f.dir] = true
		}
	}
	for dir := range seen {
		if !said[dir] {
			t.Errorf("%s: no file has a package comment that begins with \"Package …\"", dir)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	fset, files := readTree(t)
	for _, f := range files {
		if f.test || f.ignored || f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, id := range undocumented(d) {
				t.Errorf("%s: exported %s has no comment", fset.Position(id.Pos()), id.Name)
			}
		}
	}
}

// undocumented returns the exported names a declaration introduces without a comment. In a group of constants or
// variables, the comment of the group or one at the end of the line will do.
func undocumented(d ast.Decl) []*ast.Ident {
	var bare []*ast.Ident
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !conventional(d) {
			bare = append(bare, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && (d.Doc == nil || len(d.Specs) > 1) {
					bare = append(bare, s.Name)
				}
			case *ast.ValueSpec:
				if d.Tok != token.CONST && d.Tok != token.VAR || s.Doc != nil || s.Comment != nil || d.Doc != nil {
					continue
				}
				for _, id := range s.Names {
					if id.IsExported() {
						bare = append(bare, id)
					}
				}
			}
		}
	}
	return bare
}

// conventional says whether a method is one whose meaning its name fixes.
func conventional(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	switch d.Name.Name {
	case "Error", "Unwrap", "Is", "String", "Len", "Less", "Swap", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "Hint":
		return true
	}
	return false
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	for typ := d.Recv.List[0].Type; ; {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}
