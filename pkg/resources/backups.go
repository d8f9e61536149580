package resources

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// maxBackups bounds how many generations of a file are kept.
const maxBackups = 1000

// backups returns where the old file is to be copied to, if anywhere, and the generations that are then too old.
func (f *File) backups(h *host.Host) (next string, oldest []string, err error) {
	if f.Backups == 0 {
		return f.Backup, nil, nil
	}
	if is, err := look(h, f.Path); err != nil || is == nil || is.Kind != host.File {
		return "", nil, err
	}
	entries, err := h.FS.List(path.Dir(f.Path))
	if err != nil {
		return "", nil, fmt.Errorf("looking for backups: %w", err)
	}
	var have []int
	for _, e := range entries {
		if of, n := generation(e.Name); n > 0 && of == path.Base(f.Path) && e.Kind == host.File {
			have = append(have, n)
		}
	}
	slices.Sort(have)
	fresh := 1
	if len(have) > 0 {
		fresh = have[len(have)-1] + 1
	}
	name := func(n int) string { return f.Path + ".~" + strconv.Itoa(n) + "~" }
	for len(have) >= f.Backups {
		oldest = append(oldest, name(have[0]))
		have = have[1:]
	}
	return name(fresh), oldest, nil
}

// generation takes the name of a backup apart, as cp --backup=numbered makes it; n is 0 for another name.
func generation(name string) (of string, n int) {
	at := strings.LastIndex(name, ".~")
	if at < 0 || !strings.HasSuffix(name, "~") || len(name) < at+4 {
		return "", 0
	}
	digits := name[at+2 : len(name)-1]
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || strconv.Itoa(n) != digits {
		return "", 0
	}
	return name[:at], n
}
