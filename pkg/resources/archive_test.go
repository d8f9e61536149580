package resources

import (
	"archive/tar"
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

func tarOf(t testing.TB, heads ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range heads {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpackInto unpacks an archive of a machine whose only other file is outside of the directory.
func unpackInto(t testing.TB, format string, data []byte) (*hosttest.Machine, error) {
	t.Helper()
	ctx := context.Background()
	m, err := hosttest.Parse([]byte("dir /opt\nfile /etc/passwd \"secret\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	if err := h.FS.Write(ctx, "/opt/a", bytes.NewReader(data), host.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	a := &Archive{Path: "/opt/d", File: "/opt/a", Format: format, MaxFiles: 100, MaxUnpacked: 1 << 20}
	plan, err := a.Plan(ctx, h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Apply(ctx); err != nil {
		return m, err
	}
	again, err := a.Plan(ctx, h)
	if err != nil || !again.Empty() {
		t.Fatalf("a second look wants %v, %v", again.Changes(), err)
	}
	return m, nil
}

func TestArchiveZstd(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(tarOf(t, &tar.Header{Name: "x/y", Typeflag: tar.TypeReg, Mode: 0o600})); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := unpackInto(t, "tar.zst", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Host().FS.Read("/opt/d/x/y", 0); string(got) != "x/y" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// FuzzArchive unpacks whatever it is given: nothing outside of the directory may change.
func FuzzArchive(f *testing.F) {
	f.Add(tarOf(f, &tar.Header{Name: "a/b", Typeflag: tar.TypeReg}, &tar.Header{Name: "l", Linkname: "a", Typeflag: tar.TypeSymlink},
		&tar.Header{Name: "h", Linkname: "a/b", Typeflag: tar.TypeLink}), false)
	f.Add(tarOf(f, &tar.Header{Name: "l", Linkname: "../etc", Typeflag: tar.TypeSymlink}, &tar.Header{Name: "l/passwd", Typeflag: tar.TypeReg}), false)
	f.Add([]byte("PK\x03\x04"), true)
	f.Fuzz(func(t *testing.T, data []byte, zip bool) {
		format := "tar"
		if zip {
			format = "zip"
		}
		m, _ := unpackInto(t, format, data)
		if got, err := m.Host().FS.Read("/etc/passwd", 0); string(got) != "secret" || err != nil {
			t.Fatalf("the file outside is %q, %v", got, err)
		}
		for _, line := range m.Log() {
			_, name, _ := strings.Cut(line, " ")
			if name != "/opt/a" && name != "/opt/d" && !strings.HasPrefix(name, "/opt/d/") {
				t.Fatalf("it did %s", line)
			}
		}
	})
}
