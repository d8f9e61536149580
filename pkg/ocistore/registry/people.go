package registry

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// What people may push: requests for promotion, orders of modes, and signatures of what is there. All of it is small.
const (
	maxPeopleManifest  = 64 << 10
	maxPeopleBlob      = 1 << 20
	maxPeopleReferrers = 48 // of one thing, with those of the controller: verifiers look at 64
	peoplePercent      = 90 // of the quota: the rest is for the controller
)

// has says whether a repository is there.
func (r *Registry) has(repository string) bool {
	_, err := os.Stat(filepath.Join(r.Dir, filepath.FromSlash(repository), indexName))
	return err == nil
}

// forPeople refuses a manifest that operators have no business to push. A signature has no tag, and the only tags that an
// operator moves are those of what is asked and ordered for a channel, with a request or an order for that channel: no
// channel, bundle or root document is ever in their hands.
func (r *Registry) forPeople(req *http.Request, to target, data []byte) *refusal {
	denied := func(format string, args ...any) *refusal {
		return refuse(http.StatusForbidden, codeDenied, forContent, "operators push requests for promotion (vigo promote), orders of modes (vigo mode) and signatures (vigo approve, cosign sign)", format, args...)
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return refuse(http.StatusBadRequest, codeManifest, forContent, "", "%s", err)
	}
	if req.URL.Query().Has("tag") {
		return denied("operators give no further tags")
	}
	store, err := r.Store(req.Context(), to.repository)
	if err != nil {
		return denied("%s", err)
	}
	_, notDigest := bundle.ParseDigest(to.reference)
	switch {
	case m.ArtifactType == trust.PromotionType && m.Subject == nil:
		asked, err := trust.ReadRequest(req.Context(), store, m)
		if err != nil {
			return denied("it is no request for promotion: %s", err)
		}
		if tag := trust.PromotionTag(asked.Channel); notDigest != nil && to.reference != tag {
			return denied("a request for channel %q goes to the tag %s, not to %.120q", asked.Channel, tag, to.reference)
		}
		return nil
	case m.ArtifactType == trust.ModesType && m.Subject == nil:
		order, _, err := trust.ReadOrder(req.Context(), store, m)
		if err != nil {
			return denied("it is no order of modes: %s", err)
		}
		if tag := trust.ModesTag(order.Channel); notDigest != nil && to.reference != tag {
			return denied("an order for channel %q goes to the tag %s, not to %.120q", order.Channel, tag, to.reference)
		}
		return nil
	case m.Subject != nil && (m.ArtifactType == bundle.SignatureMediaType || m.Config.MediaType == bundle.SignatureMediaType):
		if notDigest != nil {
			return denied("a signature is given no tag")
		}
		if err := signable(req.Context(), store, *m.Subject); err != nil {
			return denied("%s", err)
		}
		return nil
	}
	return denied("it is neither a request for promotion, nor an order of modes, nor a signature")
}

// signable says why something cannot be given another signature.
func signable(ctx context.Context, store bundle.Store, subject bundle.Descriptor) error {
	if _, err := bundle.Fetch(ctx, store, subject, bundle.MaxManifest); err != nil {
		return errors.New("what it signs is not here")
	}
	found, err := store.Referrers(ctx, subject, "")
	if err != nil {
		return errors.New("what refers to the thing it signs cannot be read")
	}
	if len(found) >= maxPeopleReferrers {
		return errors.New("there are too many signatures of it")
	}
	return nil
}
