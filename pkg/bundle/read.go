package bundle

import (
	"archive/tar"
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ReadLayer reads the files of a compressed layer, sorted by path. It refuses names that leave the layer, links,
// devices, the same file twice, more than the limits, and bytes after the end, each with a [Refusal]. It reads as a
// stream and allocates for what is there, not for what a header claims.
//
// r is read to its end unless a limit is exceeded, so that a [Verified] reader has checked digest and size before the files are returned; what it
// says is worth more than a complaint about the format.
func ReadLayer(r io.Reader, l Limits) ([]File, error) {
	return ReadFiles(r, l, func(string) bool { return true })
}

// ReadFiles is [ReadLayer] for the files that are wanted by their paths. All are checked alike; the others are not kept.
func ReadFiles(r io.Reader, l Limits, wanted func(path string) bool) ([]File, error) {
	in := bufio.NewReader(r)
	files, err := readArchive(in, l, wanted)
	if err == nil {
		return files, nil
	}
	if errors.Is(err, ErrLimit) {
		return nil, err // no more of it
	}
	// The rest of a changed layer is read to learn that it was changed.
	var changed *Refusal
	if _, rest := io.Copy(io.Discard, io.LimitReader(in, l.Total)); errors.As(rest, &changed) && changed.Is(ErrDigest) {
		return nil, rest
	}
	return nil, err
}

func readArchive(in *bufio.Reader, l Limits, wanted func(string) bool) ([]File, error) {
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, malformed(err)
	}
	z.Multistream(false)
	content := &capped{r: z, max: l.Total, left: l.Total}
	files, err := readFiles(tar.NewReader(content), l, wanted)
	if err != nil {
		return nil, err
	}
	if err := onlyZeros(content); err != nil {
		return nil, err
	}
	switch _, err := in.ReadByte(); {
	case err == nil:
		return nil, &Refusal{Name: Trailing, Detail: "there are bytes after the end of the layer"}
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return files, nil
}

func readFiles(t *tar.Reader, l Limits, wanted func(string) bool) ([]File, error) {
	var files []File
	var names pathSet
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, malformed(err)
		}
		if n == l.Files {
			return nil, &Refusal{Name: TooMany, Detail: fmt.Sprintf("the layer has more than %d files", l.Files)}
		}
		if err := checkHeader(h, l); err != nil {
			return nil, err
		}
		if err := names.add(h.Name, l); err != nil {
			return nil, err
		}
		if !wanted(h.Name) {
			if _, err := io.Copy(io.Discard, t); err != nil {
				return nil, malformed(err)
			}
			continue
		}
		data, err := readFile(t, h.Size)
		if err != nil {
			return nil, malformed(err)
		}
		files = append(files, File{Path: h.Name, Exec: h.Mode&0o111 != 0, Data: data})
	}
}

// readFile reads a file of size bytes, and has never asked for much more memory than there were bytes.
func readFile(t *tar.Reader, size int64) ([]byte, error) {
	const first = 64 << 10
	data := make([]byte, 0, min(size, first))
	for {
		n, err := io.ReadFull(t, data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err != nil:
			return nil, err
		case int64(len(data)) == size:
			return data, nil
		}
		data = append(make([]byte, 0, min(size, 4*int64(cap(data)))), data...)
	}
}

func checkHeader(h *tar.Header, l Limits) error {
	refuse := func(name, detail string) error { return &Refusal{Name: name, Detail: detail, What: quoted(h.Name)} }
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeLink, tar.TypeSymlink:
		return refuse(Link, "it is a link to "+quoted(h.Linkname)+"; a layer holds regular files only")
	default:
		return refuse(Device, fmt.Sprintf("it is of type %q; a layer holds regular files only", h.Typeflag))
	}
	if h.Size > l.File {
		return refuse(TooLarge, fmt.Sprintf("the file has more than %d bytes", l.File))
	}
	for key := range h.PAXRecords {
		if key != "path" {
			return refuse(BadFormat, "the header holds "+quoted(key)+", which layers do not use")
		}
	}
	return nil
}

// onlyZeros reads the padding after an archive.
func onlyZeros(r io.Reader) error {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return &Refusal{Name: Trailing, Detail: "there are bytes after the end of the archive"}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return malformed(err)
		}
	}
}

// malformed turns what the parsers say into a refusal; what the source says stays.
func malformed(err error) error {
	switch {
	case errors.As(err, new(*Refusal)):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &Refusal{Name: Truncated, Detail: "the layer ends early"}
	case errors.Is(err, tar.ErrHeader), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), isCorrupt(err):
		return &Refusal{Name: BadFormat, Detail: "the layer is not a tar archive in gzip: " + err.Error()}
	}
	return err
}
