package gitsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// ApprovalNamespace is what approvals are signed as (ssh-keygen -Y sign -n): the signature of a commit is not one.
const ApprovalNamespace = "vigo-approval"

// approvalPrefix is where approvals are kept: refs/approvals/<full hash of the commit>/<who>, each a blob with an armoured
// signature of SSH or OpenPGP.
const approvalPrefix = "refs/approvals/"

const (
	maxApprovals = 100      // signatures looked at in one round
	maxApproval  = 16 << 10 // bytes of one
)

// ApprovalText is what is signed to approve a commit, with all its history, on a branch.
func ApprovalText(commit, branch string) []byte {
	return fmt.Appendf(nil, "vigo-approval 1\ncommit %s\nbranch %s\n", commit, branch)
}

// An Approval is a signature that somebody put under a commit.
type Approval struct {
	Ref    string
	Commit string
	By     string // as the files of the signers name them; empty: it does not count
	Reason string // why it does not count
}

// Approvers lists who may approve commits by signing them, each once, as the files of the signers name them.
func (s Signers) Approvers() []string { return s.who(ApprovalNamespace) }

// Approvals looks in the repository for approvals of commits, which are full hashes, on the branch of the source. Those
// that do not count come back with the reason. now decides about keys that are good for a time: when an approval was
// signed is not known.
func (s *Source) Approvals(ctx context.Context, commits []string, signers Signers, now time.Time) ([]Approval, error) {
	var found []signedRef
	_, err := s.within(ctx, func(ctx context.Context) (Commit, error) {
		var err error
		found, err = s.signedRefs(ctx, commits)
		return Commit{}, err
	})
	if err != nil {
		return nil, err
	}
	approvals := make([]Approval, len(found))
	for i, ref := range found {
		a := Approval{Ref: ref.name, Commit: ref.commit}
		if a.By, err = signers.approved(ref, s.opt.Branch, now); err != nil {
			a.Reason = err.Error()
		}
		approvals[i] = a
	}
	return approvals, nil
}

func (s Signers) approved(ref signedRef, branch string, now time.Time) (string, error) {
	if ref.odd != "" {
		return "", errors.New(ref.odd)
	}
	return s.verify(ApprovalText(ref.commit, branch), ref.signature, now, ApprovalNamespace)
}

// signedRef is one of the refs with approvals. odd says what is wrong with it.
type signedRef struct {
	name, commit string
	hash         plumbing.Hash
	signature    []byte
	odd          string
}

// signedRefs reads the approvals of commits; the lock of the source is held.
func (s *Source) signedRefs(ctx context.Context, commits []string) ([]signedRef, error) {
	if s.endpoint.Protocol == "file" {
		repo, err := openLocal(s.endpoint.Path)
		if err != nil {
			return nil, err
		}
		defer closeLocal(repo)
		iter, err := repo.References()
		if err != nil {
			return nil, fmt.Errorf("reading the approvals in %s: %w", s.endpoint.Path, err)
		}
		var all []*plumbing.Reference
		if err := iter.ForEach(func(r *plumbing.Reference) error { all = append(all, r); return nil }); err != nil {
			return nil, fmt.Errorf("reading the approvals in %s: %w", s.endpoint.Path, err)
		}
		refs, err := approvalsAmong(all, commits)
		if err != nil {
			return nil, err
		}
		return refs, readSignatures(repo.Storer, refs)
	}
	all, err := s.remote().ListContext(ctx, &git.ListOptions{
		Auth: s.auth, CABundle: s.opt.Auth.CABundle, ClientCert: s.opt.Auth.ClientCert, ClientKey: s.opt.Auth.ClientKey,
	})
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, s.remoteError(err)
	}
	refs, err := approvalsAmong(all, commits)
	if err != nil || len(refs) == 0 {
		return nil, err
	}
	return refs, s.fetchSignatures(ctx, refs)
}

// approvalsAmong picks the approvals of commits, in the order of their names.
func approvalsAmong(all []*plumbing.Reference, commits []string) ([]signedRef, error) {
	var refs []signedRef
	for _, r := range all {
		rest, ok := strings.CutPrefix(r.Name().String(), approvalPrefix)
		commit, who, named := strings.Cut(rest, "/")
		if !ok || !named || who == "" || r.Type() != plumbing.HashReference || !slices.Contains(commits, commit) {
			continue
		}
		refs = append(refs, signedRef{name: r.Name().String(), commit: commit, hash: r.Hash()})
	}
	if len(refs) > maxApprovals {
		return nil, fmt.Errorf("reading the approvals: there are more than %d: %w", maxApprovals, ErrLimit)
	}
	slices.SortFunc(refs, func(a, b signedRef) int { return strings.Compare(a.name, b.name) })
	return refs, nil
}

// fetchSignatures transfers approvals into a store that is thrown away: whoever may push an approval may push other
// things as well, and they are not to stay.
func (s *Source) fetchSignatures(ctx context.Context, refs []signedRef) (err error) {
	dir := filepath.Join(s.opt.Dir, "approvals.tmp")
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("fetching the approvals: %w", err)
	}
	store := filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRU(objectCache))
	defer func() { err = errors.Join(err, store.Close(), os.RemoveAll(dir)) }()
	if _, err := git.Init(store, nil); err != nil {
		return fmt.Errorf("fetching the approvals: %w", err)
	}
	specs := make([]config.RefSpec, len(refs))
	for i, ref := range refs {
		specs[i] = config.RefSpec("+" + ref.name + ":" + ref.name)
	}
	err = git.NewRemote(store, &config.RemoteConfig{Name: "origin", URLs: []string{s.opt.URL}}).FetchContext(ctx, &git.FetchOptions{
		Auth: s.auth, CABundle: s.opt.Auth.CABundle, ClientCert: s.opt.Auth.ClientCert, ClientKey: s.opt.Auth.ClientKey,
		RefSpecs: specs, Tags: git.NoTags, Force: true, Depth: 1,
	})
	if err != nil && !errors.Is(err, errNothingNew) {
		return s.remoteError(err)
	}
	return readSignatures(store, refs)
}

// readSignatures fills in the signatures. What is not one is odd; that does not keep the others from being read.
func readSignatures(store storer.EncodedObjectStorer, refs []signedRef) error {
	for i := range refs {
		blob, err := object.GetBlob(store, refs[i].hash)
		switch {
		case errors.Is(err, plumbing.ErrObjectNotFound):
			refs[i].odd = "it is not a file with a signature, or it moved meanwhile"
			continue
		case err != nil:
			return fmt.Errorf("reading %s: %w", refs[i].name, err)
		case blob.Size > maxApproval:
			refs[i].odd = fmt.Sprintf("it has more than %d bytes", maxApproval)
			continue
		}
		r, err := blob.Reader()
		if err != nil {
			return fmt.Errorf("reading %s: %w", refs[i].name, err)
		}
		refs[i].signature, err = io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("reading %s: %w", refs[i].name, err)
		}
	}
	return nil
}
