package bundletest

import (
	"archive/tar"
	"fmt"
)

// Member is a member without content, of a kind of [archive/tar], whatever its name and what it points to.
func Member(kind byte, name, link string) func(*tar.Writer) error {
	return func(w *tar.Writer) error {
		return w.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o644})
	}
}

// MillionFiles are more members than a layer may have.
func MillionFiles(w *tar.Writer) error {
	for i := range 1_000_000 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint("files/", i), Mode: 0o644}); err != nil {
			return err
		}
	}
	return nil
}

// GibibyteOfZeros are members of which each is allowed, and together more than a layer may unpack to.
func GibibyteOfZeros(w *tar.Writer) error {
	const each = 16 << 20 // each file is allowed; all of them are not
	buf := make([]byte, each)
	for i := range (1 << 30) / each {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint("files/", i), Mode: 0o644, Size: each}); err != nil {
			return err
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}
