//go:build linux

package machine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"

	"vigo.dev/pkg/host"
)

const (
	statusFile = "/var/lib/dpkg/status"
	// statusLimit bounds a package database: a machine with every package of a distribution has about 100 MB.
	statusLimit = 256 << 20
)

// readParagraphs reads a database in the format of dpkg, which opkg shares.
func readParagraphs(p *packages, name string) ([]host.Package, error) {
	file, err := p.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	limited := &io.LimitedReader{R: file, N: statusLimit + 1}
	pkgs, err := parseStatus(limited)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("reading %s: more than the limit of %d bytes", name, int64(statusLimit))
	}
	return pkgs, nil
}

// statusLine is the longest line of a package database that is read; the fields that are wanted are far shorter.
const statusLine = 64 << 10

// parseStatus reads the status database of dpkg (deb-control(5) paragraphs) and returns the packages that are
// installed, wholly or in part, sorted by name and architecture. A paragraph that is damaged is passed over. It reads
// piece by piece: the database is many times larger than what is taken from it.
func parseStatus(in io.Reader) ([]host.Package, error) {
	var pkgs []host.Package
	var p host.Package
	var status string
	flush := func() {
		if p.Name != "" && p.Version != "" && fromStatus(&p, status) {
			pkgs = append(pkgs, p)
		}
		p, status = host.Package{}, ""
	}
	lines := bufio.NewReaderSize(in, statusLine)
	for continued := false; ; {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
			return nil, err
		}
		rest := continued // the rest of a line that is too long
		continued = err == bufio.ErrBufferFull
		if err == io.EOF && len(line) == 0 {
			break
		}
		if rest {
			continue
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			flush()
			continue
		}
		// Most lines are not wanted: decide by the first letter.
		switch line[0] {
		case 'P':
			if v, ok := bytes.CutPrefix(line, []byte("Package: ")); ok {
				p.Name = string(v)
			}
		case 'S':
			if v, ok := bytes.CutPrefix(line, []byte("Status: ")); ok {
				status = string(v)
			}
		case 'V':
			if v, ok := bytes.CutPrefix(line, []byte("Version: ")); ok {
				p.Version = string(v)
			}
		case 'A':
			if v, ok := bytes.CutPrefix(line, []byte("Architecture: ")); ok {
				p.Arch = string(v)
			}
		}
	}
	flush()
	sortPackages(pkgs)
	return pkgs, nil
}

func sortPackages(pkgs []host.Package) {
	sort.Slice(pkgs, func(i, j int) bool {
		if pkgs[i].Name != pkgs[j].Name {
			return pkgs[i].Name < pkgs[j].Name
		}
		return pkgs[i].Arch < pkgs[j].Arch
	})
}

// fromStatus reads the three words of a Status field and reports whether the package counts as installed.
func fromStatus(p *host.Package, status string) bool {
	want, rest, _ := strings.Cut(status, " ")
	flag, state, ok := strings.Cut(rest, " ")
	if !ok {
		return false
	}
	p.Held = want == "hold"
	for f := range strings.SplitSeq(flag, ",") { // opkg has several: user, hold, essential …
		p.Held = p.Held || f == "hold"
		p.Broken = p.Broken || strings.Contains(f, "reinstreq") || f == ""
	}
	switch state {
	case "installed", "triggers-awaited", "triggers-pending":
	case "unpacked", "half-configured", "half-installed":
		p.Broken = true
	default: // not-installed, config-files
		return false
	}
	return true
}

// findPackage finds a package by name, or by name:architecture. Of several architectures the first is meant:
// their versions may not differ.
func findPackage(pkgs []host.Package, name string) (host.Package, bool) {
	base, arch, _ := strings.Cut(name, ":")
	i := sort.Search(len(pkgs), func(i int) bool { return pkgs[i].Name >= base })
	for ; i < len(pkgs) && pkgs[i].Name == base; i++ {
		if arch == "" || pkgs[i].Arch == arch {
			return pkgs[i], true
		}
	}
	return host.Package{}, false
}

// parsePolicy reads what "apt-cache policy" says and returns the candidate of each package that has one.
func parsePolicy(out []byte) map[string]string {
	candidates := map[string]string{}
	name := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if n, ok := strings.CutSuffix(line, ":"); ok && !strings.HasPrefix(line, " ") {
			name = n
			continue
		}
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Candidate: "); ok && name != "" && v != "(none)" {
			candidates[name] = v
		}
	}
	return candidates
}
