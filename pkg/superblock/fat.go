package superblock

import (
	"fmt"
	"strings"
)

// vfat looks for a FAT in the sense of fat(5): a boot sector with a parameter block that makes sense, whether it names
// itself or not.
func vfat(d *disk) *Signature {
	b := d.at(0, 512)
	if b == nil || !fatBoot(b) || !fatParameters(b) {
		return nil
	}
	s := Signature{Type: "vfat", Kind: Filesystem}
	sector, cluster := int64(le.Uint16(b[11:])), int64(b[13])
	reserved, fats := int64(le.Uint16(b[14:])), int64(b[16])
	sectors := uint64(le.Uint16(b[19:]))
	if sectors == 0 {
		sectors = uint64(le.Uint32(b[32:]))
	}
	s.Size = product(sectors, uint64(sector))
	length, serial, label := int64(le.Uint16(b[22:])), b[0x27:0x2b], b[0x2b:0x36]
	root, rootSize := (reserved+fats*length)*sector, int64(le.Uint16(b[17:]))*32
	if length == 0 { // 32 bits
		serial, label = b[0x43:0x47], b[0x47:0x52]
		root = (reserved + fats*int64(le.Uint32(b[36:])) + (int64(le.Uint32(b[44:]))-2)*cluster) * sector
		rootSize = cluster * sector
	}
	s.UUID = fmt.Sprintf("%02X%02X-%02X%02X", serial[3], serial[2], serial[1], serial[0])
	if inRoot := fatLabel(d.at(root, min(rootSize, fatRootLimit))); inRoot != "" {
		label = []byte(inRoot)
	}
	if string(label) != noLabelFAT {
		s.Label = strings.TrimRight(text(label), " ")
	}
	return &s
}

// fatBoot says whether a boot sector names a FAT, or starts with a jump as one of a FAT that does not.
func fatBoot(b []byte) bool {
	for _, name := range []string{"FAT12   ", "FAT16   ", "FAT     ", "MSDOS"} {
		if strings.HasPrefix(string(b[0x36:]), name) {
			return true
		}
	}
	if name := string(b[0x52:]); strings.HasPrefix(name, "FAT32   ") || strings.HasPrefix(name, "MSWIN") {
		return true
	}
	return (b[0] == 0xeb || b[0] == 0xe9) && b[510] == 0x55 && b[511] == 0xaa
}

// fatParameters says whether the parameter block makes sense.
func fatParameters(b []byte) bool {
	powerOfTwo := func(n uint16) bool { return n != 0 && n&(n-1) == 0 }
	sector, media := le.Uint16(b[11:]), b[21]
	return powerOfTwo(sector) && sector >= 512 && sector <= 4096 && powerOfTwo(uint16(b[13])) && le.Uint16(b[14:]) != 0 && b[16] != 0 &&
		(media >= 0xf8 || media == 0xf0) && (le.Uint16(b[22:]) != 0 || le.Uint32(b[36:]) != 0)
}

// fatLabel is the name of the file system among the entries of its root directory, where other systems change it; empty if
// there is none.
func fatLabel(entries []byte) string {
	for ; len(entries) >= 32 && entries[0] != 0; entries = entries[32:] {
		attributes := entries[11] & 0x3f
		if entries[0] != 0xe5 && attributes != 0x0f && attributes&0x18 == 0x08 {
			return string(entries[:11])
		}
	}
	return ""
}
