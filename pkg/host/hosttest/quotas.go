package hosttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// quotas implements host.Quotas.
type quotas struct{ m *Machine }

var _ host.Quotas = quotas{}

// keptQuotas is the limits of one kind that a file system keeps.
type keptQuotas struct {
	path, kind string
	limits     map[uint32]host.QuotaLimits
}

func (m *Machine) quotasOf(path, kind string) (*keptQuotas, error) {
	for _, k := range m.quotas {
		if k.path == path && k.kind == kind {
			return k, nil
		}
	}
	if m.topmost(path) < 0 {
		return nil, notFound("mount", path)
	}
	return nil, fmt.Errorf("quotas of %ss on %s: %w", kind, path, errors.ErrUnsupported)
}

// Quota implements host.Quotas.
func (q quotas) Quota(_ context.Context, path string, of host.QuotaSubject) (host.QuotaLimits, error) {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	kept, err := q.m.quotasOf(path, of.Kind)
	if err != nil {
		return host.QuotaLimits{}, err
	}
	return kept.limits[of.ID], nil
}

// SetQuota implements host.Quotas.
func (q quotas) SetQuota(_ context.Context, path string, of host.QuotaSubject, l host.QuotaLimits) error {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	q.m.wrote("quota %s %s %d", path, of.Kind, of.ID)
	if err := q.m.failure("quota", path); err != nil {
		return fmt.Errorf("setting the quota on %s: %w", path, err)
	}
	kept, err := q.m.quotasOf(path, of.Kind)
	if err != nil {
		return err
	}
	kept.limits[of.ID] = l
	if l == (host.QuotaLimits{}) {
		delete(kept.limits, of.ID)
	}
	return nil
}

// quota reads `quota /home user`, which says that there are such, and `quota /home user 1000 blocks=9G/10G inodes=0/1000`.
func (p *parser) quota(l *line) error {
	blocks, inodes := strings.Split(l.attr("blocks", "0/0"), "/"), strings.Split(l.attr("inodes", "0/0"), "/")
	if err := l.want(2, 3, "quota MOUNT KIND [ID] with blocks=SOFT/HARD, inodes=SOFT/HARD"); err != nil {
		return err
	}
	if len(blocks) != 2 || len(inodes) != 2 {
		return errors.New("limits are SOFT/HARD")
	}
	kept, err := p.m.quotasOf(l.args[0], l.args[1])
	if err != nil {
		kept = &keptQuotas{path: l.args[0], kind: l.args[1], limits: map[uint32]host.QuotaLimits{}}
		p.m.quotas = append(p.m.quotas, kept)
	}
	if len(l.args) < 3 {
		return nil
	}
	id, err := strconv.ParseUint(l.args[2], 10, 32)
	if err != nil {
		return err
	}
	var n [4]int64
	for i, text := range append(blocks, inodes...) {
		if n[i], err = sizeOf(text); err != nil {
			return err
		}
	}
	kept.limits[uint32(id)] = host.QuotaLimits{BlockSoft: uint64(n[0]), BlockHard: uint64(n[1]), InodeSoft: uint64(n[2]), InodeHard: uint64(n[3])}
	return nil
}

func (m *Machine) printQuotas(b *strings.Builder) {
	sorted := slices.SortedFunc(slices.Values(m.quotas), func(x, y *keptQuotas) int {
		return cmp.Or(cmp.Compare(x.path, y.path), cmp.Compare(x.kind, y.kind))
	})
	for _, k := range sorted {
		fmt.Fprintf(b, "quota %s %s\n", bare(k.path), bare(k.kind))
		for _, id := range slices.Sorted(maps.Keys(k.limits)) {
			l := k.limits[id]
			fmt.Fprintf(b, "quota %s %s %d blocks=%d/%d inodes=%d/%d\n", bare(k.path), bare(k.kind), id, l.BlockSoft, l.BlockHard, l.InodeSoft, l.InodeHard)
		}
	}
}
