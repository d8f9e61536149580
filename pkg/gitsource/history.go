package gitsource

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// history is the set of commits the accepted commit descends from, itself included. The set is closed under parents, so
// a walk from a new tip may stop at its members: what it met outside is exactly what the new tip adds.
type history struct {
	tip     plumbing.Hash
	seen    map[plumbing.Hash]struct{}
	pending map[plumbing.Hash]struct{} // what next adds
	next    plumbing.Hash
	whole   bool // next descends from tip, so the two sets together are its history
}

// load makes h the history of tip.
func (h *history) load(ctx context.Context, store storer.EncodedObjectStorer, tip plumbing.Hash) error {
	seen, _, err := walk(ctx, store, tip, nil, plumbing.ZeroHash)
	if err != nil {
		return err
	}
	*h = history{tip: tip, seen: seen}
	return nil
}

// extend returns the number of commits in the history of next, and whether the accepted tip is among them.
func (h *history) extend(ctx context.Context, store storer.EncodedObjectStorer, next plumbing.Hash) (count int64, descends bool, err error) {
	if next == h.tip {
		h.next, h.pending, h.whole = next, nil, true
		return int64(len(h.seen)), true, nil
	}
	added, met, err := walk(ctx, store, next, h.seen, h.tip)
	if err != nil {
		return 0, false, err
	}
	if !met { // another history: count it from the start
		if added, _, err = walk(ctx, store, next, nil, plumbing.ZeroHash); err != nil {
			return 0, false, err
		}
		h.next, h.pending, h.whole = next, added, false
		return int64(len(added)), false, nil
	}
	h.next, h.pending, h.whole = next, added, true
	return int64(len(h.seen) + len(added)), true, nil
}

// lost counts the commits of the accepted history that are not in that of the commit looked at last, which does not
// descend from it.
func (h *history) lost() int {
	n := 0
	for c := range h.seen {
		if _, kept := h.pending[c]; !kept {
			n++
		}
	}
	return n
}

// accept makes the commit looked at last the tip. For any other commit the set is forgotten, and loaded when needed.
func (h *history) accept(hash string) {
	if h.next.String() != hash {
		*h = history{}
		return
	}
	if !h.whole {
		*h = history{tip: h.next, seen: h.pending}
		return
	}
	if h.seen == nil {
		h.seen = map[plumbing.Hash]struct{}{}
	}
	for c := range h.pending {
		h.seen[c] = struct{}{}
	}
	h.tip, h.pending = h.next, nil
}

// walk collects the commits reachable from tip that are not in known, and says whether it met the commit goal.
func walk(ctx context.Context, store storer.EncodedObjectStorer, tip plumbing.Hash, known map[plumbing.Hash]struct{}, goal plumbing.Hash) (map[plumbing.Hash]struct{}, bool, error) {
	found := map[plumbing.Hash]struct{}{}
	met := false
	todo := []plumbing.Hash{tip}
	for len(todo) > 0 {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if h == goal {
			met = true
		}
		if _, ok := known[h]; ok {
			continue
		}
		if _, ok := found[h]; ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		c, err := object.GetCommit(store, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil, false, fmt.Errorf("counting commits: %s: %w", h, ErrShallow)
		}
		if err != nil {
			return nil, false, fmt.Errorf("counting commits: %s: %w", h, err)
		}
		found[h] = struct{}{}
		todo = append(todo, c.ParentHashes...)
	}
	return found, met, nil
}
