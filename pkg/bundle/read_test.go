package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
)

// entry is one member of a hostile archive.
type entry struct {
	tar.Header
	data string
}

func regular(name, data string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}, data}
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// wantRefusal fails unless err is a refusal of that name which says something.
func wantRefusal(t *testing.T, err error, name string) {
	t.Helper()
	var r *bundle.Refusal
	if !errors.As(err, &r) || r.Name != name || r.Detail == "" {
		t.Fatalf("got %v, want the refusal %q", err, name)
	}
}

func TestHostileLayersAreRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", 40) + "f"
	good := archive(t, regular("a", "x"))
	tests := []struct {
		attack, want string
		layer        []byte
	}{
		{"dot dot", bundle.BadPath, zipped(t, archive(t, regular("../etc/passwd", "x")))},
		{"dot dot inside", bundle.BadPath, zipped(t, archive(t, regular("a/../../b", "x")))},
		{"absolute", bundle.BadPath, zipped(t, archive(t, regular("/etc/passwd", "x")))},
		{"dot", bundle.BadPath, zipped(t, archive(t, regular("./a", "x")))},
		{"empty element", bundle.BadPath, zipped(t, archive(t, regular("a//b", "x")))},
		{"new line", bundle.BadPath, zipped(t, archive(t, regular("a\nb", "x")))},
		{"right-to-left override", bundle.BadPath, zipped(t, archive(t, regular("a\u202egpj.sh", "x")))},
		{"deep path", bundle.BadPath, zipped(t, archive(t, regular(deep, "x")))},
		{"long path", bundle.BadPath, zipped(t, archive(t, regular(strings.Repeat("n", 4000), "x")))},
		{"symbolic link", bundle.Link, zipped(t, archive(t, entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}}))},
		{"hard link", bundle.Link, zipped(t, archive(t, entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/shadow"}}))},
		{"device", bundle.Device, zipped(t, archive(t, entry{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8}}))},
		{"pipe", bundle.Device, zipped(t, archive(t, entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "p"}}))},
		{"directory", bundle.Device, zipped(t, archive(t, entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d/"}}))},
		{"twice", bundle.Duplicate, zipped(t, archive(t, regular("a", "x"), regular("a", "y")))},
		{"file as folder", bundle.BadPath, zipped(t, archive(t, regular("a", "x"), regular("a/b", "y")))},
		{"folder as file", bundle.BadPath, zipped(t, archive(t, regular("a/b", "x"), regular("a", "y")))},
		{"extended attributes", bundle.BadFormat, zipped(t, archive(t, entry{tar.Header{Typeflag: tar.TypeReg, Name: "a", Format: tar.FormatPAX,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x"}}, ""}))},
		{"trailing bytes after gzip", bundle.Trailing, append(zipped(t, good), 'x')},
		{"a second gzip stream", bundle.Trailing, append(zipped(t, good), zipped(t, good)...)},
		{"trailing bytes after tar", bundle.Trailing, zipped(t, append(good[:len(good):len(good)], "hidden"...))},
		{"a second archive", bundle.Trailing, zipped(t, append(good[:len(good):len(good)], good...))},
		{"truncated gzip", bundle.Truncated, zipped(t, good)[:20]},
		{"truncated tar", bundle.Truncated, zipped(t, archive(t, regular("a", strings.Repeat("x", 600)))[:900])},
		{"empty", bundle.Truncated, nil},
		{"not gzip", bundle.BadFormat, []byte("#!/bin/sh\nrm -rf /\n")},
		{"not tar", bundle.BadFormat, zipped(t, bytes.Repeat([]byte("x"), 2048))},
		{"a header that claims 8 EiB", bundle.TooLarge, zipped(t, huge(t))},
	}
	for _, tt := range tests {
		t.Run(tt.attack, func(t *testing.T) {
			t.Parallel()
			files, err := bundle.ReadLayer(bytes.NewReader(tt.layer), bundle.DefaultLimits())
			wantRefusal(t, err, tt.want)
			if files != nil {
				t.Error("files were returned beside the refusal")
			}
		})
	}
}

// huge is a header without the content it claims.
func huge(t *testing.T) []byte {
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1<<63 - 1, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// stream makes a layer while it is read.
func stream(write func(*tar.Writer) error) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err == nil {
			a := tar.NewWriter(z)
			err = errors.Join(write(a), a.Close(), z.Close())
		}
		w.CloseWithError(err)
	}()
	return r
}

func TestAMillionFilesAreRefused(t *testing.T) {
	t.Parallel()
	r := stream(func(w *tar.Writer) error {
		for i := range 1_000_000 {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("f%d", i), Mode: 0o644}); err != nil {
				return err
			}
		}
		return nil
	})
	limits := bundle.DefaultLimits()
	limits.Total = 1 << 40 // so that it is the count that refuses
	_, err := bundle.ReadLayer(r, limits)
	wantRefusal(t, err, bundle.TooMany)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if !errors.Is(err, bundle.ErrLimit) {
		t.Error("not bundle.ErrLimit")
	}
}

func TestAGibibyteOfZerosInASmallLayerIsRefused(t *testing.T) {
	t.Parallel()
	for name, per := range map[string]int64{"one file": 1 << 30, "many files": 16 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zeros := make([]byte, 1<<20)
			r := stream(func(w *tar.Writer) error {
				for i := range (1 << 30) / per {
					if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("zeros%d", i), Mode: 0o644, Size: per}); err != nil {
						return err
					}
					for range per / int64(len(zeros)) {
						if _, err := w.Write(zeros); err != nil {
							return err
						}
					}
				}
				return nil
			})
			_, err := bundle.ReadLayer(r, bundle.DefaultLimits())
			wantRefusal(t, err, bundle.TooLarge)
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestZerosAfterTheArchiveCount(t *testing.T) {
	t.Parallel()
	limits := bundle.DefaultLimits()
	limits.Total = 1 << 20
	layer := zipped(t, append(archive(t, regular("a", "x")), make([]byte, 2<<20)...))
	_, err := bundle.ReadLayer(bytes.NewReader(layer), limits)
	wantRefusal(t, err, bundle.TooLarge)
}

// body is a blob as a registry may serve it.
func body(data []byte, d bundle.Descriptor) io.ReadCloser {
	return bundle.Verified(io.NopCloser(bytes.NewReader(data)), d)
}

func TestAChangedLayerIsRefusedForItsDigest(t *testing.T) {
	t.Parallel()
	layer := zipped(t, archive(t, regular("a", strings.Repeat("some text ", 5000))))
	d := bundle.DescriptorOf(bundle.LayerMediaType, layer)
	for i := 0; i < len(layer); i += 7 {
		changed := bytes.Clone(layer)
		changed[i] ^= 0x20
		_, err := bundle.ReadLayer(body(changed, d), bundle.DefaultLimits())
		wantRefusal(t, err, bundle.WrongDigest)
		if !errors.Is(err, bundle.ErrDigest) {
			t.Fatal("not bundle.ErrDigest")
		}
	}
	for _, n := range []int{0, 1, len(layer) / 2, len(layer) - 1} {
		_, err := bundle.ReadLayer(body(layer[:n], d), bundle.DefaultLimits())
		wantRefusal(t, err, bundle.Truncated)
	}
	_, err := bundle.ReadLayer(body(append(bytes.Clone(layer), 0), d), bundle.DefaultLimits())
	wantRefusal(t, err, bundle.WrongSize)
	if _, err := bundle.ReadLayer(body(layer, d), bundle.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
}

func TestABrokenLineIsNoRefusal(t *testing.T) {
	t.Parallel()
	layer := zipped(t, archive(t, regular("a", "x")))
	cut := errors.New("connection reset")
	r := io.MultiReader(bytes.NewReader(layer[:30]), iotestErr{cut})
	_, err := bundle.ReadLayer(bundle.Verified(io.NopCloser(r), bundle.DescriptorOf("", layer)), bundle.DefaultLimits())
	if !errors.Is(err, cut) || errors.As(err, new(*bundle.Refusal)) {
		t.Fatalf("got %v", err)
	}
}

type iotestErr struct{ err error }

func (r iotestErr) Read([]byte) (int, error) { return 0, r.err }

func TestVerifiedGivesOutNoMoreThanAnnounced(t *testing.T) {
	t.Parallel()
	d := bundle.DescriptorOf("", []byte("right"))
	got, err := io.ReadAll(body([]byte("right and more"), d))
	if string(got) != "right" {
		t.Errorf("gave out %q", got)
	}
	wantRefusal(t, err, bundle.WrongSize)
}

func FuzzReadLayer(f *testing.F) {
	f.Add(zipped(f, archive(f, regular("a/b", "x"), regular("c", "yy"))))
	f.Add(zipped(f, archive(f, regular(strings.Repeat("long/", 30)+"name", "x"))))
	f.Add(zipped(f, archive(f, entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}})))
	f.Add([]byte("\x1f\x8b"))
	limits := bundle.Limits{Files: 100, File: 1 << 16, Total: 1 << 18, Path: 128, Depth: 8}
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := bundle.ReadLayer(bytes.NewReader(data), limits)
		if err != nil {
			if files != nil {
				t.Fatal("files beside an error")
			}
			return
		}
		// What was read can be packed again and reads the same.
		packed, err := bundle.PackLayer(files)
		if err != nil {
			t.Fatal(err)
		}
		again, err := bundle.ReadLayer(bytes.NewReader(zipped(t, packed)), bundle.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(files, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
