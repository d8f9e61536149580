package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/test/postgres"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder makes a data folder with an authority.
func folder(t *testing.T) Options {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	_, err := identity.OpenCA(filepath.Join(data, "ca"), "acme", noon)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(data, "operator.json"), []byte("{}\n"), 0o600))
	return Options{Data: data, Version: "test", Now: func() time.Time { return noon }}
}

// with opens the store of a service.
func with(t *testing.T, o Options, do func(ctx context.Context, d *sqlstore.DB) error) {
	t.Helper()
	var d *sqlstore.DB
	var err error
	if o.Store != "" {
		d, err = sqlstore.OpenPostgres(t.Context(), o.Store, sqlstore.Options{})
	} else {
		d, err = sqlstore.Open(t.Context(), filepath.Join(o.Data, storeMember), sqlstore.Options{})
	}
	must(t, err)
	must(t, errors.Join(do(t.Context(), d), d.Close()))
}

func addOperator(t *testing.T, o Options, name string) {
	t.Helper()
	with(t, o, func(ctx context.Context, d *sqlstore.DB) error {
		return d.PutOperator(ctx, sqlstore.Operator{ID: name, Name: name, Role: identity.RoleAdmin, Hash: []byte(name)}, noon)
	})
}

func operators(t *testing.T, o Options) (names string) {
	t.Helper()
	with(t, o, func(ctx context.Context, d *sqlstore.DB) error {
		all, err := d.Operators(ctx)
		for _, one := range all {
			names += one.Name + " "
		}
		return err
	})
	return names
}

// TestDatabases: a backup of a file goes into a database and the other way round.
func TestDatabases(t *testing.T) {
	t.Parallel()
	server := postgres.For(t, "")
	address, err := server.Database(t.Context(), "vigo")
	must(t, err)

	file := folder(t)
	addOperator(t, file, "jane")
	one := filepath.Join(t.TempDir(), "one")
	m, err := Create(t.Context(), file, one, false)
	if err != nil || m.Database != "sqlite" || m.Fleet != "acme" || m.Store.Rows["operator"] != 1 {
		t.Fatalf("%+v: %v", m, err)
	}
	base := file
	base.Data, base.Store = filepath.Join(t.TempDir(), "base"), address
	_, err = Restore(t.Context(), base, one, false)
	must(t, err)
	if got := operators(t, base); got != "jane " {
		t.Errorf("in the database are %s", got)
	}
	if _, err := Restore(t.Context(), base, one, false); !errors.Is(err, sqlstore.ErrNotEmpty) {
		t.Errorf("over a store: %v", err)
	}
	addOperator(t, base, "joe")
	two := filepath.Join(t.TempDir(), "two")
	if m, err = Create(t.Context(), base, two, false); err != nil || m.Database != "postgresql" || m.Store.Rows["operator"] != 2 {
		t.Fatalf("%+v: %v", m, err)
	}
	_, err = Restore(t.Context(), base, one, true)
	must(t, err)
	if got := operators(t, base); got != "jane " {
		t.Errorf("after it was replaced, in the database are %s", got)
	}
	if _, err := Restore(t.Context(), file, two, false); !errors.Is(err, ErrExists) {
		t.Errorf("over a file: %v", err)
	}
	out, err := Restore(t.Context(), file, two, true)
	must(t, err)
	if got := operators(t, file); got != "jane " || len(out.Taken.Operators) != 1 { // the file that was there does not know joe
		t.Errorf("in the file are %s, taken was %+v", got, out.Taken)
	}
}

// TestRestoreOverDamaged: what cannot be read is kept, and said.
func TestRestoreOverDamaged(t *testing.T) {
	t.Parallel()
	o := folder(t)
	addOperator(t, o, "jane")
	file := filepath.Join(t.TempDir(), "safe")
	_, err := Create(t.Context(), o, file, false)
	must(t, err)
	store := filepath.Join(o.Data, storeMember)
	must(t, os.WriteFile(store, []byte(strings.Repeat("damaged\n", 1000)), 0o600))
	must(t, os.WriteFile(store+"-wal", []byte("of the damaged one"), 0o600))
	if _, err := Create(t.Context(), o, file+"2", false); !errors.Is(err, sqlstore.ErrDamaged) {
		t.Errorf("a backup of what is damaged: %v", err)
	}
	out, err := Restore(t.Context(), o, file, true)
	must(t, err)
	if kept, err := os.ReadFile(out.Kept); out.Unread == "" || err != nil || !strings.HasPrefix(string(kept), "damaged") {
		t.Errorf("%+v, kept is %.20q: %v", out, kept, err)
	}
	if got := operators(t, o); got != "jane " {
		t.Errorf("operators are %s", got)
	}
}

// pack makes an archive of members.
func pack(t testing.TB, m Manifest, members ...[2]string) []byte {
	t.Helper()
	head, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, member := range append([][2]string{{manifestMember, string(head)}}, members...) {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: member[0], Mode: 0o644, Size: int64(len(member[1]))}))
		_, werr := w.Write([]byte(member[1]))
		err = errors.Join(err, werr)
	}
	if err := errors.Join(err, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestExtractRefuses what is not a backup as this package makes them.
func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	store, key := File{Name: storeMember, SHA256: none}, File{Name: "ca/ca.key", SHA256: none}
	whole := pack(t, Manifest{Format: 1, Files: []File{store, key}}, [2]string{storeMember}, [2]string{"ca/ca.key"})
	if _, err := extract(t.Context(), bytes.NewReader(whole), t.TempDir()); err != nil {
		t.Fatalf("one that is whole: %v", err)
	}
	for name, c := range map[string]struct {
		archive []byte
		want    error
	}{
		"cut":      {whole[:len(whole)-5], ErrNotWhole},
		"empty":    {nil, ErrNotWhole},
		"newer":    {pack(t, Manifest{Format: 2, Files: []File{store}}, [2]string{storeMember}), ErrNewer},
		"no store": {pack(t, Manifest{Format: 1, Files: []File{key}}, [2]string{"ca/ca.key"}), ErrNotWhole},
		"missing":  {pack(t, Manifest{Format: 1, Files: []File{store, key}}, [2]string{storeMember}), ErrNotWhole},
		"altered":  {pack(t, Manifest{Format: 1, Files: []File{store}}, [2]string{storeMember, "x"}), ErrNotWhole},
		"twice":    {pack(t, Manifest{Format: 1, Files: []File{store}}, [2]string{storeMember}, [2]string{storeMember}), ErrNotWhole},
		"outside":  {pack(t, Manifest{Format: 1, Files: []File{store, {Name: "../key", SHA256: none}}}, [2]string{storeMember}, [2]string{"../key"}), ErrNotWhole},
		"below":    {pack(t, Manifest{Format: 1, Files: []File{store, {Name: "ca/../x", SHA256: none}}}, [2]string{storeMember}, [2]string{"ca/../x"}), ErrNotWhole},
	} {
		if _, err := extract(t.Context(), bytes.NewReader(c.archive), t.TempDir()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzExtract: whatever the bytes are, nothing is written outside of the folder.
func FuzzExtract(f *testing.F) {
	f.Add(pack(f, Manifest{Format: 1, Files: []File{{Name: storeMember}, {Name: "../x"}}}, [2]string{storeMember, "a"}, [2]string{"../x", "b"}))
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in", "here")
		must(t, os.MkdirAll(dir, 0o700))
		_, err := extract(t.Context(), bytes.NewReader(data), dir)
		for _, at := range []string{outer, filepath.Dir(dir)} {
			if entries, readErr := os.ReadDir(at); readErr != nil || len(entries) != 1 {
				t.Errorf("%s holds %v: %v, %v", at, entries, readErr, err)
			}
		}
	})
}
