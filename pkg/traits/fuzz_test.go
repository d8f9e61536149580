package traits

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"vigo.dev/pkg/host/hosttest"
)

// seeds adds a file of the fixtures to the corpus.
func seeds(f *testing.F, add func(data []byte), paths ...string) {
	f.Helper()
	for _, name := range paths {
		fixture, path, _ := strings.Cut(name, ":")
		archive, err := txtar.ParseFile("testdata/" + fixture + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		m, err := hosttest.FromArchive(archive)
		if err != nil {
			f.Fatal(err)
		}
		data, err := m.Host().FS.Read(path, 0)
		if err != nil {
			f.Fatal(err)
		}
		add(data)
	}
}

func FuzzParseOSRelease(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(string(data)) }, "os:/etc/os-release", "os-rocky:/usr/lib/os-release")
	f.Fuzz(func(t *testing.T, text string) {
		if os := parseOSRelease(text); os.ID != "" && os.Family == "" {
			t.Errorf("%q is of no family", os.ID)
		}
	})
}

func FuzzParseUtmp(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(data) }, "sessions-utmp:/run/utmp", "sessions-utmp64:/run/utmp", "sessions-damaged:/run/utmp")
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseUtmp(data)
		if err != nil && list != nil {
			t.Error("sessions beside an error")
		}
		if len(list) > len(data)/384 {
			t.Errorf("%d sessions of %d bytes", len(list), len(data))
		}
		for _, s := range list {
			if !utf8.ValidString(s.User+s.Terminal+s.Host) || len(s.User) > 32*3 {
				t.Errorf("session %+q", s)
			}
		}
	})
}

func FuzzParseLogind(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(string(data)) }, "sessions:/run/systemd/sessions/3", "sessions:/run/systemd/sessions/c1")
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := parseLogind(text); ok && s.User == "" {
			t.Error("a session of nobody")
		}
	})
}

func FuzzParseStat(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(string(data)) }, "processes:/proc/1/stat", "processes:/proc/702/stat")
	f.Fuzz(func(t *testing.T, line string) {
		st, err := parseStat(line)
		if err == nil && (!utf8.ValidString(st.name) || st.state == "") {
			t.Errorf("process %+v", st)
		}
	})
}

func FuzzParseCPUInfo(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(string(data)) }, "cpu:/proc/cpuinfo", "cpu-arm:/proc/cpuinfo")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCPUInfo(text)
		if err == nil && (c.Cores < 1 || c.PhysicalCores < 1 || c.Sockets < 1) {
			t.Errorf("processors %+v", c)
		}
	})
}

func FuzzParseMeminfo(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(string(data)) }, "memory:/proc/meminfo", "memory-old:/proc/meminfo")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMeminfo(text)
		if err != nil {
			return
		}
		for _, share := range []int64{m.UsedPercent, m.SwapUsedPercent} {
			if share < 0 || share > 100 {
				t.Errorf("memory %+v", m)
			}
		}
	})
}

// A list gives the same entries however it is cut into blocks, and none that was not asked for.
func FuzzEachEntry(f *testing.F) {
	dir := "/var/lib/apt/lists/"
	seeds(f, func(data []byte) { f.Add(data) },
		"updates:"+dir+"deb.example.com_debian_dists_bookworm_main_binary-amd64_Packages",
		"updates:"+dir+"security.example.com_dists_bookworm-security_Release")
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func(r *bytes.Reader, one bool) (entries []entry) {
			wanted := func(name []byte) bool { return name[0] != 'b' }
			give := func(e entry) { entries = append(entries, e) }
			var err error
			if one {
				err = eachEntry(context.Background(), oneByte{r}, wanted, give)
			} else {
				err = eachEntry(context.Background(), r, wanted, give)
			}
			if err != nil {
				t.Fatal(err)
			}
			return entries
		}
		whole, cut := read(bytes.NewReader(data), false), read(bytes.NewReader(data), true)
		if len(whole) != len(cut) {
			t.Fatalf("%d entries at once, %d byte by byte", len(whole), len(cut))
		}
		for i, e := range whole {
			if e != cut[i] || e.name[0] == 'b' {
				t.Errorf("entry %+v, byte by byte %+v", e, cut[i])
			}
		}
	})
}

type oneByte struct{ r *bytes.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func FuzzParseRelease(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(string(data)) }, "updates:/var/lib/apt/lists/deb.example.com_debian_dists_bookworm-backports_InRelease")
	f.Fuzz(func(t *testing.T, head string) {
		if r := parseRelease(head); r.notAutomatic && !strings.Contains(head, "NotAutomatic") {
			t.Errorf("release %+v", r)
		}
	})
}

func FuzzFirstCertificate(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(data) }, "certificates:/etc/nginx/tls/own.crt", "certificates:/etc/nginx/tls/damaged.crt")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, ok, err := firstCertificate(data)
		if ok && (err != nil || c.Expires == "") {
			t.Errorf("certificate %+v, %v", c, err)
		}
	})
}

func FuzzParseDocument(f *testing.F) {
	seeds(f, func(data []byte) { f.Add(data) }, "external:/etc/vigo/traits.d/site.yaml", "external:/etc/vigo/traits.d/keys.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseDocument(data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("what was read cannot be sent: %v", err)
		}
	})
}

func FuzzELFMachine(f *testing.F) {
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		f.Add(self[:20])
	}
	f.Add([]byte("#!/bin/sh\necho hello, world\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if name := elfMachine(head); name != "" && archName(name) == "" {
			t.Errorf("%q is no architecture", name)
		}
	})
}
