package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// nftDir holds the tables of Vigo; the configuration of nftables(8) includes what is in it.
const nftDir = "/etc/nftables.d"

func nftFile(table string) string { return path.Join(nftDir, table+".nft") }

// nftRules is the folder of the files of firewall_rule; their names begin with the chain.
func nftRules(table string) string { return path.Join(nftDir, table) }

// planNftInclude plans that the tables are loaded at boot: by /etc/nftables.conf, or what RedHat has in its place.
func planNftInclude(h *host.Host, p *resource.Plan) error {
	config := "/etc/nftables.conf"
	redhat, err := look(h, "/etc/sysconfig/nftables.conf")
	if err != nil {
		return err
	}
	if redhat != nil {
		config = "/etc/sysconfig/nftables.conf"
	}
	include := fmt.Sprintf("include \"%s/*.nft\"", nftDir)
	edited, err := textEdit{Path: config, Create: true, Edit: func(lines []string) ([]string, error) {
		for _, l := range lines {
			if strings.TrimSpace(l) == include {
				return lines, nil
			}
		}
		return append(append([]string{}, lines...), include), nil
	}}.plan(h)
	if err != nil {
		return err
	}
	p.Include(path.Base(config), edited)
	return nil
}

// nftTable is a table of Vigo in the kernel. What it was loaded from, and how the kernel has it since, is kept in a
// record: the same rules read back are not the text that they were written as.
type nftTable struct{ family, name string }

func (t nftTable) record() string { return "/var/lib/vigo/firewall/" + t.family + "-" + t.name }

// source names what the table is to be loaded from: its file and those of its rules.
func (t nftTable) source(h *host.Host) (string, error) {
	files := []string{nftFile(t.name)}
	rules, err := h.FS.List(nftRules(t.name))
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return "", err
	}
	for _, f := range rules {
		if strings.HasSuffix(f.Name, ".nft") && !strings.HasPrefix(f.Name, ".") {
			files = append(files, path.Join(nftRules(t.name), f.Name))
		}
	}
	var all strings.Builder
	for _, f := range files {
		digest, err := h.FS.Digest(f)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", f, err)
		}
		all.WriteString(f + " " + digest + "\n")
	}
	return digestOf([]byte(all.String())), nil
}

// there reports whether the kernel has the table; where it is not this machine's own, it does not.
func (t nftTable) there(ctx context.Context, h *host.Host) (bool, error) {
	_, err := h.Firewall.Fingerprint(ctx, t.family, t.name)
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	return err == nil, err
}

// state says in a word what is wrong with the table in the kernel; nothing if it is as it was loaded.
func (t nftTable) state(ctx context.Context, h *host.Host) (string, error) {
	print, err := h.Firewall.Fingerprint(ctx, t.family, t.name)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return "", nil // only what holds at boot counts
	case errors.Is(err, host.ErrNotFound):
		return "not loaded", nil
	case err != nil:
		return "", err
	}
	source, err := t.source(h)
	if errors.Is(err, host.ErrNotFound) {
		return "of unknown origin", nil
	}
	if err != nil {
		return "", err
	}
	was, err := h.FS.Read(t.record(), 4096)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return "", err
	}
	wasSource, wasPrint, _ := strings.Cut(strings.TrimSpace(string(was)), "\n")
	switch {
	case wasSource == "":
		return "of unknown origin", nil
	case wasSource != source:
		return "loaded from older files", nil
	case wasPrint != print:
		return "changed by hand", nil
	}
	return "", nil
}

// load loads the files and keeps how the kernel has them. Where there is no kernel of this machine's own, they are left
// for the first boot.
func (t nftTable) load(ctx context.Context, h *host.Host) error {
	err := h.Firewall.Load(ctx, t.family, t.name, nftFile(t.name))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("loading the table %s: %w", t.name, err)
	}
	print, err := h.Firewall.Fingerprint(ctx, t.family, t.name)
	if err != nil {
		return err
	}
	source, err := t.source(h)
	if err != nil {
		return err
	}
	if err := h.FS.MakeDir(ctx, path.Dir(t.record()), host.Attr{}); err != nil {
		return err
	}
	return h.FS.Write(ctx, t.record(), strings.NewReader(source+"\n"+print+"\n"), host.WriteOptions{})
}

// drop takes the table out of the kernel: its file is replaced by one that does so, and loaded.
func (t nftTable) drop(ctx context.Context, h *host.Host) error {
	text := fmt.Sprintf("table %s %s\ndelete table %[1]s %[2]s\n", t.family, t.name)
	if err := h.FS.MakeDir(ctx, nftDir, host.Attr{}); err != nil {
		return err
	}
	if err := h.FS.Write(ctx, nftFile(t.name), strings.NewReader(text), host.WriteOptions{}); err != nil {
		return err
	}
	return h.Firewall.Load(ctx, t.family, t.name, nftFile(t.name))
}

// planReload plans that a changed file of a rule is loaded with its table. The change is taken back if it cannot be.
func (t nftTable) planReload(h *host.Host, file string, written resource.Plan, p *resource.Plan) {
	p.Do(func(ctx context.Context) error {
		old, err := h.FS.Read(file, maxEdit)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return err
		}
		there := err == nil
		if _, err := written.Apply(ctx); err != nil {
			return err
		}
		err = t.load(ctx, h)
		if err == nil {
			return nil
		}
		undo := context.WithoutCancel(ctx)
		if there {
			return errors.Join(err, h.FS.Write(undo, file, strings.NewReader(string(old)), host.WriteOptions{}))
		}
		return errors.Join(err, h.FS.Remove(undo, file, false))
	}, withAtLeast(written.Changes(), change.Of("table", "not loaded", "as declared"))...)
}

func withAtLeast(cs []change.Change, otherwise change.Change) []change.Change {
	if len(cs) == 0 {
		return []change.Change{otherwise}
	}
	return cs
}
