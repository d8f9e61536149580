package house

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	_, files := readTree(t)
	unplaced := map[string]bool{}
	for _, f := range files {
		from, placed := floorOf(f.dir)
		if !placed && !unplaced[f.dir] {
			unplaced[f.dir] = true
			t.Errorf("%s: package has no floor: place it in test/house/floors.go", f.dir)
		}
		if f.test || f.ignored {
			continue
		}
		for _, imp := range imports(f) {
			if to, ok := local(imp); ok {
				if !mayImport(f.dir, to) {
					floor, _ := floorOf(to)
					t.Errorf("%s: imports %s: floor %d may not import floor %d", f.path, imp, from, floor)
				}
				continue
			}
			if from == 0 && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				t.Errorf("%s: imports %s: floor 0 uses the standard library only", f.path, imp)
			}
		}
	}
}

func TestOneFileStartsProcesses(t *testing.T) {
	t.Parallel()
	_, files := readTree(t)
	for _, f := range files {
		if f.test || f.path == "pkg/machine/runner.go" || strings.HasPrefix(f.path, "test/") {
			continue
		}
		if slices.Contains(imports(f), "os/exec") {
			t.Errorf("%s: imports os/exec: only pkg/machine/runner.go starts processes", f.path)
		}
	}
}

func TestBuildTagsLiveInMachine(t *testing.T) {
	t.Parallel()
	_, files := readTree(t)
	for _, f := range files {
		if f.tags && !f.ignored && f.dir != "pkg/machine" && !strings.HasPrefix(f.path, "test/") {
			t.Errorf("%s: is built on some systems only: the controller checks every type on any system", f.path)
		}
	}
}

func TestLowFloorsHaveNoClock(t *testing.T) {
	t.Parallel()
	fset, files := readTree(t)
	for _, f := range files {
		if floor, ok := floorOf(f.dir); !ok || floor > 2 || f.test || f.ignored {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && x.Obj == nil && slices.Contains([]string{"Now", "Since", "Until"}, sel.Sel.Name) {
				t.Errorf("%s: uses time.%s: pass the time, or a clock", fset.Position(n.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

func TestNothingHappensAtImport(t *testing.T) {
	t.Parallel()
	fset, files := readTree(t)
	for _, f := range files {
		if f.ignored {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function: make it a value that is listed", fset.Position(fn.Pos()))
			}
		}
	}
}

func TestPackageNames(t *testing.T) {
	t.Parallel()
	_, files := readTree(t)
	for _, f := range files {
		name := path.Base(f.dir)
		if f.dir == "" || f.test {
			continue
		}
		switch {
		case slices.Contains(vague, name):
			t.Errorf("%s: the name %q says nothing about what is inside", f.dir, name)
		case slices.Contains(standard, name) && strings.HasPrefix(f.dir, "pkg/"):
			t.Errorf("%s: the name %q is that of a standard package", f.dir, name)
		case f.ast.Name.Name != name && f.ast.Name.Name != "main":
			t.Errorf("%s: package %s is in a folder of another name", f.path, f.ast.Name.Name)
		}
	}
}

// The names of the standard library's packages, by last element.
var standard = strings.Fields(`tar zip bufio builtin bytes cmp bzip2 flate gzip lzw zlib heap list ring context crypto aes
	cipher des dsa ecdh ecdsa ed25519 elliptic fips140 hkdf hmac hpke md5 mlkem pbkdf2 rand rc4 rsa sha1 sha256 sha3 sha512
	subtle tls x509 pkix sql driver buildinfo dwarf elf gosym macho pe plan9obj embed encoding ascii85 asn1 base32 base64
	binary csv gob hex json pem xml errors expvar flag fmt ast build constraint comment doc format importer parser printer
	scanner token version hash adler32 crc32 crc64 fnv maphash html template color draw gif jpeg png suffixarray io fs
	ioutil iter log slog syslog maps math big bits cmplx mime multipart quotedprintable net http cgi cookiejar fcgi
	httptest httptrace httputil pprof mail netip rpc jsonrpc smtp textproto url os exec signal user path filepath plugin
	reflect regexp syntax runtime cgo coverage debug metrics race trace slices sort strconv strings structs sync atomic
	errgroup syscall testing fstest iotest quick slogtest synctest scan tabwriter time tzdata unicode utf16 utf8 unique
	unsafe weak`)
