package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed static templates
var files embed.FS

// assets are the style sheet, the script and the icon, each under a name with its hash: what a browser has kept is never old.
type assets map[string]asset // by path

type asset struct {
	name, kind string
	body       []byte
}

func loadAssets() (assets, error) {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	all := assets{}
	for _, name := range []string{"vigo.css", "vigo.js", "vigo.svg"} {
		body, err := files.ReadFile("static/" + name)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the dashboard: %w", err)
		}
		sum, ext := sha256.Sum256(body), path.Ext(name)
		at := "/ui/static/" + strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:6]) + ext
		all[at] = asset{name, kinds[ext], body}
	}
	return all, nil
}

// path is where the asset of a name is.
func (a assets) path(name string) string {
	for at, file := range a {
		if file.name == name {
			return at
		}
	}
	return ""
}

// ServeHTTP implements http.Handler.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(file.body) // the browser may be gone
}
