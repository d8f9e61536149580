package reporting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trust"
)

var _ api.Auditor = (*Service)(nil)

// auditor signs checkpoints, one at a time.
type auditor struct {
	refusals refusals

	mu   sync.Mutex
	last audit.Checkpoint
}

// rootKey is the note of the trust root that was served last.
const rootKey = "trustRoot"

// beginAudit compares the log with what was signed before the service stopped, and takes note of a new trust root.
func (s *Service) beginAudit(ctx context.Context) error {
	kept, err := s.DB.Checkpoints(ctx, 0)
	if err != nil {
		return err
	}
	if anchor, err := readAnchor(s.Anchor); err != nil {
		return err
	} else if anchor != nil {
		kept = append(kept, *anchor)
	}
	for _, c := range kept {
		holds, err := s.DB.AuditHolds(ctx, c)
		if err != nil {
			return err
		}
		if !holds {
			return s.auditBroken(ctx, c)
		}
		s.auditor.last = c
	}
	return s.noteRoot(ctx)
}

// auditBroken says so in the log of the service and in the audit log itself, which goes on: a fleet must not stop because
// somebody cut its records.
func (s *Service) auditBroken(ctx context.Context, c audit.Checkpoint) error {
	s.Log.Error("the audit log was cut or rewritten while the service was down, or the store was restored from a backup",
		"seen", c.Seq, "hash", c.Hash, "at", c.Time, "hint", "`vigo audit verify` says what is missing")
	if s.Anchor != "" { // it is the evidence
		if err := os.Rename(s.Anchor, s.Anchor+".broken"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keeping the checkpoint that does not hold: %w", err)
		}
	}
	entry := audit.By(ctx, audit.Broken, fmt.Sprintf("entry %d", c.Seq), map[string]string{"hash": c.Hash, "checkpoint": c.Time.UTC().Format(time.RFC3339)})
	if err := s.DB.PutAudit(ctx, s.Now(), entry); err != nil {
		return err
	}
	return s.noteRoot(ctx)
}

func readAnchor(path string) (*audit.Checkpoint, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the last audit checkpoint: %w", err)
	}
	var c audit.Checkpoint
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("reading the last audit checkpoint %s: %w", path, err)
	}
	return &c, nil
}

// noteRoot records that new nodes are told to pin another trust root than before.
func (s *Service) noteRoot(ctx context.Context) error {
	digest := bundle.DigestOf(s.TrustRoot)
	var before string
	if err := s.DB.Note(ctx, rootKey, &before); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
		return err
	}
	if before == digest {
		return nil
	}
	detail := map[string]string{"digest": digest, "before": before}
	if root, err := trust.ParseRoot(s.TrustRoot); err == nil {
		detail["version"] = fmt.Sprint(root.Version)
	}
	return s.DB.PutNoteOf(ctx, rootKey, digest, s.Now(), []audit.Entry{audit.By(ctx, audit.TrustRoot, s.Fleet, detail)})
}

// noteNodeRoot records that a node says it has taken up a trust root after another one.
func (s *Service) noteNodeRoot(c report.CheckIn, before int64) {
	if before != 0 && c.Root != 0 && c.Root != before {
		s.auditor.refusals.later(audit.Entry{Actor: c.Node, Role: string(identity.RoleNode), Act: audit.TrustRoot, Object: c.Node,
			Detail: map[string]string{"version": fmt.Sprint(c.Root), "before": fmt.Sprint(before)}})
	}
}

// Audit implements api.Auditor.
func (s *Service) Audit(ctx context.Context, q audit.Query) (audit.Page, error) {
	if err := s.checkpoint(ctx); err != nil { // before the entries are read: the last page holds what it has seen
		return audit.Page{}, kept(err)
	}
	page := audit.Page{Fleet: s.Fleet, CA: string(s.CA.CertPEM())}
	var err error
	if page.Start, err = s.DB.AuditStart(ctx); err != nil {
		return page, err
	}
	if page.Checkpoints, err = s.DB.Checkpoints(ctx, q.After); err != nil {
		return page, err
	}
	page.Entries, err = s.DB.Audit(ctx, q)
	return page, err
}

// checkpoint signs the head of the log if it has moved, keeps that in the store and beside it, and prints it, so that it is
// also where the log of the service goes.
func (s *Service) checkpoint(ctx context.Context) error {
	a := &s.auditor
	a.mu.Lock()
	defer a.mu.Unlock()
	seq, hash, err := s.DB.AuditHead(ctx)
	if err != nil || seq == 0 || seq == a.last.Seq && hash == a.last.Hash {
		return err
	}
	c, err := audit.Checkpoint{Fleet: s.Fleet, Seq: seq, Hash: hash, Time: s.Now()}.Sign(s.CA)
	if err != nil {
		return err
	}
	if err := s.DB.PutCheckpoint(ctx, c); err != nil {
		return err
	}
	a.last = c
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	s.Log.Info("audit checkpoint", "checkpoint", string(text))
	if s.Anchor == "" {
		return nil
	}
	return atomicfile.Write(s.Anchor, append(text, '\n'), 0o600)
}

// tendAudit writes the refusals that wait, and with sign a checkpoint.
func (s *Service) tendAudit(ctx context.Context, sign bool) {
	now := s.Now()
	if waiting := s.auditor.refusals.take(now); len(waiting) > 0 {
		if err := s.DB.PutAudit(ctx, now, waiting...); err != nil {
			s.auditor.refusals.giveBack(waiting)
			s.Log.Warn("keeping refusals in the audit log; it is tried again", "err", err)
			return
		}
	}
	if !sign {
		return
	}
	if err := s.checkpoint(ctx); err != nil && ctx.Err() == nil {
		s.Log.Warn("signing an audit checkpoint", "err", err)
	}
}
