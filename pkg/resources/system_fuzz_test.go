package resources

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// Whatever is in the database of update-alternatives: it is read or refused, and the best choice is one of those in it.
func FuzzAlternatives(f *testing.F) {
	f.Add("auto\n/usr/bin/pager\npager.1.gz\n/usr/share/man/man1/pager.1.gz\n\n/bin/more\n50\n/usr/share/man/man1/more.1.gz\n\n")
	f.Add("manual\n/usr/bin/x\n\n/a\n-1\n/b\n2\n\n")
	f.Add("auto\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseChoices(text)
		if err != nil {
			return
		}
		if best := c.best(); len(c.paths) > 0 && !strings.Contains(text, best) {
			t.Fatalf("the best of %q is %q", text, best)
		}
	})
}

// An archive of locales gives the names it holds, and a damaged one an error, without taking much memory.
func FuzzLocaleArchive(f *testing.F) {
	names := "de_DE.utf8\x00en_US.utf8\x00"
	var good bytes.Buffer
	for _, n := range []uint32{0xde020109, 1, 28, 0, 0, 28, uint32(len(names))} {
		if err := binary.Write(&good, binary.NativeEndian, n); err != nil {
			f.Fatal(err)
		}
	}
	good.WriteString(names)
	got, err := archiveNames(bytes.NewReader(good.Bytes()))
	if err != nil || !bytes.Contains(got, []byte("\x00en_US.utf8\x00")) {
		f.Fatalf("%q, %v", got, err)
	}
	f.Add(good.Bytes())
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := archiveNames(bytes.NewReader(data)); err == nil && len(got) > len(data)+2 {
			t.Fatalf("%d bytes out of %d", len(got), len(data))
		}
	})
}

// A line of a boot loader keeps every argument that is not meant, in order.
func FuzzKernelArgument(f *testing.F) {
	f.Add(`GRUB_CMDLINE_LINUX="audit=0 quiet"`, "audit", "1", false)
	f.Add(`GRUB_CMDLINE_LINUX='`, "quiet", "", true)
	f.Fuzz(func(t *testing.T, content, name, value string, absent bool) {
		a := &KernelArgument{Name: name, Value: value}
		if absent {
			a.Ensure, a.Value = "absent", ""
		}
		if a.Validate() != nil {
			return
		}
		planTwice(t, a, grubDefaults, content, func(s string) bool { return !strings.HasPrefix(s, "GRUB_CMDLINE_LINUX=") })
	})
}

// Variables that are not meant stay in /etc/environment.
func FuzzEnvironment(f *testing.F) {
	f.Add("PATH=/bin\nexport A=1\nA = 2\n", "A", "x y", false)
	f.Fuzz(func(t *testing.T, content, name, value string, absent bool) {
		e := &Environment{Name: name, Value: &value}
		if absent {
			e.Ensure, e.Value = "absent", nil
		}
		if e.Validate() != nil {
			return
		}
		planTwice(t, e, "/etc/environment", content, func(s string) bool { return !strings.Contains(s, name) })
	})
}
