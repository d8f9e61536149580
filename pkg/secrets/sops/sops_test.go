package sops_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/secrets/sops"
)

// decrypter opens data keys with the identity that the files of testdata are encrypted to.
func decrypter(t testing.TB) func([]byte) ([]byte, error) {
	t.Helper()
	text, err := os.ReadFile("testdata/identity.txt")
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return func(enc []byte) ([]byte, error) {
		r, err := age.Decrypt(armor.NewReader(bytes.NewReader(enc)), id)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestFilesOfSOPS reads files that sops 3.10.2 has encrypted (sops --age RECIPIENT -e, with --encrypted-regex,
// --unencrypted-regex and --mac-only-encrypted --encrypted-suffix for the last three). The MAC of each is checked.
func TestFilesOfSOPS(t *testing.T) {
	t.Parallel()
	tree := map[string]string{
		"db/password": "hunter2-sops", "db/port": "5432", "db/ratio": "1.5", "db/on": "true", "db/off": "false", "db/empty": "", "db/when": "2020-01-02T03:04:05Z",
		"list/0": "first", "list/1/name": "second", "list/1/token": `t0ken: with "quotes"`, "list/2": "3",
		"multi": "-----BEGIN KEY-----\nabc\n-----END KEY-----\n", "free_unencrypted": "seen by all",
	}
	json := map[string]string{"db/password": "hunter2-sops", "db/port": "5432", "db/ratio": "1.5", "db/on": "true", "list/0": "first", "list/1/token": "t0ken", "free_unencrypted": "7"}
	for name, want := range map[string]map[string]string{
		"enc.yaml": tree, "regex.yaml": tree, "maconly.yaml": tree, "enc.json": json, "unregex.json": json,
		"enc.env": {"DB_PASSWORD": "hunter2-sops", "MULTI": "a\nb", "EMPTY": ""},
		"enc.ini": {"db/password": "hunter2-sops", "db/port": "5432", "web/token": "t0ken"},
	} {
		got, err := sops.Decrypt(name, read(t, name), decrypter(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		names, err := sops.Names(name, read(t, name))
		slices.Sort(names)
		var wanted []string
		for n := range want {
			wanted = append(wanted, n)
		}
		slices.Sort(wanted)
		if err != nil || !slices.Equal(names, wanted) {
			t.Errorf("%s: names %v, %v", name, names, err)
		}
	}
}

// TestChanged refuses files that were changed without the key: a value moved, taken away, made clear, added.
func TestChanged(t *testing.T) {
	t.Parallel()
	text := string(read(t, "enc.env"))
	lines := strings.Split(text, "\n")
	at := func(key string) int {
		return slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+"=") })
	}
	change := func(edit func(l []string) []string) string { return strings.Join(edit(slices.Clone(lines)), "\n") }
	value := func(line string) string { _, v, _ := strings.Cut(line, "="); return v }
	for name, changed := range map[string]string{
		"moved":    change(func(l []string) []string { l[at("MULTI")] = "MULTI=" + value(l[at("DB_PASSWORD")]); return l }),
		"taken":    change(func(l []string) []string { return slices.Delete(l, at("MULTI"), at("MULTI")+1) }),
		"clear":    change(func(l []string) []string { l[at("MULTI")] = "MULTI=clear"; return l }),
		"emptied":  change(func(l []string) []string { l[at("MULTI")] = "MULTI="; return l }),
		"added":    change(func(l []string) []string { return append([]string{"MORE="}, l...) }),
		"renamed":  strings.Replace(text, "MULTI=", "MULTO=", 1),
		"older":    strings.Replace(text, "sops_lastmodified=2026", "sops_lastmodified=2025", 1),
		"no mac":   change(func(l []string) []string { l[at("sops_mac")] = "sops_mac="; return l }),
		"mac gone": change(func(l []string) []string { return slices.Delete(l, at("sops_mac"), at("sops_mac")+1) }),
	} {
		if changed == text {
			t.Fatalf("%s: nothing was changed", name)
		}
		if got, err := sops.Decrypt("x.env", []byte(changed), decrypter(t)); err == nil && (name != "added" || got["MORE"] != "") {
			t.Errorf("%s: opened as %v", name, got)
		}
	}
	unencrypted := strings.Replace(string(read(t, "enc.yaml")), "seen by all", "changed", 1)
	if _, err := sops.Decrypt("x.yaml", []byte(unencrypted), decrypter(t)); !errors.Is(err, sops.ErrMAC) {
		t.Errorf("a value in clear was changed: %v", err)
	}
	clear := strings.Replace(string(read(t, "maconly.yaml")), "hunter2-sops", "changed", 1)
	if _, err := sops.Decrypt("x.yaml", []byte(clear), decrypter(t)); err != nil {
		t.Errorf("with mac_only_encrypted, values in clear are free: %v", err)
	}
}

// TestErrorsHideValues: nothing of a file gets into an error but names.
func TestErrorsHideValues(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a.yaml": "password: hunter2\n", "b.yaml": "- hunter2\n", "c.yaml": "password: \"hunter2\nsops: {}\n", "d.json": `{"a": "hunter2"`, "e.env": "hunter2\n",
		"f.ini": "[a]\nhunter2\n", "g.yaml": "password: hunter2\nsops: {mac: ENC, age: [{enc: x}]}\n", "h.txt": "hunter2",
	} {
		got, err := sops.Decrypt(name, []byte(text), func([]byte) ([]byte, error) { return make([]byte, 32), nil })
		if err == nil || got != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// FuzzDecrypt feeds anything to each of the four readers; the data key opens whatever it is.
func FuzzDecrypt(f *testing.F) {
	for _, name := range []string{"enc.yaml", "enc.json", "enc.env", "enc.ini", "regex.yaml", "maconly.yaml"} {
		f.Add(name, read(f, name))
	}
	f.Add("x.yaml", []byte("a: &a [*a]\nsops: {mac: x, age: [{enc: y}]}\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		got, err := sops.Decrypt(name, data, func([]byte) ([]byte, error) { return make([]byte, 32), nil })
		if err == nil {
			t.Errorf("%q was opened with a key of zeros: %v", name, got)
		}
		if got != nil {
			t.Error("values beside an error")
		}
		_, _ = sops.Names(name, data)
	})
}
