package superblock_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/superblock"
)

var record = flag.String("record", "", "write testdata/NAME from an image: NAME=IMAGE=how it was made")

// A sample is what [superblock.Read] looks at of a device that the tools of a file system made: its size, and the sectors
// that are not empty.
type sample struct {
	size    int64
	sectors map[int64][]byte
}

func (s sample) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 || offset+int64(len(b)) > s.size {
		return 0, io.EOF
	}
	for i := range b {
		at := offset + int64(i)
		b[i] = 0
		if sector := s.sectors[at&^511]; int(at&511) < len(sector) {
			b[i] = sector[at&511]
		}
	}
	return len(b), nil
}

// with is the sample with something else on it as well.
func (s sample) with(offset int64, data []byte) sample {
	sectors := map[int64][]byte{}
	for at, sector := range s.sectors {
		sectors[at] = append(slices.Clone(sector), make([]byte, 512-len(sector))...)
	}
	for i, b := range data {
		at := offset + int64(i)
		if sectors[at&^511] == nil {
			sectors[at&^511] = make([]byte, 512)
		}
		sectors[at&^511][at&511] = b
	}
	return sample{s.size, sectors}
}

// blank is a device with nothing on it.
func blank(size int64) sample { return sample{size: size} }

func readSample(t testing.TB, name string) (s sample, want string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	s.sectors = map[int64][]byte{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "#":
		case "size":
			s.size, err = strconv.ParseInt(value, 10, 64)
		case "holds":
			want = value
		default:
			var at int64
			at, err = strconv.ParseInt(key, 0, 64)
			if err == nil {
				s.sectors[at], err = hex.DecodeString(value)
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return s, want
}

// describe renders all that is said of a device.
func describe(found []superblock.Signature) string {
	var all []string
	for _, s := range found {
		all = append(all, fmt.Sprintf("%s label=%q uuid=%s size=%d log=%d", s.Type, s.Label, s.UUID, s.Size, s.Log))
	}
	return strings.Join(all, "; ")
}

// TestSamples: what was made by mkfs and its like is recognised, with label and UUID as they were asked for.
func TestSamples(t *testing.T) {
	t.Parallel()
	if *record != "" {
		writeSample(t)
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		s, want := readSample(t, f.Name())
		found, err := superblock.Read(s, s.size)
		if err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
		if diff := cmp.Diff(want, describe(found)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", f.Name(), diff)
		}
	}
}

func writeSample(t *testing.T) {
	parts := strings.SplitN(*record, "=", 3)
	image, err := os.Open(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	info, err := image.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{from: image, sectors: map[int64][]byte{}}
	found, err := superblock.Read(r, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\nsize %d\nholds %s\n", parts[2], info.Size(), describe(found))
	var at []int64
	for offset := range r.sectors {
		at = append(at, offset)
	}
	slices.Sort(at)
	for _, offset := range at {
		if sector := bytes.TrimRight(r.sectors[offset], "\x00"); len(sector) > 0 {
			fmt.Fprintf(&b, "0x%x %x\n", offset, sector)
		}
	}
	if err := os.WriteFile(filepath.Join("testdata", parts[0]), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A recorder keeps the sectors that were looked at.
type recorder struct {
	from    io.ReaderAt
	sectors map[int64][]byte
}

func (r *recorder) ReadAt(b []byte, offset int64) (int, error) {
	for at := offset &^ 511; at < offset+int64(len(b)); at += 512 {
		sector := make([]byte, 512)
		if _, err := r.from.ReadAt(sector, at); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		r.sectors[at] = sector
	}
	return r.from.ReadAt(b, offset)
}

// TestNothing: an empty device holds nothing, whatever its size, and what wipefs leaves behind the first kilobyte is nothing.
func TestNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 511, 512, 1024, 4096, 65536, 1 << 20, 64 << 20, 1 << 40} {
		if found, err := superblock.Read(blank(size), size); err != nil || len(found) != 0 {
			t.Errorf("%d bytes: %v, %v", size, found, err)
		}
	}
	s, _ := readSample(t, "ext4")
	if found, err := superblock.Read(s.with(1024+0x38, []byte{0, 0}), s.size); err != nil || len(found) != 0 {
		t.Errorf("after wipefs: %v, %v", found, err)
	}
}

// TestPlaces: what is made by hand at the places that the documentation gives.
func TestPlaces(t *testing.T) {
	t.Parallel()
	const size = 128 << 20
	md := binary.LittleEndian.AppendUint32(nil, 0xa92b4efc)
	table := make([]byte, 66)
	table[4], table[64], table[65] = 0x83, 0x55, 0xaa
	protective := slices.Clone(table)
	protective[4] = 0xee
	ring := make([]byte, 4<<10)
	for i := range 4 {
		binary.LittleEndian.PutUint64(ring[i<<10:], 0xbab10c)
	}
	for _, c := range []struct {
		at   int64
		data []byte
		want string
	}{
		{512, []byte("LABELONE\x01\x00\x00\x00\x00\x00\x00\x00aaaabbbbLVM2 001"), "LVM2_member"},
		{0, md, "linux_raid_member"},
		{4 << 10, md, "linux_raid_member"},
		{size - 64<<10, md, "linux_raid_member"},
		{size - 8<<10, md, "linux_raid_member"},
		{size - 512, []byte("EFI PART"), "gpt"},
		{512, []byte("EFI PART"), "gpt"},
		{446, table, "dos"},
		{446, protective, "unknown"},
		{510, []byte{0x55, 0xaa}, "unknown"},
		{128 << 10, ring, "zfs_member"},
		{size - 128<<10, ring, "zfs_member"},
		{0, []byte("LUKS\xba\xbe"), "crypto_LUKS"},
		{3, []byte("NTFS    "), "ntfs"},
		{1030, []byte("44"), "nilfs2"},
		{100, []byte("my database"), "unknown"},
		{16<<10 - 10, []byte("SWAPSPACE2"), "swap"},
		{4<<10 - 10, []byte("S1SUSPEND\x00"), "swsuspend"},
	} {
		found, err := superblock.Read(blank(size).with(c.at, c.data), size)
		if err != nil || len(found) != 1 || found[0].Type != c.want {
			t.Errorf("%q at %d: want %s, got %v, %v", c.data, c.at, c.want, found, err)
		}
	}
}

// TestSeveral: what one use left behind is told beside what the next one made of it.
func TestSeveral(t *testing.T) {
	t.Parallel()
	s, _ := readSample(t, "ext4")
	table := make([]byte, 66)
	table[4], table[64], table[65] = 0x83, 0x55, 0xaa
	for _, c := range []struct {
		s    sample
		want []string
	}{
		{s.with(446, table), []string{"ext4", "dos"}},
		{s.with(512, []byte("LABELONE\x01\x00\x00\x00\x00\x00\x00\x00aaaabbbbLVM2 001")), []string{"ext4", "LVM2_member"}},
		{s.with(s.size-512, []byte("EFI PART")), []string{"ext4"}},                                    // a copy that is left alone
		{s.with(0, []byte("boot code")), []string{"ext4"}},                                            // a boot loader
		{s.with(1024+6, []byte("44")), []string{"ext4"}},                                              // the high half of its count of blocks
		{s.with(s.size-8<<10, []byte{0xfc, 0x4e, 0x2b, 0xa9}), []string{"ext4", "linux_raid_member"}}, // half of a mirror
	} {
		found, err := superblock.Read(c.s, c.s.size)
		var types []string
		for _, f := range found {
			types = append(types, f.Type)
		}
		if diff := cmp.Diff(c.want, types); diff != "" || err != nil {
			t.Errorf("%v: -want +got:\n%s", err, diff)
		}
	}
}

// TestReadError: a device that cannot be read is not an empty one.
func TestReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	if found, err := superblock.Read(failing{broken}, 1<<20); !errors.Is(err, broken) || found != nil {
		t.Errorf("got %v, %v", found, err)
	}
	if found, err := superblock.Read(bytes.NewReader(make([]byte, 100)), 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) || found != nil {
		t.Errorf("of a device that is shorter than it said: got %v, %v", found, err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// FuzzRead: whatever is at the start of a device and where btrfs and others begin, it is read without harm, sizes are those of
// a device, and it holds nothing only if the first kilobyte is empty.
func FuzzRead(f *testing.F) {
	const size, far = 1 << 20, 64 << 10
	for _, name := range []string{"ext4", "xfs", "btrfs", "fat32", "swap", "lvm2"} {
		s, _ := readSample(f, name)
		head, rest := make([]byte, 4<<10), make([]byte, 1<<10)
		for at, b := range map[int64][]byte{0: head, far: rest} {
			if _, err := s.ReadAt(b, at); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(head, rest)
	}
	f.Fuzz(func(t *testing.T, head, rest []byte) {
		head, rest = head[:min(len(head), far)], rest[:min(len(rest), far)]
		found, err := superblock.Read(blank(size).with(0, head).with(far, rest), size)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range found {
			if s.Type == "" || s.Kind == "" || s.Size < 0 || s.Log < 0 || s.String() == "" {
				t.Errorf("%+v", s)
			}
		}
		if start := head[:min(1024, len(head))]; len(found) == 0 && len(bytes.Trim(start, "\x00")) > 0 {
			t.Errorf("nothing in %x", start)
		}
	})
}
