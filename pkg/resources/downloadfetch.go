package resources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"

	"vigo.dev/pkg/host"
)

// part is where a download that broke off is kept. Its name begins with a dot, so that folders of configuration pass over it.
func (d *Download) part() string {
	return path.Join(path.Dir(d.Path), "."+path.Base(d.Path)+".vigo-part")
}

// fetch asks one URL after the other until the content is in place.
func (d *Download) fetch(ctx context.Context, h *host.Host, digest string, attr host.Attr) error {
	var all error
	for n, from := range slices.Concat([]string{d.URL}, d.Mirrors) {
		q := host.Request{URL: from, Limit: d.MaxSize}
		if n == 0 {
			q.Header = d.Headers
		}
		one := &downloading{Download: d, h: h, q: q, digest: digest, attr: attr}
		err := one.fetch(ctx)
		if err != nil && one.resumed && (one.other || errors.Is(err, host.ErrRange)) {
			// What was kept belongs to another content.
			if err = h.FS.Remove(ctx, d.part(), false); err == nil {
				err = one.fetch(ctx)
			}
		}
		if err == nil {
			return h.FS.Remove(ctx, d.part(), false)
		}
		all = errors.Join(all, err)
		if ctx.Err() != nil || !one.broke && !one.other {
			break // no other server does better
		}
	}
	return all
}

// downloading is a download from one URL.
type downloading struct {
	*Download
	h      *host.Host
	q      host.Request
	digest string
	attr   host.Attr

	resumed bool // goes on behind what was kept
	other   bool // the content has another digest
	broke   bool // the server failed
}

// fetch streams the content into place; what has another digest is thrown away before it is seen.
func (d *downloading) fetch(ctx context.Context) error {
	kept, err := d.kept()
	if err != nil {
		return err
	}
	defer kept.Close()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := d.h.Fetch.Fetch(ctx, d.q, w)
		w.CloseWithError(err)
		done <- err
	}()
	sum, check := sha256.New(), validation(d.h, d.Validation)
	d.other = false
	err = d.h.FS.Write(ctx, d.Path, io.TeeReader(io.MultiReader(kept, r), sum), host.WriteOptions{Attr: d.attr, Partial: d.part(),
		Validate: func(ctx context.Context, candidate string) error {
			if got := fmt.Sprintf("%x", sum.Sum(nil)); got != d.digest {
				d.other = true
				return fmt.Errorf("the download has the digest sha256:%s, want sha256:%s", got, d.digest)
			}
			if check == nil {
				return nil
			}
			return check(ctx, candidate)
		}})
	r.Close() // ends the fetch, if the write ended first
	fetched := <-done
	d.broke = fetched != nil && !errors.Is(fetched, io.ErrClosedPipe)
	return err
}

// kept opens what there is of the content already, and asks for the rest alone.
func (d *downloading) kept() (io.ReadCloser, error) {
	d.q.From, d.resumed = 0, false
	is, err := look(d.h, d.part())
	if err != nil || is == nil || is.Kind != host.File || is.Size == 0 {
		return io.NopCloser(bytes.NewReader(nil)), err
	}
	d.q.From, d.resumed = is.Size, true
	file, err := d.h.FS.Open(d.part())
	if err != nil {
		return nil, fmt.Errorf("opening what was kept of a download: %w", err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(file, is.Size), file}, nil
}

// maxSums bounds a file of digests.
const maxSums = 4 << 20

// digest is what the content should have.
func (d *Download) digest(ctx context.Context, h *host.Host) (string, error) {
	if d.SHA256 != "" {
		return d.SHA256, nil
	}
	from, err := url.Parse(d.URL)
	if err != nil {
		return "", err
	}
	sums, err := url.Parse(d.SHA256Sums)
	if err != nil {
		return "", err
	}
	q := host.Request{URL: d.SHA256Sums, Limit: maxSums}
	if sums.Scheme == from.Scheme && sums.Host == from.Host {
		q.Header = d.Headers
	}
	var text bytes.Buffer
	if _, err := h.Fetch.Fetch(ctx, q, &text); err != nil {
		return "", fmt.Errorf("asking for the digest: %w", err)
	}
	digest, err := digestOfSums(text.String(), path.Base(from.Path))
	if err != nil {
		return "", fmt.Errorf("%s: %w", sums.Redacted(), err)
	}
	return digest, nil
}
