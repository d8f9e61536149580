// Package bundletest proves that a bundle.Store keeps its contract, whatever it is made of.
// It also has members of layers that no reader may take.
//
// It refuses to test what a store is not asked for: listing, deleting and the speed of either.
package bundletest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"vigo.dev/pkg/bundle"
)

// Run tests a store. open returns an empty one for each part; what it needs to clean up it gives to t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) bundle.Store) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, bundle.Store){
		"what was pushed is opened":            pushed,
		"what is not there is ErrNotFound":     missing,
		"wrong bytes are not taken":            wrong,
		"tags move":                            tags,
		"referrers of a type are listed":       referrers,
		"a descriptor that lies is found out":  lying,
		"pushing twice is no error":            twice,
		"strange digests and tags are refused": strange,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, open(t))
		})
	}
}

const blobType = "application/vnd.vigo.test"

func push(t *testing.T, s bundle.Store, mediaType, content string) bundle.Descriptor {
	t.Helper()
	d := bundle.DescriptorOf(mediaType, []byte(content))
	if err := s.Push(t.Context(), d, bytes.NewReader([]byte(content))); err != nil {
		t.Fatalf("pushing %q: %v", content, err)
	}
	return d
}

// manifest pushes a manifest with one layer.
func manifest(t *testing.T, s bundle.Store, artifactType, content string, subject *bundle.Descriptor) bundle.Descriptor {
	t.Helper()
	m := bundle.Manifest{SchemaVersion: 2, MediaType: bundle.ManifestMediaType, ArtifactType: artifactType,
		Config: push(t, s, "application/vnd.oci.empty.v1+json", "{}"), Layers: []bundle.Descriptor{push(t, s, blobType, content)}, Subject: subject}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return push(t, s, bundle.ManifestMediaType, string(data))
}

func read(ctx context.Context, s bundle.Source, d bundle.Descriptor) (content string, err error) {
	rc, err := s.Open(ctx, d)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(rc)
	return string(data), errors.Join(err, rc.Close())
}

func pushed(t *testing.T, s bundle.Store) {
	m := manifest(t, s, "application/vnd.vigo.one", "one", nil)
	blob := bundle.DescriptorOf(blobType, []byte("one"))
	if got, err := read(t.Context(), s, blob); got != "one" || err != nil {
		t.Errorf("opened %q, %v", got, err)
	}
	if got, err := read(t.Context(), s, m); bundle.DigestOf([]byte(got)) != m.Digest || err != nil {
		t.Errorf("opened %q, %v", got, err)
	}
}

func missing(t *testing.T, s bundle.Store) {
	m := manifest(t, s, "", "x", nil) // so that the repository itself is there
	if _, err := s.Resolve(t.Context(), "nothing"); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("Resolve: %v", err)
	}
	for _, mediaType := range []string{blobType, bundle.ManifestMediaType} {
		d := bundle.DescriptorOf(mediaType, []byte("never pushed"))
		if _, err := read(t.Context(), s, d); !errors.Is(err, bundle.ErrNotFound) {
			t.Errorf("Open of a %s: %v", mediaType, err)
		}
	}
	if got, err := s.Referrers(t.Context(), m, ""); len(got) != 0 || err != nil {
		t.Errorf("Referrers: %v, %v", got, err)
	}
	if err := s.Tag(t.Context(), bundle.DescriptorOf(bundle.ManifestMediaType, []byte("never pushed")), "t"); err == nil {
		t.Error("Tag: a manifest that is not there was tagged")
	}
}

func wrong(t *testing.T, s bundle.Store) {
	d := bundle.DescriptorOf(blobType, []byte("right"))
	for _, content := range []string{"wrong", "righ", "right!", ""} {
		if err := s.Push(t.Context(), d, bytes.NewReader([]byte(content))); !errors.Is(err, bundle.ErrDigest) {
			t.Errorf("Push of %q: %v", content, err)
		}
	}
	if _, err := read(t.Context(), s, d); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("Open: %v", err)
	}
}

func tags(t *testing.T, s bundle.Store) {
	one, two := manifest(t, s, "", "one", nil), manifest(t, s, "", "two", nil)
	for i, d := range []bundle.Descriptor{one, two, one, one} {
		if err := s.Tag(t.Context(), d, "moving"); err != nil {
			t.Fatal(err)
		}
		if err := s.Tag(t.Context(), d, fmt.Sprintf("fixed-%d", i)); err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"moving", fmt.Sprintf("fixed-%d", i)} {
			got, err := s.Resolve(t.Context(), tag)
			if err != nil || got.Digest != d.Digest || got.Size != d.Size || got.MediaType != bundle.ManifestMediaType {
				t.Errorf("Resolve(%s) = %v, %v, want %v", tag, got, err, d)
			}
		}
	}
	if got, err := s.Resolve(t.Context(), "fixed-1"); err != nil || got.Digest != two.Digest {
		t.Errorf("Resolve(fixed-1) = %v, %v", got, err)
	}
}

func referrers(t *testing.T, s bundle.Store) {
	subject := manifest(t, s, "", "subject", nil)
	other := manifest(t, s, "", "other", nil)
	want := map[string]bool{}
	for _, content := range []string{"a", "b"} {
		want[manifest(t, s, "application/vnd.vigo.sig", content, &subject).Digest] = true
	}
	manifest(t, s, "application/vnd.vigo.sbom", "c", &subject)
	manifest(t, s, "application/vnd.vigo.sig", "d", &other)
	got, err := s.Referrers(t.Context(), subject, "application/vnd.vigo.sig")
	if err != nil || len(got) != 2 {
		t.Fatalf("Referrers = %v, %v", got, err)
	}
	for _, d := range got {
		if _, err := read(t.Context(), s, d); err != nil || !want[d.Digest] {
			t.Errorf("Referrers lists %v (%v)", d, err)
		}
	}
}

func lying(t *testing.T, s bundle.Store) {
	d := push(t, s, blobType, "content")
	for _, size := range []int64{0, 3, 8, 1 << 20} {
		lie := d
		lie.Size = size
		if _, err := read(t.Context(), s, lie); err == nil {
			t.Errorf("size %d was believed", size)
		} else if !errors.Is(err, bundle.ErrDigest) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func twice(t *testing.T, s bundle.Store) {
	for range 2 {
		m := manifest(t, s, "application/vnd.vigo.one", "same", nil)
		manifest(t, s, "application/vnd.vigo.sig", "sig", &m)
		if got, err := s.Referrers(t.Context(), m, "application/vnd.vigo.sig"); err != nil || len(got) != 1 {
			t.Errorf("Referrers = %v, %v", got, err)
		}
	}
}

func strange(t *testing.T, s bundle.Store) {
	manifest(t, s, "", "x", nil)
	for _, digest := range []string{"", "sha256:", "sha256:../../../etc/passwd", "../x", "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		d := bundle.Descriptor{MediaType: blobType, Digest: digest, Size: 1}
		if _, err := read(t.Context(), s, d); err == nil {
			t.Errorf("digest %q was opened", digest)
		}
		if err := s.Push(t.Context(), d, bytes.NewReader([]byte("x"))); err == nil {
			t.Errorf("digest %q was pushed", digest)
		}
	}
	for _, tag := range []string{"..", "../../x", "a b"} {
		if _, err := s.Resolve(t.Context(), tag); err == nil {
			t.Errorf("tag %q was resolved", tag)
		}
	}
}
