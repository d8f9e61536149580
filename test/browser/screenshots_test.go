package browser

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestScreenshots makes the pictures in the folder that VIGO_SCREENSHOTS names: `make screenshots`.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("VIGO_SCREENSHOTS")
	if dir == "" {
		t.Skip("VIGO_SCREENSHOTS names no folder")
	}
	must(t, os.MkdirAll(dir, 0o755))
	f := newFleet(t)
	f.show(t)
	tb := newTab(t, f)
	tb.login(f.admin)
	tb.await("the silence of the factory", `document.getElementById("part-counters").innerText.match(/8\s*○?\s*stale/) !== null`)
	for _, page := range []struct{ name, path string }{{"overview", "/ui/"}, {"nodes", "/ui/nodes"}, {"node", "/ui/nodes/web-09"}, {"compliance", "/ui/compliance"},
		{"inventory", `/ui/inventory?where=version(packages.openssl.version)+<+version("3.0.17")&show=os.codename,packages.openssl.version,kernel.release`}} {
		shoot(t, tb, dir, page.name, page.path)
	}
	tb.clean("the pages")
	f, machines := moving(t)
	tb = newTab(t, f)
	tb.login(f.admin)
	tb.open("/ui/rollouts/production")
	tb.await("the canaries", `document.getElementById("live-rollout").innerText.match(/3\s*↻?\s*admitted/) !== null`)
	machines.take("db-01", "db-02", "db-03")
	tb.await("that somebody has to agree", `document.getElementById("live-rollout").innerText.includes("waiting-approval")`)
	shoot(t, tb, dir, "rollout", "/ui/rollouts/production?node=web-05&word=healthy")
}

// shoot makes the pictures of a page: wide and narrow, light and dark.
func shoot(t *testing.T, tb *tab, dir, name, path string) {
	t.Helper()
	for _, size := range []struct{ width, height int64 }{{1920, 1080}, {375, 812}} {
		for _, theme := range []string{"light", "dark"} {
			tb.view(size.width, size.height, theme == "dark")
			tb.open(path)
			tb.await("the stream", `document.getElementById("link").textContent === "Live."`)
			picture, err := chromedp.Run(tb.ctx, chromedp.CaptureScreenshot())
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, size.width, theme)), small(t, picture), 0o644))
		}
	}
}

// small is a picture with 256 colours, in a third of the bytes: the most frequent ones, but none that looks like another one.
func small(t *testing.T, data []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	must(t, err)
	counts, box := map[color.RGBA]int{}, img.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			counts[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
	}
	all := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return counts[b] - counts[a] })
	palette := make(color.Palette, 0, 256)
	for _, c := range all {
		if len(palette) < 256 && (len(palette) == 0 || distance(c, palette[palette.Index(c)].(color.RGBA)) > 150) {
			palette = append(palette, c)
		}
	}
	nearest := map[color.RGBA]uint8{}
	out := image.NewPaletted(box, palette)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			index, known := nearest[c]
			if !known {
				index = uint8(palette.Index(c))
				nearest[c] = index
			}
			out.SetColorIndex(x, y, index)
		}
	}
	var buf bytes.Buffer
	must(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&buf, out))
	return buf.Bytes()
}

func distance(a, b color.RGBA) int {
	r, g, bl := int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B)
	return r*r + g*g + bl*bl
}
