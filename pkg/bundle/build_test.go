package bundle_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
)

var commitTime = time.Date(2026, 11, 23, 13, 0, 0, 123, time.FixedZone("CET", 3600))

func config() bundle.Config {
	return bundle.Config{Fleet: "lab", Channels: []string{"main", "edge"}, Counter: 42, MinAgent: "0.1.0",
		Source: bundle.Origin{Repo: "https://git.example/policy", Ref: "main", Commit: strings.Repeat("ab", 20), CommitTime: commitTime}}
}

func layers() []bundle.LayerInput {
	return []bundle.LayerInput{
		{Module: "web", Files: []bundle.File{
			{Path: "templates/nginx.conf", Data: []byte("server {}\n")}, {Path: "compiled.json", Data: []byte("{}")},
			{Path: "files/" + strings.Repeat("very-long-name/", 12) + "üñí.sh", Data: []byte("#!/bin/sh\n"), Exec: true}}},
		{Files: []bundle.File{{Path: "compiled.json", Data: []byte(`{"fleet":1}`)}}},
		{Module: "empty"},
	}
}

func build(t testing.TB, b bundle.Builder, cfg bundle.Config, in []bundle.LayerInput) bundle.Built {
	t.Helper()
	built, err := b.Build(cfg, in)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func TestBuiltBundlesAreReadBack(t *testing.T) {
	t.Parallel()
	store := bundletest.NewMemory()
	built := build(t, bundle.Builder{}, config(), layers())
	if err := built.Push(t.Context(), store, "v1"); err != nil {
		t.Fatal(err)
	}
	d, err := store.Resolve(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	m, c, err := bundle.Read(t.Context(), store, d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(built.Config, c); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{
		bundle.AnnotationCreated: "2026-11-23T12:00:00Z", bundle.AnnotationSource: "https://git.example/policy",
		bundle.AnnotationRevision: "main@sha1:" + strings.Repeat("ab", 20), bundle.AnnotationVersion: "42",
	}
	if diff := cmp.Diff(want, m.Annotations); diff != "" {
		t.Error(diff)
	}
	var modules []string
	for _, l := range c.Layers {
		modules = append(modules, l.Module)
	}
	if diff := cmp.Diff([]string{"", "empty", "web"}, modules); diff != "" {
		t.Error(diff)
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	want := build(t, bundle.Builder{}, config(), layers()).Descriptor.Digest
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		cfg, in := config(), layers()
		r.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		r.Shuffle(len(in[0].Files), func(i, j int) { f := in[0].Files; f[i], f[j] = f[j], f[i] })
		slices.Reverse(cfg.Channels)
		cfg.Source.CommitTime = cfg.Source.CommitTime.In(time.FixedZone("elsewhere", r.IntN(40000)))
		if got := build(t, bundle.Builder{}, cfg, in).Descriptor.Digest; got != want {
			t.Fatalf("digest %s, want %s", got, want)
		}
	}
}

// The digest is that of another process with another umask, time zone, language and home.
func TestSameDigestWhoeverBuilds(t *testing.T) {
	t.Parallel()
	want := build(t, bundle.Builder{}, config(), layers()).Descriptor.Digest
	if os.Getenv("VIGO_PRINT_DIGEST") != "" {
		_, _ = os.Stdout.WriteString("digest=" + want + "\n")
		return
	}
	for _, env := range [][]string{{"TZ=Asia/Kathmandu", "LANG=C", "HOME=/nowhere"}, {"TZ=America/St_Johns", "LC_ALL=tr_TR.UTF-8", "SOURCE_DATE_EPOCH=1"}} {
		cmd := exec.Command("sh", "-c", `umask 077; exec "$0" -test.run='^TestSameDigestWhoeverBuilds$' -test.v`, os.Args[0])
		cmd.Env = append(append(os.Environ(), "VIGO_PRINT_DIGEST=1"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "digest="+want+"\n") {
			t.Errorf("%v: %v\n%s\nwant %s", env, err, out, want)
		}
	}
}

func TestKnownLayersAreReusedAsTheyAre(t *testing.T) {
	t.Parallel()
	first := build(t, bundle.Builder{}, config(), layers())
	had := map[string]bundle.Descriptor{}
	m, err := bundle.ReadManifest(first.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range first.Config.Layers {
		had[l.Content] = m.Layers[i]
	}
	b := bundle.Builder{Reuse: func(content string) (bundle.Descriptor, bool) { d, ok := had[content]; return d, ok }}
	if again := build(t, b, config(), layers()); again.Descriptor.Digest != first.Descriptor.Digest || len(again.Blobs) != 1 {
		t.Errorf("%d blobs to push, digest %s, want 1 and %s", len(again.Blobs), again.Descriptor.Digest, first.Descriptor.Digest)
	}
	in := layers()
	in[0].Files[1].Data = []byte(`{"changed":true}`)
	changed := build(t, b, config(), in)
	if len(changed.Blobs) != 2 {
		t.Errorf("%d blobs to push after a change in one module, want its layer and the config", len(changed.Blobs))
	}
	if changed.Config.Content == first.Config.Content {
		t.Error("other content has the same content digest")
	}
}

func TestContentDigestIgnoresTheCommit(t *testing.T) {
	t.Parallel()
	other := config()
	other.Source.Commit, other.Counter, other.Source.CommitTime = strings.Repeat("cd", 20), 43, commitTime.Add(time.Hour)
	a, b := build(t, bundle.Builder{}, config(), layers()), build(t, bundle.Builder{}, other, layers())
	if a.Config.Content != b.Config.Content || a.Descriptor.Digest == b.Descriptor.Digest {
		t.Error("the content digest depends on the commit, or the manifest does not")
	}
}

func TestWhatAgentsWouldRefuseIsNotBuilt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   []bundle.LayerInput
		want string
	}{
		"path":      {[]bundle.LayerInput{{Files: []bundle.File{{Path: "../x"}}}}, bundle.BadPath},
		"duplicate": {[]bundle.LayerInput{{Files: []bundle.File{{Path: "x"}, {Path: "x"}}}}, bundle.Duplicate},
		"module":    {[]bundle.LayerInput{{Module: "a"}, {Module: "a"}}, bundle.Duplicate},
		"too many":  {[]bundle.LayerInput{{Files: make([]bundle.File, 20_001)}}, bundle.BadPath},
		"too large": {[]bundle.LayerInput{{Files: []bundle.File{{Path: "x", Data: make([]byte, 33<<20)}}}}, bundle.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.Build(config(), tt.in)
			wantRefusal(t, err, tt.want)
		})
	}
}

func TestHostileDocumentsAreRefused(t *testing.T) {
	t.Parallel()
	built := build(t, bundle.Builder{}, config(), layers())
	cfg := built.Blobs[len(built.Blobs)-1].Data
	edit := func(data []byte, old, new string) []byte {
		t.Helper()
		if !strings.Contains(string(data), old) {
			t.Fatalf("%q is not in the document", old)
		}
		return []byte(strings.Replace(string(data), old, new, 1))
	}
	manifest := func(data []byte) error { _, err := bundle.ReadManifest(data); return err }
	conf := func(data []byte) error { _, err := bundle.ReadConfig(data); return err }
	tests := []struct {
		attack, want string
		read         func([]byte) error
		data         []byte
	}{
		{"other schema", bundle.BadFormat, manifest, edit(built.Manifest, `"schemaVersion":2`, `"schemaVersion":1`)},
		{"an index", bundle.BadFormat, manifest, edit(built.Manifest, "image.manifest", "image.index")},
		{"strange digest", bundle.BadFormat, manifest, edit(built.Manifest, "sha256:", "sha256:../")},
		{"negative size", bundle.TooLarge, manifest, edit(built.Manifest, `"size":`, `"size":-`)},
		{"huge size", bundle.TooLarge, manifest, edit(built.Manifest, `"size":`, `"size":99999999999`)},
		{"trailing", bundle.Trailing, manifest, append(slices.Clone(built.Manifest), "{}"...)},
		{"cut", bundle.BadFormat, manifest, built.Manifest[:100]},
		{"padded", bundle.TooLarge, manifest, append(slices.Clone(built.Manifest), make([]byte, bundle.MaxManifest)...)},
		{"future format", bundle.BadFormat, conf, edit(cfg, `"formatVersion":1`, `"formatVersion":2`)},
		{"other content", bundle.WrongDigest, conf, edit(cfg, `"module":"web"`, `"module":"wed"`)},
		{"module twice", bundle.Duplicate, conf, edit(cfg, `"module":"web"`, `"module":"empty"`)},
		{"negative counter", bundle.BadFormat, conf, edit(cfg, `"counter":42`, `"counter":-1`)},
	}
	for _, tt := range tests {
		t.Run(tt.attack, func(t *testing.T) { wantRefusal(t, tt.read(tt.data), tt.want) })
	}
}

func TestAConfigOfAnotherBundleIsRefused(t *testing.T) {
	t.Parallel()
	store := bundletest.NewMemory()
	built := build(t, bundle.Builder{}, config(), layers())
	if err := built.Push(t.Context(), store, ""); err != nil {
		t.Fatal(err)
	}
	other := build(t, bundle.Builder{}, config(), layers()[:1])
	if err := other.Push(t.Context(), store, ""); err != nil {
		t.Fatal(err)
	}
	m, err := bundle.ReadManifest(built.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	m.Config = other.Blobs[len(other.Blobs)-1].Descriptor
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d := bundle.DescriptorOf(bundle.ManifestMediaType, data)
	if err := store.Push(t.Context(), d, strings.NewReader(string(data))); err != nil {
		t.Fatal(err)
	}
	_, _, err = bundle.Read(t.Context(), store, d)
	wantRefusal(t, err, bundle.BadFormat)
}

func FuzzReadManifest(f *testing.F) {
	f.Add(build(f, bundle.Builder{}, config(), layers()).Manifest)
	f.Add([]byte(`{"schemaVersion":2,"subject":null,"layers":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := bundle.ReadManifest(data); err == nil {
			again, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bundle.ReadManifest(again); err != nil && len(again) <= bundle.MaxManifest {
				t.Fatal(err)
			}
		}
	})
}

func FuzzReadConfig(f *testing.F) {
	blobs := build(f, bundle.Builder{}, config(), layers()).Blobs
	f.Add(blobs[len(blobs)-1].Data)
	f.Add([]byte(`{"formatVersion":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := bundle.ReadConfig(data); err == nil && c.FormatVersion != 1 {
			t.Fatal("format version", c.FormatVersion)
		}
	})
}
