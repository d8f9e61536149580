package resources

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// aclEntry is one entry of an access list, as linux/posix_acl_xattr.h has it.
type aclEntry struct {
	tag, perm uint16
	id        uint32 // of a named user or group
	name      string // as declared
	bigX      bool   // x on directories alone
}

const (
	aclOwner       = 0x01
	aclUser        = 0x02
	aclOwningGroup = 0x04
	aclGroup       = 0x08
	aclMask        = 0x10
	aclOther       = 0x20

	aclVersion = 2
	aclNobody  = 0xffffffff // the id of an entry without a name
)

// parseACL reads entries as a policy has them.
func parseACL(texts []string) ([]aclEntry, error) {
	var entries []aclEntry
	for _, text := range texts {
		parts := strings.Split(text, ":")
		if len(parts) != 3 {
			return nil, fmt.Errorf("%q is not user:NAME:rwx, group:NAME:rwx or mask::rwx", text)
		}
		e := aclEntry{name: parts[1], id: aclNobody}
		switch parts[0] {
		case "user", "u":
			e.tag = aclUser
		case "group", "g":
			e.tag = aclGroup
		case "mask", "m":
			e.tag = aclMask
		}
		if e.tag == 0 || (e.tag == aclMask) != (e.name == "") {
			return nil, fmt.Errorf("%q is not user:NAME:rwx, group:NAME:rwx or mask::rwx; the mode says what the owner may", text)
		}
		for _, c := range parts[2] {
			switch c {
			case 'r':
				e.perm |= 4
			case 'w':
				e.perm |= 2
			case 'x':
				e.perm |= 1
			case 'X':
				e.bigX = true
			case '-':
			default:
				return nil, fmt.Errorf("%q: permissions are of r, w, x, X and -", text)
			}
		}
		if parts[2] == "" {
			return nil, fmt.Errorf("%q has no permissions: - stands for none", text)
		}
		if slices.ContainsFunc(entries, func(o aclEntry) bool { return o.tag == e.tag && o.name == e.name }) {
			return nil, fmt.Errorf("%q is there twice", text)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (e aclEntry) kind() string {
	return map[uint16]string{aclOwner: "user", aclUser: "user", aclOwningGroup: "group", aclGroup: "group", aclMask: "mask",
		aclOther: "other"}[e.tag]
}

// title names an entry for people.
func (e aclEntry) title(ctx context.Context, h *host.Host) string {
	name := e.name
	switch {
	case name != "" || e.id == aclNobody:
	case e.tag == aclUser:
		name = userName(ctx, h, int(e.id))
	default:
		name = groupName(ctx, h, int(e.id))
	}
	return strings.TrimSuffix(e.kind()+":"+name, ":")
}

func aclPerm(perm uint16) string {
	text := []byte("---")
	for n, c := range []byte("rwx") {
		if perm&(4>>n) != 0 {
			text[n] = c
		}
	}
	return string(text)
}

// withMask gives a list the mask that named entries need; given says that there is one to be kept. Without named entries
// there is none.
func withMask(list []aclEntry, given bool) []aclEntry {
	named := slices.ContainsFunc(list, func(e aclEntry) bool { return e.tag == aclUser || e.tag == aclGroup })
	if !named || !given {
		list = slices.DeleteFunc(list, func(e aclEntry) bool { return e.tag == aclMask })
	}
	if named && !given {
		mask := aclEntry{tag: aclMask, id: aclNobody}
		for _, e := range list {
			if e.tag == aclUser || e.tag == aclGroup || e.tag == aclOwningGroup {
				mask.perm |= e.perm
			}
		}
		list = append(list, mask)
	}
	slices.SortFunc(list, func(a, b aclEntry) int { return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.id, b.id)) })
	return list
}

func isPlainACL(list []aclEntry) bool {
	return !slices.ContainsFunc(list, func(e aclEntry) bool { return e.tag == aclUser || e.tag == aclGroup })
}

// decodeACL reads the value of the extended attribute.
func decodeACL(raw []byte) ([]aclEntry, error) {
	if len(raw) < 4 || len(raw)%8 != 4 || binary.LittleEndian.Uint32(raw) != aclVersion {
		return nil, errors.New("the kernel gave an access list of an unknown form")
	}
	var list []aclEntry
	for raw = raw[4:]; len(raw) > 0; raw = raw[8:] {
		e := aclEntry{tag: binary.LittleEndian.Uint16(raw), perm: binary.LittleEndian.Uint16(raw[2:]), id: binary.LittleEndian.Uint32(raw[4:])}
		if e.kind() == "" {
			return nil, fmt.Errorf("the access list has an entry of the unknown kind %#x", e.tag)
		}
		if e.tag != aclUser && e.tag != aclGroup {
			e.id = aclNobody
		}
		list = append(list, e)
	}
	return list, nil
}

func encodeACL(list []aclEntry) []byte {
	raw := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range list {
		raw = binary.LittleEndian.AppendUint16(raw, e.tag)
		raw = binary.LittleEndian.AppendUint16(raw, e.perm)
		raw = binary.LittleEndian.AppendUint32(raw, e.id)
	}
	return raw
}
