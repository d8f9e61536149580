package superblock

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// text cuts a label at the first zero.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	if !utf8.Valid(b) {
		return fmt.Sprintf("%q", b)
	}
	return string(b)
}

// uuid renders 16 bytes; empty if all are zero.
func uuid(b []byte) string {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// product multiplies a count and a unit; 0 if that is no size of a device.
func product(count, unit uint64) int64 {
	high, low := bits.Mul64(count, unit)
	if high != 0 || low > math.MaxInt64 {
		return 0
	}
	return int64(low)
}

// Feature words of ext2 and its successors (ext2_fs.h).
const (
	extHasJournal      = 0x4              // compatible
	extJournalDevice   = 0x8              // incompatible
	ext64Bit           = 0x80             // incompatible
	ext3Incompatible   = 0x2 | 0x4 | 0x10 // all that ext3 knows: file types, recovery, meta block groups
	ext3ReadCompatible = 0x1 | 0x2 | 0x4  // all that ext3 knows: sparse super blocks, large files, tree directories
	extSuper           = int64(1024)      // where the super block is
	extSuperSize       = int64(0x154)     // as far as the high half of the count of blocks
	maxExtBlockLog     = 6                // blocks of 64 KiB
	noLabelFAT         = "NO NAME    "    // what mkfs.fat writes for none
	fatRootLimit       = int64(64 << 10)  // bytes of a root directory that are searched for the label
	btrfsSuper         = int64(64 << 10)  // where the first super block is
	xfsSuperSize       = int64(128)       // as far as the label
	swapHeader         = int64(1024)      // behind room for a boot sector
	swapMagicLength    = int64(10)        // at the end of the first page
)

func ext(d *disk) *Signature {
	if !d.has(extSuper+0x38, "\x53\xef") {
		return nil
	}
	b := d.at(extSuper, extSuperSize)
	if b == nil {
		return &Signature{Type: "ext", Kind: Unknown}
	}
	compatible, incompatible, readCompatible := le.Uint32(b[0x5c:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
	s := Signature{Type: "ext2", Kind: Filesystem, Label: text(b[0x78:0x88]), UUID: uuid(b[0x68:0x78])}
	switch {
	case incompatible&extJournalDevice != 0:
		s.Type, s.Kind = "jbd", Member
	case incompatible&^ext3Incompatible != 0 || readCompatible&^ext3ReadCompatible != 0:
		s.Type = "ext4"
	case compatible&extHasJournal != 0:
		s.Type = "ext3"
	}
	blocks := uint64(le.Uint32(b[4:]))
	if incompatible&ext64Bit != 0 {
		blocks |= uint64(le.Uint32(b[0x150:])) << 32
	}
	if shift := le.Uint32(b[0x18:]); shift <= maxExtBlockLog {
		s.Size = product(blocks, 1024<<shift)
	}
	return &s
}

func xfs(d *disk) *Signature {
	if !d.has(0, "XFSB") {
		return nil
	}
	s := Signature{Type: "xfs", Kind: Filesystem}
	b := d.at(0, xfsSuperSize)
	if b == nil {
		return &s
	}
	block := uint64(be.Uint32(b[4:]))
	s.UUID, s.Label, s.Size = uuid(b[32:48]), text(b[108:120]), product(be.Uint64(b[8:]), block)
	if be.Uint64(b[48:]) != 0 { // the journal is inside
		s.Log = product(uint64(be.Uint32(b[96:])), block)
	}
	return &s
}

func btrfs(d *disk) *Signature {
	if !d.has(btrfsSuper+64, "_BHRfS_M") {
		return nil
	}
	s := Signature{Type: "btrfs", Kind: Filesystem}
	// 0xc9 is the description of this device, 0x12b the label.
	if b := d.at(btrfsSuper, 0x12b+256); b != nil {
		s.UUID, s.Label, s.Size, s.Part = uuid(b[32:48]), text(b[0x12b:]), product(le.Uint64(b[0xc9+8:]), 1), le.Uint64(b[0xc9:])
	}
	return &s
}

// swap looks at the end of the first page, whose size depends on the machine.
func swap(d *disk) *Signature {
	for page := int64(4 << 10); page <= 64<<10; page *= 2 {
		switch magic := string(d.at(page-swapMagicLength, swapMagicLength)); magic {
		case "SWAPSPACE2", "SWAP-SPACE":
			s := Signature{Type: "swap", Kind: Swap}
			if b := d.at(swapHeader, 44); magic == "SWAPSPACE2" && b != nil {
				s.UUID, s.Label = uuid(b[12:28]), text(b[28:44])
				s.Size = product(uint64(le.Uint32(b[4:]))+1, uint64(page))
			}
			return &s
		case "S1SUSPEND\x00", "S2SUSPEND\x00", "ULSUSPEND\x00", "LINHIB0001":
			return &Signature{Type: "swsuspend", Kind: Member} // the memory of a machine that sleeps
		}
	}
	return nil
}
