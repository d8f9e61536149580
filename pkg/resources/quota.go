package resources

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Quota is how much of a file system a user, group or project may use. Limits that are not declared are left alone.
//
// The file system must keep quotas: one of ext4 that is made with the options -O quota (and -O quota,project for projects), or
// an xfs, each mounted with usrquota, grpquota or prjquota. Limits are read from the kernel, without starting a program.
//
//	resources:
//	  - quota: alice at home
//	    path: /home
//	    user: alice
//	    block_soft: 9G
//	    block_hard: 10G
//	    inode_hard: "100000"
type Quota struct {
	// Name of the resource.
	Name string `vigo:"identity"`

	// Ensure says whether there should be limits. With absent, all limits of the subject go; one that
	// nobody knows has none.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Path that the file system is mounted at.
	Path string `yaml:"path" vigo:"required"`

	// User the limits are for, by name or number.
	User string `yaml:"user"`

	// Group the limits are for, by name or number.
	Group string `yaml:"group"`

	// Project the limits are for, by number, or by its name in /etc/projid.
	Project string `yaml:"project"`

	// BlockSoft is the space that may be exceeded for a while, in K, M, G or T (of 1024); none for no limit.
	BlockSoft string `yaml:"block_soft"`

	// BlockHard is the space that may never be exceeded, likewise.
	BlockHard string `yaml:"block_hard"`

	// InodeSoft is the number of files and directories that may be exceeded for a while; none for no limit.
	InodeSoft string `yaml:"inode_soft"`

	// InodeHard is the number of files and directories that may never be exceeded, likewise.
	InodeHard string `yaml:"inode_hard"`
}

var (
	_ resource.Validator = (*Quota)(nil)
	_ resource.Requirer  = (*Quota)(nil)
)

// noLimit is how a policy says that there is none.
const noLimit = "none"

// A quotaField is one of the four limits.
type quotaField struct {
	name, text string
	bytes      bool
	of         func(*host.QuotaLimits) *uint64
}

func (q *Quota) fields() []quotaField {
	return []quotaField{
		{"block_soft", q.BlockSoft, true, func(l *host.QuotaLimits) *uint64 { return &l.BlockSoft }},
		{"block_hard", q.BlockHard, true, func(l *host.QuotaLimits) *uint64 { return &l.BlockHard }},
		{"inode_soft", q.InodeSoft, false, func(l *host.QuotaLimits) *uint64 { return &l.InodeSoft }},
		{"inode_hard", q.InodeHard, false, func(l *host.QuotaLimits) *uint64 { return &l.InodeHard }},
	}
}

func (f quotaField) value() (uint64, error) {
	if f.text == noLimit {
		return 0, nil
	}
	if f.bytes {
		n, err := sizeBytes(f.name, f.text)
		return uint64(n), err
	}
	n, err := strconv.ParseUint(f.text, 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s: %q is not a number of files, such as \"1000\", or none", f.name, f.text)
	}
	return n, nil
}

// show renders a limit for people.
func (f quotaField) show(n uint64) string {
	switch {
	case n == 0:
		return noLimit
	case f.bytes:
		return sizeText(int64(n))
	}
	return strconv.FormatUint(n, 10)
}

// Validate implements [resource.Validator].
func (q *Quota) Validate() error {
	if err := checkPath(q.Path); err != nil && q.Path != "/" {
		return fmt.Errorf("path: %w", err)
	}
	subjects := 0
	for _, s := range []string{q.User, q.Group, q.Project} {
		if s != "" {
			subjects++
		}
	}
	if subjects != 1 {
		return errors.New("quota is for one of user, group and project")
	}
	var l host.QuotaLimits
	declared := false
	for _, f := range q.fields() {
		if f.text == "" {
			continue
		}
		n, err := f.value()
		if err != nil {
			return err
		}
		*f.of(&l), declared = n, true
	}
	switch {
	case declared == (q.Ensure == "absent"):
		return errors.New("quota has one of block_soft, block_hard, inode_soft and inode_hard; what is to be absent has none")
	case l.BlockHard != 0 && l.BlockSoft > l.BlockHard:
		return fmt.Errorf("block_soft: %s is more than block_hard", q.BlockSoft)
	case l.InodeHard != 0 && l.InodeSoft > l.InodeHard:
		return fmt.Errorf("inode_soft: %s is more than inode_hard", q.InodeSoft)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (q *Quota) Requires() []resource.ID {
	ids := []resource.ID{{Type: "mount", Name: q.Path}}
	switch {
	case q.User != "":
		ids = append(ids, resource.ID{Type: "user", Name: q.User})
	case q.Group != "":
		ids = append(ids, resource.ID{Type: "group", Name: q.Group})
	default:
		ids = append(ids, resource.ID{Type: "file", Name: projectNames})
	}
	return ids
}

// subject finds whom the limits are for.
func (q *Quota) subject(ctx context.Context, h *host.Host) (host.QuotaSubject, error) {
	var of host.QuotaSubject
	var n int
	var err error
	switch {
	case q.User != "":
		of.Kind = "user"
		n, err = accountNumber(q.User, func() (int, error) {
			u, err := h.Accounts.User(ctx, q.User)
			return u.UID, hintUnknown(err, "user", q.User)
		})
	case q.Group != "":
		of.Kind = "group"
		n, err = accountNumber(q.Group, func() (int, error) {
			g, err := h.Accounts.Group(ctx, q.Group)
			return g.GID, hintUnknown(err, "group", q.Group)
		})
	default:
		of.Kind = "project"
		n, err = accountNumber(q.Project, func() (int, error) { return projectNumber(h, q.Project) })
	}
	if err == nil && int64(n) >= 1<<32-1 {
		err = fmt.Errorf("%d is too large a number", n)
	}
	of.ID = uint32(n)
	return of, err
}

const projectNames = "/etc/projid"

// projectNumber reads projid(5).
func projectNumber(h *host.Host, name string) (int, error) {
	text, err := h.FS.Read(projectNames, 1<<20)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if known, number, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && known == name {
			n, err := strconv.ParseUint(number, 10, 31)
			if err != nil {
				return 0, fmt.Errorf("reading %s: the number of %s is %q", projectNames, name, number)
			}
			return int(n), nil
		}
	}
	return 0, fault.WithHint(fmt.Errorf("project %s: %w", name, host.ErrNotFound), "name it in "+projectNames+", or use its number")
}

// Plan implements [resource.Resource].
func (q *Quota) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	of, err := q.subject(ctx, h)
	if errors.Is(err, host.ErrNotFound) && q.Ensure == "absent" {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	is, err := h.Quotas.Quota(ctx, q.Path, of)
	if errors.Is(err, errors.ErrUnsupported) {
		if q.Ensure == "absent" {
			return p, nil
		}
		flag := map[string]string{"user": "usrquota", "group": "grpquota", "project": "prjquota"}[of.Kind]
		return p, fault.WithHint(err, "mount it with "+flag+"; an ext4 is made with -O quota for that")
	}
	if err != nil {
		return p, err
	}
	want, changes := is, []change.Change(nil)
	for _, f := range q.fields() {
		if f.text == "" && q.Ensure != "absent" {
			continue
		}
		var n uint64
		if q.Ensure != "absent" {
			if n, err = f.value(); err != nil {
				return p, err
			}
		}
		if now := *f.of(&is); now != n {
			*f.of(&want) = n
			changes = append(changes, change.Of(f.name, f.show(now), f.show(n)))
		}
	}
	if len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return h.Quotas.SetQuota(ctx, q.Path, of, want) }, changes...)
	}
	return p, nil
}
