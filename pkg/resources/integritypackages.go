package resources

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

const dpkgInfo = "/var/lib/dpkg/info"

// md5Line is a line of a list of dpkg: a digest, two spaces and a path without the first slash.
var md5Line = regexp.MustCompile(`^([0-9a-f]{32})  (\S.*)$`)

// packagesFound says which files of packages are not as they came. It is what dpkg --verify does, without it.
func (m *Integrity) packagesFound(ctx context.Context, h *host.Host) (found []string, looked int, err error) {
	if len(m.Packages) == 0 {
		return nil, 0, nil
	}
	lists, err := h.FS.List(dpkgInfo)
	if errors.Is(err, host.ErrNotFound) {
		return nil, 0, fault.WithHint(fmt.Errorf("finding the lists of dpkg: %w", host.ErrNotFound), "packages: is of Debian and its relatives")
	}
	if err != nil {
		return nil, 0, err
	}
	diverted, err := diversions(h)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range m.Packages {
		at := slices.IndexFunc(lists, func(f host.Info) bool { return packageList(f.Name, name) })
		if at < 0 {
			if _, err := h.Packages.Installed(ctx, name); err != nil {
				return nil, 0, fmt.Errorf("looking at the package %s: %w", name, err)
			}
			continue // a package of folders alone has no list
		}
		wrong, n, err := packageFound(ctx, h, strings.TrimSuffix(lists[at].Name, ".md5sums"), diverted)
		if err != nil {
			return nil, 0, err
		}
		found, looked = append(found, wrong...), looked+n
	}
	return found, looked, nil
}

// packageList reports whether a file of dpkg is the list of a package, which may have its architecture in the name.
func packageList(file, name string) bool {
	file, is := strings.CutSuffix(file, ".md5sums")
	bare, _, _ := strings.Cut(file, ":")
	return is && (file == name || bare == name)
}

// packageFound looks at the files of one package. Configuration files may differ, and documentation may be left out when a
// package is unpacked.
func packageFound(ctx context.Context, h *host.Host, list string, diverted map[string]diversion) (found []string, looked int, err error) {
	data, err := h.FS.Read(path.Join(dpkgInfo, list+".md5sums"), maxEdit)
	if err != nil {
		return nil, 0, err
	}
	conf, err := h.FS.Read(path.Join(dpkgInfo, list+".conffiles"), maxEdit)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, 0, err
	}
	may := strings.Fields(string(conf))
	name, _, _ := strings.Cut(list, ":")
	for line := range strings.Lines(string(data)) {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		w := md5Line.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if w == nil {
			return nil, 0, fmt.Errorf("reading the list of the package %s: %q is no digest and path", name, strings.TrimSpace(line))
		}
		file := path.Clean("/" + w[2])
		if slices.Contains(may, file) {
			continue
		}
		if d, ok := diverted[file]; ok && d.by != name {
			file = d.to
		}
		looked++
		sum, err := md5Of(h, file)
		switch {
		case errors.Is(err, host.ErrNotFound) && isDocumentation(file):
		case errors.Is(err, host.ErrNotFound):
			found = append(found, file+" of "+name+" is missing")
		case err != nil:
			return nil, 0, fmt.Errorf("reading %s: %w", file, err)
		case sum != w[1]:
			found = append(found, file+" is not as it came with "+name)
		}
	}
	return found, looked, nil
}

func isDocumentation(file string) bool {
	for _, dir := range []string{"/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/", "/usr/share/lintian/"} {
		if strings.HasPrefix(file, dir) {
			return true
		}
	}
	return false
}

// md5Of is the digest that dpkg keeps. It shows what has changed by mistake; who changes a file on purpose can match it.
func md5Of(h *host.Host, file string) (sum string, err error) {
	r, err := h.FS.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	d := md5.New()
	if _, err := io.Copy(d, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(d.Sum(nil)), nil
}

// A diversion is where dpkg puts a file for all packages but one.
type diversion struct{ to, by string }

// diversions reads those of dpkg, three lines each.
func diversions(h *host.Host) (map[string]diversion, error) {
	data, err := h.FS.Read("/var/lib/dpkg/diversions", maxEdit)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string]diversion{}
	lines := strings.Split(string(data), "\n")
	for i := 0; i+2 < len(lines); i += 3 {
		all[lines[i]] = diversion{to: lines[i+1], by: lines[i+2]}
	}
	return all, nil
}
