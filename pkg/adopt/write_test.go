package adopt

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/policyfmt"
	"vigo.dev/pkg/resources"
)

// What is written reads back as what was found, whatever a file or a comment holds.
func TestFilesReadBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var result Result
		want := map[string]any{}
		for i := range 8 {
			name, text := "/etc/"+randomText(r, "abc d'\"#:é", 6)+fmt.Sprint(i), randomText(r, "ab \t\n\n:#-'\"{}[]|>&*!%@\\é€~\r\x01", 40)
			res := Resource{Module: "m", Type: "file", Identity: name, Attrs: map[string]any{"mode": "0644", "owner": randomText(r, "12 yesno~", 3) + "1"}}
			if inline([]byte(text)) {
				res.Attrs["content"] = text
			} else {
				res.Attrs["source"], res.data = strings.TrimPrefix(name, "/"), []byte(text)
			}
			want[name] = text
			result.Resources = append(result.Resources, res)
		}
		files, err := result.Files(policyfmt.New(resources.Registry()), Naming{Node: "n", Role: "n"})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		fsys := fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: x\n")}}
		for name, data := range files {
			fsys[name] = &fstest.MapFile{Data: data}
		}
		p, _, err := policy.Read(fsys, func(*policy.Policy, *policy.Content) error { return nil })
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, files["modules/m/module.yaml"])
		}
		for i, d := range p.Modules["m"].Resources {
			is, found := d.Attrs["content"]
			if source, ok := d.Attrs["source"].(string); ok {
				is, found = string(files["modules/m/files/"+source]), true
			}
			if !found || is != want[d.Identity] || d.Attrs["owner"] != result.Resources[i].Attrs["owner"] {
				t.Fatalf("seed %d: %q is read back as %q, want %q\n%s", seed, d.Identity, is, want[d.Identity], files["modules/m/module.yaml"])
			}
		}
	}
}

func randomText(r *rand.Rand, letters string, most int) string {
	all := []rune(letters)
	var b strings.Builder
	for range r.IntN(most) {
		b.WriteRune(all[r.IntN(len(all))])
	}
	return b.String()
}
