package superblock

// gpt looks for the header behind the first sector.
func gpt(d *disk) *Signature {
	for _, sector := range []int64{512, 4096} {
		if d.has(sector, "EFI PART") {
			return &Signature{Type: "gpt", Kind: Table}
		}
	}
	return nil
}

// gptCopy looks for the copy in the last sector. It is left from another time if something else is on the device.
func gptCopy(d *disk) *Signature {
	for _, sector := range []int64{512, 4096} {
		if d.has(d.size-sector, "EFI PART") {
			return &Signature{Type: "gpt", Kind: Table}
		}
	}
	return nil
}

// dos looks for a table of four partitions in the first sector, of which at least one is used. The boot sectors of some file
// systems end alike, with code where the table would be; the table that only protects a GPT is none.
func dos(d *disk) *Signature {
	b := d.at(0, 512)
	if b == nil || b[510] != 0x55 || b[511] != 0xaa || vfat(d) != nil {
		return nil
	}
	for _, boot := range []string{"NTFS    ", "EXFAT   ", "-FVE-FS-"} {
		if d.has(3, boot) {
			return nil
		}
	}
	used := false
	for at := 446; at < 510; at += 16 {
		if b[at] != 0 && b[at] != 0x80 || b[at+4] == 0xee {
			return nil
		}
		used = used || b[at+4] != 0
	}
	if !used {
		return nil
	}
	return &Signature{Type: "dos", Kind: Table}
}
