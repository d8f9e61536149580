package controller

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/seal"
	"vigo.dev/pkg/secrets"
)

// A Roster says which nodes are enrolled. Those that were retired are not among them.
type Roster interface {
	Recipients(ctx context.Context) ([]report.Recipient, error)
}

// A Sealer is what a controller needs to hand secrets to nodes.
type Sealer struct {
	Opener   *secrets.Opener
	Roster   Roster // nil: nobody says which nodes there are, so nothing is sealed
	Language catalog.Language
}

// checkSecrets opens every secret that a commit uses, so that one that cannot be opened is told to its author and not to the
// nodes. What is wrong with the repository comes back as fault.Problems; another error may pass.
func (c *Controller) checkSecrets(ctx context.Context, fsys fs.FS, layers []policy.Layer) error {
	p, content, err := policy.FromLayers(layers)
	if err != nil {
		return err
	}
	var uses []catalog.SecretUse
	if c.cfg.Secrets != nil {
		uses = c.cfg.Secrets.Language.SecretUses(p, content)
	} else if len(p.Fleet.Secrets.Files)+len(p.Fleet.Secrets.Providers) > 0 {
		c.cfg.Log.Warn("this controller seals no secrets: nodes will not have them")
	}
	if len(uses) == 0 {
		return nil
	}
	session := c.cfg.Secrets.Opener.In(fsys, p.Fleet.Secrets)
	var problems fault.Problems
	var later error
	told := map[string]bool{}
	for _, u := range uses {
		if told[u.Name] {
			continue
		}
		told[u.Name] = true
		_, err := session.Open(ctx, u.Name)
		switch {
		case errors.Is(err, secrets.ErrElsewhere) || ctx.Err() != nil:
			// A value that cannot be had now is sealed when it can; nodes keep what they have.
			later = errors.Join(later, err)
		case err != nil:
			problems = append(problems, fault.Problem{Pos: u.Pos, Code: "unreadable-secret", Msg: err.Error(), Hint: strings.Join(fault.Hints(err), "; ")})
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if later != nil {
		c.cfg.Log.Warn("a secret cannot be read now; nodes keep what they have", "err", later)
	}
	return problems.Err()
}

// sealed returns the artifact of secrets for a channel that is given a bundle; nil if its nodes have none. When nothing about it
// has changed it is the one from before. What could not be opened is an error beside it: nodes keep what they have.
func (c *Controller) sealed(ctx context.Context, name, slot string, t bundle.Target, before *bundle.Target) (*bundle.Target, error) {
	s := c.cfg.Secrets
	if s == nil || s.Roster == nil {
		return before, nil
	}
	before = c.takeOver(name, slot, t, before)
	if own := c.sealedBook().Channels[slot].Target; before == nil && own.Digest != "" {
		before = &own // what was sealed here is ours, whoever signed pointers meanwhile
	}
	p, content, err := c.policyOf(ctx, t)
	if err != nil {
		return before, failed(FailedSecrets, fmt.Errorf("reading which secrets the bundle uses: %w", err))
	}
	uses := s.Language.SecretUses(p, content)
	if len(uses) == 0 {
		return nil, nil
	}
	c.joins.sealing.Store(true) // before it is asked who is there: who joins from now on is told of
	roster, err := s.Roster.Recipients(ctx)
	if err != nil {
		return before, failed(FailedSecrets, fmt.Errorf("asking which nodes there are: %w", err))
	}
	needs, given := map[string]need{}, s.Language.Labelling(p)
	for _, r := range roster {
		if r.Channel != name {
			continue
		}
		if n := needOf(s.Language, p, content, r, given(r.Node)); len(n.names) > 0 {
			needs[r.Node] = n
		}
	}
	values, openErr := c.openAll(ctx, t, p, uses, needs)
	if ctx.Err() != nil {
		return before, ctx.Err()
	}
	to, err := c.sealTo(ctx, sealing{fleet: p.Fleet.Name, channel: name, slot: slot, needs: needs, values: values, outside: c.staged(name, slot, t, p, values)}, before)
	if err != nil {
		return before, failed(FailedSecrets, err)
	}
	return to, failed(FailedSecrets, openErr)
}

// need is what one node is to get.
type need struct {
	key   ed25519.PublicKey
	names []string
}

func needOf(l catalog.Language, p *policy.Policy, content *policy.Content, r report.Recipient, given map[string]string) need {
	labels := maps.Clone(r.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, given) // the signed policy has the last word, as on the node
	return need{key: r.Key, names: l.SecretsOf(p, content, r.Node, labels)}
}

// openAll opens every secret that some node is to get, from the commit of the bundle.
func (c *Controller) openAll(ctx context.Context, t bundle.Target, p *policy.Policy, uses []catalog.SecretUse, needs map[string]need) (map[string]seal.Value, error) {
	wanted := map[string]bool{}
	for _, n := range needs {
		for _, name := range n.names {
			wanted[name] = true
		}
	}
	values := map[string]seal.Value{}
	if len(wanted) == 0 {
		return values, nil
	}
	tree, err := c.treeOf(t.Commit)
	if err != nil {
		return values, err
	}
	session := c.cfg.Secrets.Opener.In(tree, p.Fleet.Secrets)
	var failures error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		value, err := session.Open(ctx, name)
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("%s: %w", place(uses, name), err))
			continue
		}
		at, _ := p.Fleet.Secrets.Locate(name)
		values[name] = seal.Value{Value: value, Version: at.Version}
	}
	return values, failures
}

// place is where a secret is used first.
func place(uses []catalog.SecretUse, name string) fault.Pos {
	for _, u := range uses {
		if u.Name == name {
			return u.Pos
		}
	}
	return fault.Pos{}
}

func (c *Controller) treeOf(hash string) (fs.FS, error) {
	commit, err := c.cfg.Git.Lookup(hash)
	if err != nil {
		return nil, err
	}
	return c.cfg.Git.Tree(commit)
}

// A sealing is what goes into one artifact of secrets.
type sealing struct {
	fleet, channel string
	slot           string                // of the book: that of the channel, or of its candidate
	needs          map[string]need       // by node
	values         map[string]seal.Value // of the secrets, as far as they could be opened
	outside        outside               // what is known of those that are not of the repository
}

// sealTo seals to each node what it needs, again only where something changed, and pushes the artifact if it is another than the one
// before.
func (c *Controller) sealTo(ctx context.Context, s sealing, before *bundle.Target) (*bundle.Target, error) {
	book := c.sealedBook()
	old, next := book.Channels[s.slot], map[string]sealedNode{}
	sealed := map[string][]byte{}
	same := before != nil
	for _, node := range slices.Sorted(maps.Keys(s.needs)) {
		id := seal.ID(s.needs[node].key)
		one, fresh, err := book.seal(s, node, old.Nodes[id])
		if err != nil {
			c.cfg.Log.Warn("nothing can be sealed to a node", "node", node, "err", err)
			continue
		}
		same = same && !fresh
		next[id], sealed[id] = one, one.Sealed
	}
	if same && len(next) == len(old.Nodes) && old.Target == *before {
		_, err := c.cfg.Store.Resolve(ctx, seal.Tag(before.Digest))
		if !errors.Is(err, bundle.ErrNotFound) {
			return before, errors.Join(failed(FailedRegistry, err), c.keepOutside(s.slot, s.outside))
		}
		c.cfg.Log.Warn("the registry has lost sealed secrets: publishing them again", "channel", s.channel)
	}
	if len(sealed) == 0 {
		return nil, c.keepSealed(s.slot, sealedChannel{})
	}
	built, err := seal.Pack(s.fleet, s.channel, sealed, c.cfg.Now())
	if err != nil {
		return nil, err
	}
	if err := built.Push(ctx, c.cfg.Store, seal.Tag(built.Descriptor.Digest)); err != nil {
		return nil, failed(FailedRegistry, err)
	}
	to := bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}
	c.cfg.Log.Info("secrets are sealed", "channel", s.channel, "nodes", len(sealed), "digest", to.Digest)
	return &to, c.keepSealed(s.slot, sealedChannel{Target: to, Nodes: next, Bundle: s.outside.bundle, Outside: s.outside.macs})
}

// seal seals to one node, unless what was sealed to it before holds the same. A value that could not be opened now stays as it
// was sealed, as long as the node gets everything that is in there; otherwise the node goes without it.
func (b *sealedBook) seal(s sealing, node string, old sealedNode) (one sealedNode, fresh bool, err error) {
	n := s.needs[node]
	e := seal.Envelope{Fleet: s.fleet, Channel: s.channel, Node: node, Key: seal.ID(n.key), Secrets: map[string]seal.Value{}}
	lacking := false
	for _, name := range n.names {
		v, ok := s.values[name]
		if ok {
			e.Secrets[name] = v
		}
		lacking = lacking || !ok
	}
	if old.Sealed != nil && slices.ContainsFunc(n.names, func(name string) bool { return s.outside.held[name] }) && slices.Equal(old.Names, slices.Sorted(slices.Values(n.names))) {
		return old, false, nil // it gets the new value with the bundle that brings it
	}
	allowed := func(name string) bool { return slices.Contains(n.names, name) }
	if lacking && old.Sealed != nil && !slices.ContainsFunc(old.Names, func(name string) bool { return !allowed(name) }) {
		return old, false, nil
	}
	data, err := e.Marshal()
	if err != nil {
		return one, false, err
	}
	sum := hmac.New(sha256.New, b.Key)
	sum.Write(data)
	mac := hex.EncodeToString(sum.Sum(nil))
	if old.Sealed != nil && hmac.Equal([]byte(mac), []byte(old.MAC)) {
		return old, false, nil
	}
	sealed, err := seal.Seal(n.key, data)
	if err != nil {
		return one, false, err
	}
	return sealedNode{MAC: mac, Names: slices.Sorted(maps.Keys(e.Secrets)), Sealed: sealed}, true, nil
}

// policyOf reads the policy of a bundle; that of the last few is remembered.
func (c *Controller) policyOf(ctx context.Context, t bundle.Target) (*policy.Policy, *policy.Content, error) {
	if known, ok := c.policies[t.Digest]; ok {
		return known.policy, known.content, nil
	}
	m, cfg, err := bundle.Read(ctx, c.cfg.Store, descriptorOf(t))
	if err != nil {
		return nil, nil, err
	}
	layers := make([]policy.Layer, len(cfg.Layers))
	for i, l := range cfg.Layers {
		data, err := bundle.Fetch(ctx, c.cfg.Store, m.Layers[i], bundle.MaxLayer)
		if err != nil {
			return nil, nil, err
		}
		files, err := bundle.ReadFiles(strings.NewReader(string(data)), bundle.DefaultLimits(), policy.Needed)
		if err != nil {
			return nil, nil, err
		}
		layers[i] = policy.Layer{Module: l.Module, Files: files}
	}
	p, content, err := policy.FromLayers(layers)
	if err != nil {
		return nil, nil, err
	}
	if len(c.policies) >= 8 {
		clear(c.policies)
	}
	c.policies[t.Digest] = policyKnown{p, content}
	return p, content, nil
}

type policyKnown struct {
	policy  *policy.Policy
	content *policy.Content
}

// sameTarget compares what pointers name.
func sameTarget(a, b *bundle.Target) bool {
	return a == b || a != nil && b != nil && a.Digest == b.Digest
}
