// Package superblock says what a block device holds: a file system, swap space, a part of a volume group or an array, or a
// partition table.
//
// Where each of them keeps its signature is what libblkid documents (util-linux, libblkid/src/superblocks and
// libblkid/src/partitions). The package refuses to guess in favour of "nothing": bytes it does not know where a boot sector or a
// label would be are reported as [Unknown], since whoever asks may be about to write. It reads a few blocks, less than 300 KiB
// in all, and changes nothing.
package superblock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Kind says what sort of thing a signature stands for.
type Kind string

// The kinds.
const (
	Filesystem Kind = "file system"
	Swap       Kind = "swap space"
	Member     Kind = "part of something larger" // a volume group, an array, an encrypted device
	Table      Kind = "partition table"
	Unknown    Kind = "unknown bytes"
)

// A Signature is one thing that a device holds.
type Signature struct {
	Type  string // as blkid(8) calls it: ext4, LVM2_member, gpt
	Kind  Kind
	Label string
	UUID  string // empty if it has none, or is not looked for
	// Size is how many bytes of the device a file system or swap space covers; 0 if unknown.
	Size int64
	// Log is how many of these bytes hold the journal of XFS, which statfs(2) leaves out.
	Log int64
	// Part is the number of the device in a btrfs, which may be on several.
	Part uint64
}

// String names the signature for people.
func (s Signature) String() string {
	switch {
	case s.Kind == Unknown:
		return "bytes of an unknown kind"
	case s.Label != "":
		return fmt.Sprintf("%s (%s) labelled %q", s.Type, s.Kind, s.Label)
	}
	return fmt.Sprintf("%s (%s)", s.Type, s.Kind)
}

// Read returns what a device of size bytes holds: nothing for an empty list. Several signatures are there when a device
// was used for one thing after another and not wiped between, or when the parts of a mirror hold a file system. An error is
// always one of reading.
func Read(device io.ReaderAt, size int64) ([]Signature, error) {
	d := &disk{from: device, size: size}
	looks := []func(*disk) *Signature{ext, xfs, btrfs, vfat, swap, lvm, arrayMember, zfs}
	for _, m := range magics() {
		looks = append(looks, m.look)
	}
	found := d.each(append(looks, gpt, dos)...)
	if len(found) == 0 {
		if found = d.each(nilfs, gptCopy, unknown); len(found) > 1 {
			found = found[:1]
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return found, nil
}

// each collects what is found.
func (d *disk) each(looks ...func(*disk) *Signature) []Signature {
	var found []Signature
	for _, look := range looks {
		if s := look(d); s != nil {
			found = append(found, *s)
		}
	}
	return found
}

// unknown looks at the first kilobyte, where a boot sector or a label would be. What wipefs(8) leaves of the usual file
// systems lies behind it.
func unknown(d *disk) *Signature {
	if len(bytes.Trim(d.at(0, min(1024, d.size)), "\x00")) == 0 {
		return nil
	}
	return &Signature{Type: "unknown", Kind: Unknown}
}

// A disk is a device that is being looked at. It keeps the first error of reading: whoever asks for bytes that are not there
// gets none.
type disk struct {
	from io.ReaderAt
	size int64
	err  error
}

// at reads n bytes at an offset; nil if the device does not have them.
func (d *disk) at(offset, n int64) []byte {
	if d.err != nil || offset < 0 || n < 0 || offset > d.size-n {
		return nil
	}
	b := make([]byte, n)
	got, err := d.from.ReadAt(b, offset)
	if int64(got) == n {
		return b
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.err = fmt.Errorf("reading %d bytes at %d: %w", n, offset, err)
	return nil
}

// has says whether a text is at an offset.
func (d *disk) has(offset int64, text string) bool {
	return bytes.Equal(d.at(offset, int64(len(text))), []byte(text))
}
