package superblock

// A magic is a text at a fixed place.
type magic struct {
	typ    string
	kind   Kind
	offset int64 // from the end of the device if negative
	text   string
}

func (m magic) look(d *disk) *Signature {
	offset := m.offset
	if offset < 0 {
		offset += d.size
	}
	if !d.has(offset, m.text) {
		return nil
	}
	return &Signature{Type: m.typ, Kind: m.kind}
}

// magics are what no more than the name is said of. Most of what begins in the first kilobyte is here for its name only:
// [Read] reports unknown bytes there anyway.
func magics() []magic {
	return []magic{
		{"crypto_LUKS", Member, 0, "LUKS\xba\xbe"},
		{"crypto_LUKS", Member, 16 << 10, "SKUL\xba\xbe"}, // the second header, where the first is damaged
		{"BitLocker", Member, 3, "-FVE-FS-"},
		{"LVM1_member", Member, 0, "HM\x01\x00"},
		{"vdo", Member, 0, "dmvdo001"},
		{"stratis", Member, 512, "!Stra0tis"},
		{"ceph_bluestore", Member, 0, "bluestore block device"},
		{"oracleasm", Member, 32, "ORCLDISK"},
		{"bcache", Member, 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
		{"bcachefs", Filesystem, 4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"},
		{"ddf_raid_member", Member, -512, "\xde\x11\xde\x11"},
		{"isw_raid_member", Member, -1024, "Intel Raid ISM Cfg Sig. "},
		{"VMFS_volume_member", Member, 1 << 20, "\x0d\xd0\x01\xc0"},
		{"VMFS", Filesystem, 2 << 20, "\x5e\xf1\xab\x2f"},
		{"ntfs", Filesystem, 3, "NTFS    "},
		{"exfat", Filesystem, 3, "EXFAT   "},
		{"f2fs", Filesystem, 1024, "\x10\x20\xf5\xf2"},
		{"erofs", Filesystem, 1024, "\xe2\xe1\xf5\xe0"},
		{"hfsplus", Filesystem, 1024, "H+\x00\x04"},
		{"hfsplus", Filesystem, 1024, "HX\x00\x05"},
		{"apfs", Filesystem, 32, "NXSB"},
		{"squashfs", Filesystem, 0, "hsqs"},
		{"romfs", Filesystem, 0, "-rom1fs-"},
		{"cramfs", Filesystem, 0, "\x45\x3d\xcd\x28"},
		{"zonefs", Filesystem, 0, "SFOZ"},
		{"iso9660", Filesystem, 32<<10 + 1, "CD001"},
		{"udf", Filesystem, 32<<10 + 1, "BEA01"},
		{"jfs", Filesystem, 32 << 10, "JFS1"},
		{"gfs2", Filesystem, 64 << 10, "\x01\x16\x19\x70"},
		{"reiserfs", Filesystem, 64<<10 + 0x34, "ReIsErFs"},
		{"reiserfs", Filesystem, 64<<10 + 0x34, "ReIsEr2Fs"},
		{"reiserfs", Filesystem, 64<<10 + 0x34, "ReIsEr3Fs"},
		{"reiser4", Filesystem, 64 << 10, "ReIsEr4"},
		{"ocfs2", Filesystem, 2 << 10, "OCFSV2"},
		{"ocfs2", Filesystem, 4 << 10, "OCFSV2"},
		{"ocfs2", Filesystem, 8 << 10, "OCFSV2"},
		{"ufs", Filesystem, 8<<10 + 1372, "\x54\x19\x01\x00"},
		{"ufs", Filesystem, 64<<10 + 1372, "\x19\x01\x54\x19"},
	}
}

// nilfs has two bytes only, which are part of a count of blocks in ext4.
func nilfs(d *disk) *Signature {
	return magic{"nilfs2", Filesystem, 1024 + 6, "\x34\x34"}.look(d)
}

// lvm looks at the first four sectors, one of which has the label of a physical volume.
func lvm(d *disk) *Signature {
	for at := int64(0); at < 4*512; at += 512 {
		if d.has(at, "LABELONE") && d.has(at+24, "LVM2 001") {
			return &Signature{Type: "LVM2_member", Kind: Member}
		}
	}
	return nil
}

// arrayMember looks for the four places of Linux's arrays: version 0.90 in the last 64 KiB, 1.0 in the last 8 KiB, 1.1 at the
// start and 1.2 at 4 KiB.
func arrayMember(d *disk) *Signature {
	for _, at := range []int64{d.size&^(64<<10-1) - 64<<10, d.size&^(4<<10-1) - 8<<10, 0, 4 << 10} {
		b := d.at(at, 8)
		if b != nil && (le.Uint32(b) == 0xa92b4efc || be.Uint32(b) == 0xa92b4efc) {
			return &Signature{Type: "linux_raid_member", Kind: Member}
		}
	}
	return nil
}

// zfs looks for the ring of blocks in the first of its labels that is there: two are at the start, two at the end. As libblkid
// does, it wants four, since one may be left from another time.
func zfs(d *disk) *Signature {
	const label, ring, block = 256 << 10, 128 << 10, 1 << 10
	end := d.size &^ (label - 1)
	if d.size < 64<<20 {
		return nil
	}
	found := 0
	for _, at := range []int64{0, end - label} {
		b := d.at(at+ring, ring)
		for ; len(b) >= block; b = b[block:] {
			if le.Uint64(b) == 0xbab10c || be.Uint64(b) == 0xbab10c {
				found++
			}
		}
	}
	if found < 4 {
		return nil
	}
	return &Signature{Type: "zfs_member", Kind: Member}
}
