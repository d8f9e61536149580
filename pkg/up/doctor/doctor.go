// Package doctor examines the data folder and the store of a report service, and says of each thing whether it is well and what
// to do when it is not.
//
// It refuses to change anything: the service may run while it looks.
package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/up"
)

// examination is a diagnosis that is being made.
type examination struct{ report.Diagnosis }

// The limits of what is well.
const (
	littleRoom = 256 << 20           // bytes that are free
	longLog    = 512 << 20           // bytes in the log of SQLite
	soon       = 90 * 24 * time.Hour // until the authority expires
	skew       = 5 * time.Minute
)

// Examine looks at a data folder and its store; store is the address of a PostgreSQL database, "" for the file in the folder.
func Examine(ctx context.Context, data, store string, now time.Time) report.Diagnosis {
	r := &examination{report.Diagnosis{Data: data, At: now.UTC(), Checks: []report.Check{}}}
	r.folder()
	r.modes()
	r.authority(now)
	see := func(f sqlstore.Findings) error { r.store(ctx, f, now); return nil }
	var err error
	if store != "" {
		err = sqlstore.ExaminePostgres(ctx, store, now, see)
	} else {
		err = sqlstore.ExamineFile(ctx, filepath.Join(data, "report.db"), now, see)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && store == "":
		r.add("store", report.Failing, "there is none in the folder", "is it the data folder of the service? With a PostgreSQL database, give --store")
	case err != nil:
		r.add("store", report.Failing, err.Error(), strings.Join(fault.Hints(err), "; "))
	}
	r.room()
	r.Done = true
	return r.Diagnosis
}

func (r *examination) add(name string, state report.Health, text, hint string) {
	if state == report.Well {
		hint = ""
	}
	r.Checks = append(r.Checks, report.Check{Name: name, State: state, Text: text, Hint: hint})
}

// is adds a check that is well unless bad.
func (r *examination) is(name string, bad bool, state report.Health, well, ill, hint string) {
	if bad {
		r.add(name, state, ill, hint)
		return
	}
	r.add(name, report.Well, well, "")
}

func (r *examination) folder() {
	info, err := os.Stat(r.Data)
	switch {
	case err != nil:
		r.add("folder", report.Failing, err.Error(), "--data is the data folder of the service")
		return
	case info.Mode().Perm()&0o077 != 0:
		r.add("folder", report.Warning, fmt.Sprintf("others on this machine may look into it (mode %04o)", info.Mode().Perm()), "chmod 700 "+r.Data)
	default:
		r.add("folder", report.Well, fmt.Sprintf("for its owner alone (mode %04o)", info.Mode().Perm()), "")
	}
	if _, err := os.Lstat(filepath.Join(r.Data, up.RestoreDir, up.RestoreReady)); err == nil {
		r.add("restore", report.Failing, "a restore from a backup was interrupted; the service does not start", "run it again: `vigo report restore --force`")
	}
}

// modes looks at the files that are for their owner alone.
func (r *examination) modes() {
	var open []string
	for _, name := range []string{"report.db", "report.db-wal", "ca/ca.key", "alerts.key", "operator.json", "controller.json"} {
		if info, err := os.Stat(filepath.Join(r.Data, filepath.FromSlash(name))); err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, name)
		}
	}
	r.is("modes", len(open) > 0, report.Failing, "keys, credentials and the store are for their owner alone", "others on this machine may read "+strings.Join(open, ", "),
		"chmod 600, and think of who has read them")
}

func (r *examination) authority(now time.Time) {
	text, err := os.ReadFile(filepath.Join(r.Data, "ca", "ca.crt"))
	var cert *x509.Certificate
	if block, _ := pem.Decode(text); err == nil && block != nil {
		cert, err = x509.ParseCertificate(block.Bytes)
	}
	if errors.Is(err, fs.ErrNotExist) {
		r.add("authority", report.Warning, "there is none in the folder", "with --ca-cert it is elsewhere; else restore the folder ca from a backup: a new one locks every node out")
		return
	}
	if err != nil || cert == nil {
		r.add("authority", report.Failing, fmt.Sprintf("its certificate cannot be read: %v", err), "restore the folder ca from a backup")
		return
	}
	left := cert.NotAfter.Sub(now)
	when := cert.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case left <= 0:
		r.add("authority", report.Failing, "its certificate expired on "+when, "nodes trust nothing that it signed: every node has to enrol with a new one")
	case left < soon:
		r.add("authority", report.Warning, "its certificate expires on "+when, "plan the change: every node trusts it")
	default:
		r.add("authority", report.Well, "its certificate is good until "+when, "")
	}
}

// store judges what was found in the store.
func (r *examination) store(ctx context.Context, f sqlstore.Findings, now time.Time) {
	if f.Wrong != "" {
		r.add("integrity", report.Failing, f.Wrong, "stop the service, keep a copy, and restore a backup: `vigo report restore`")
		return
	}
	r.add("integrity", report.Well, "the store can be read", "")
	switch {
	case f.Schema > f.Known:
		r.add("schema", report.Failing, fmt.Sprintf("%d, this program knows %d", f.Schema, f.Known), "use the program of the version that the service has")
		return
	case f.Schema < f.Known:
		r.add("schema", report.Warning, fmt.Sprintf("%d, this program has %d", f.Schema, f.Known), "the service brings it up to date when it starts with this version: take a backup before")
	default:
		r.add("schema", report.Well, fmt.Sprint(f.Schema), "")
	}
	var orphans []string
	for _, table := range slices.Sorted(maps.Keys(f.Orphans)) {
		if n := f.Orphans[table]; n > 0 {
			orphans = append(orphans, fmt.Sprintf("%d in %s", n, table))
		}
	}
	r.is("references", len(orphans) > 0, report.Failing, "every row is of a node that is there", "rows of nodes that are not there: "+strings.Join(orphans, ", "),
		"somebody has changed the store by hand, or it is damaged: restore a backup")
	r.add("retired", report.Well, fmt.Sprintf("%d nodes are kept that were retired, and %d keys that never enrol again", f.Retired, f.Rows["retired_key"]), "")
	r.is("traits", f.Lacking > 0, report.Warning, "all documents are there", fmt.Sprintf("%d documents are not there", f.Lacking), "the service asks the nodes for them with their next check-in")
	r.is("audit", f.Gaps > 0, report.Failing, fmt.Sprintf("%d entries without a gap", f.Rows["audit"]), fmt.Sprintf("%d entries are missing", f.Gaps), "`vigo audit verify` says which")
	r.anchor(ctx, f)
	r.clock(f, now)
	r.is("certificates", f.Expired > 0, report.Warning, "of all nodes that were heard of within a week are good", fmt.Sprintf("of %d nodes that were heard of within a week are past their time", f.Expired),
		"nodes renew them by themselves when they reach the service: is their clock right, and is renewal refused (`vigo events`)?")
	r.is("log", f.Log > longLog, report.Warning, bytesText(f.Log)+" wait to be moved into the store", bytesText(f.Log)+" wait to be moved into the store", "something reads without an end, such as a backup that hangs; a restart of the service moves it")
	if !f.Restored.At.IsZero() {
		r.add("restored", report.Well, fmt.Sprintf("at %s from the backup of %s", f.Restored.At.Format(time.RFC3339), f.Restored.Taken.Format(time.RFC3339)), "")
	}
	for name, n := range f.Bytes {
		if rows, ok := f.Rows[name]; ok {
			r.Tables = append(r.Tables, report.Table{Name: name, Rows: rows, Bytes: n})
		}
	}
	slices.SortFunc(r.Tables, func(a, b report.Table) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
}

// anchor compares the log with the last checkpoint that was kept beside it.
func (r *examination) anchor(ctx context.Context, f sqlstore.Findings) {
	text, err := os.ReadFile(filepath.Join(r.Data, "audit.checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var c audit.Checkpoint
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	hash := ""
	if err == nil {
		hash, err = f.Audit(ctx, c.Seq)
	}
	const hint = "the log was cut or rewritten, or the store was restored from a backup: `vigo audit verify` says what is missing"
	switch {
	case errors.Is(err, sqlstore.ErrNotFound):
		r.add("checkpoint", report.Warning, fmt.Sprintf("entry %d, which was signed, is not in the audit log", c.Seq), hint+"; with --audit-keep it may have been forgotten on purpose")
	case err != nil:
		r.add("checkpoint", report.Failing, err.Error(), "")
	default:
		r.is("checkpoint", hash != c.Hash, report.Failing, fmt.Sprintf("the audit log holds what was signed, up to entry %d", c.Seq), fmt.Sprintf("entry %d of the audit log is not the one that was signed", c.Seq), hint)
	}
}

func (r *examination) clock(f sqlstore.Findings, now time.Time) {
	ahead := f.Newest.Sub(now)
	off := time.Duration(0)
	if !f.Clock.IsZero() {
		off = f.Clock.Sub(now).Abs()
	}
	switch {
	case ahead > skew:
		r.add("clock", report.Failing, fmt.Sprintf("the store tells of %s, which is %s from now", f.Newest.Format(time.RFC3339), ahead.Round(time.Second)), "set the clock of this machine (NTP): who is silent is told by it")
	case off > time.Second:
		r.add("clock", report.Warning, fmt.Sprintf("that of the database differs by %s", off.Round(time.Millisecond)), "set both clocks (NTP)")
	default:
		r.add("clock", report.Well, "nothing in the store is from the future", "")
	}
}

// room compares what is free on the disk with what is there.
func (r *examination) room() {
	var disk unix.Statfs_t
	if err := unix.Statfs(r.Data, &disk); err != nil {
		r.add("room", report.Failing, fmt.Sprintf("asking the disk: %v", err), "")
		return
	}
	free := int64(disk.Bavail) * int64(disk.Bsize)
	size := int64(0)
	if info, err := os.Stat(filepath.Join(r.Data, "report.db")); err == nil {
		size = info.Size()
	}
	text := fmt.Sprintf("%s are free, the store in the folder has %s", bytesText(free), bytesText(size))
	switch {
	case free < littleRoom/8:
		r.add("room", report.Failing, text, "make room: the service refuses what it cannot keep")
	case free < littleRoom || free < size:
		r.add("room", report.Warning, text, "make room, or give the folder a larger disk: a restore needs the size of the store once more")
	default:
		r.add("room", report.Well, text, "")
	}
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", (n+1023)>>10)
}
