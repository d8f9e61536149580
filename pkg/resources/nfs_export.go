package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// NFSExport hands a folder to other machines by NFS: a file in /etc/exports.d, which exportfs(8) is told of when it has
// changed. The table that exportfs keeps is compared too, once it has entries: an export that somebody has taken back returns.
// Of single hosts only whether the folder is exported at all is compared, as the table has them by the names DNS gives them; the
// options in the table are not compared.
//
//	resources:
//	  - nfs_export: /srv/media
//	    clients:
//	      192.0.2.0/24: [rw, no_subtree_check]
//	      "*.example.com": [ro, no_subtree_check]
type NFSExport struct {
	// Path of the folder.
	Path string `vigo:"identity"`

	// Ensure says whether the folder should be exported by this file.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Clients are the options by client, as exports(5) has them: a host, a network, a name with * and ?, @netgroup or *
	// for all. Say ro or rw, and no_subtree_check.
	Clients map[string][]string `yaml:"clients"`
}

var (
	_ resource.Validator = (*NFSExport)(nil)
	_ resource.Requirer  = (*NFSExport)(nil)

	exportClient = regexp.MustCompile(`^[A-Za-z0-9@*?.:\[\]/_-]+$`)
	exportOption = regexp.MustCompile(`^[a-z_0-9]+(=[A-Za-z0-9_./:@-]+)?$`)
)

// Validate implements [resource.Validator].
func (e *NFSExport) Validate() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	switch {
	case e.Ensure == "absent" && len(e.Clients) > 0:
		return errors.New("what is to be absent has no clients")
	case e.Ensure != "absent" && len(e.Clients) == 0:
		return errors.New(`needs the key "clients"`)
	}
	for client, options := range e.Clients {
		if !exportClient.MatchString(client) || client[0] == '-' {
			return fmt.Errorf("clients: %q is not a host, a network or a pattern", client)
		}
		if len(options) == 0 {
			return fmt.Errorf("clients: %s: want options, at least ro or rw", client)
		}
		for _, o := range options {
			if !exportOption.MatchString(o) {
				return fmt.Errorf("clients: %s: %q is not an option", client, o)
			}
		}
	}
	return nil
}

// Requires implements [resource.Requirer].
func (e *NFSExport) Requires() []resource.ID {
	return append(above(e.Path), resource.ID{Type: "directory", Name: e.Path},
		resource.ID{Type: "package", Name: "nfs-kernel-server"}, resource.ID{Type: "package", Name: "nfs-utils"})
}

// file is where the export stands: its path in the manner of systemd-escape(1), so that no two are in one file.
func (e *NFSExport) file() string {
	var b strings.Builder
	for _, c := range []byte(e.Path[1:]) {
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "\\x%02x", c)
		}
	}
	return path.Join("/etc/exports.d", "vigo-"+b.String()+".exports")
}

// line is what exports(5) reads; the path is quoted, and odd bytes are octal.
func (e *NFSExport) line() string {
	settings := map[string]string{}
	for client, options := range e.Clients {
		settings[client] = "(" + strings.Join(options, ",") + ")"
	}
	clients := strings.TrimSuffix(settingLines(settings, ""), "\n")
	return exportPath(e.Path) + " " + strings.ReplaceAll(clients, "\n", " ") + "\n"
}

// exportPath writes a path as exports(5) and the table of the server do.
func exportPath(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c <= ' ' || c == '\\' || c == '"' || c == '#' || c == 0x7f {
			fmt.Fprintf(&b, "\\%03o", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Plan implements [resource.Resource].
func (e *NFSExport) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	tell := func(ctx context.Context) error {
		there, err := hasProgram(h, "exportfs")
		if err != nil || !there {
			return err
		}
		return runProgram(ctx, h, "exportfs", "-r", "-a")
	}
	if e.Ensure == "absent" {
		return ownedPlan(ctx, h, gone(e.file()), tell)
	}
	p, err := ownedPlan(ctx, h, ownedFile(e.file(), ownedMark+e.line()), tell)
	if err != nil || !p.Empty() {
		return p, err
	}
	// The table of exportfs; it is empty when the server has not been started.
	table, err := h.FS.Read("/var/lib/nfs/etab", 4<<20)
	if errors.Is(err, host.ErrNotFound) || err == nil && strings.TrimSpace(string(table)) == "" {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if !e.stands(string(table)) {
		p.Do(tell, change.Of("exported", false, true))
	}
	return p, nil
}

// stands reports whether the table has the folder for each network, pattern and netgroup. A single host stands there by the name
// that its address has, so of hosts only the folder itself can be told.
func (e *NFSExport) stands(table string) bool {
	mark := "\n" + exportPath(e.Path) + "\t"
	table = "\n" + table
	for client := range e.Clients {
		if strings.ContainsAny(client, "/*?@") && !strings.Contains(table, mark+client+"(") {
			return false
		}
	}
	return strings.Contains(table, mark)
}
