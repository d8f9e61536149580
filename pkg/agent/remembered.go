package agent

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"filippo.io/age"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/seal"
)

// rememberedFile holds the values that are masked, sealed to the key of this node: in clear they are in no file but those
// they belong to. Digests would not do: to mask a value in a text takes the value.
const rememberedFile = "remembered.age"

// rememberedFor is how long a value is masked after it was taken away or changed. By then what the host still holds of it is
// replaced, or the node has not run for so long.
const rememberedFor = 30 * 24 * time.Hour

// maxRemembered is how many values are masked, and maxRememberedSize how many bytes of them: those of an envelope and of some
// before it.
const (
	maxRemembered     = 2000
	maxRememberedSize = 2 * seal.MaxEnvelope
)

// remembered is the values that are masked.
type remembered struct {
	Format int          `json:"format"` // 1
	Values []pastSecret `json:"values"`
}

// pastSecret is one value. Until is zero while it is in force.
type pastSecret struct {
	Value []byte    `json:"value"`
	Until time.Time `json:"until,omitzero"`
}

// inForce takes over which values are in force now, and tells whether that is news.
func (r *remembered) inForce(values []string, now time.Time) (news bool) {
	for i := range r.Values {
		v := &r.Values[i]
		is := slices.Contains(values, string(v.Value))
		switch {
		case is && !v.Until.IsZero():
			v.Until, news = time.Time{}, true
		case !is && v.Until.IsZero():
			v.Until, news = now.Add(rememberedFor), true
		}
	}
	for _, value := range values {
		if !slices.ContainsFunc(r.Values, func(v pastSecret) bool { return string(v.Value) == value }) {
			r.Values, news = append(r.Values, pastSecret{Value: []byte(value)}), true
		}
	}
	before := len(r.Values)
	r.Values = slices.DeleteFunc(r.Values, func(v pastSecret) bool { return !v.Until.IsZero() && !now.Before(v.Until) })
	r.limit()
	return news || len(r.Values) != before
}

// limit forgets what was taken away first, when there is too much.
func (r *remembered) limit() {
	size := 0
	for _, v := range r.Values {
		size += len(v.Value)
	}
	for len(r.Values) > maxRemembered || size > maxRememberedSize {
		oldest := -1
		for i, v := range r.Values {
			if !v.Until.IsZero() && (oldest < 0 || v.Until.Before(r.Values[oldest].Until)) {
				oldest = i
			}
		}
		if oldest < 0 {
			return // all are in force
		}
		size -= len(r.Values[oldest].Value)
		r.Values = slices.Delete(r.Values, oldest, oldest+1)
	}
}

func (r *remembered) texts() []string {
	all := make([]string, len(r.Values))
	for i, v := range r.Values {
		all[i] = string(v.Value)
	}
	return all
}

// readRemembered opens the file; one that is not there is empty.
func readRemembered(path string, key ed25519.PrivateKey) (*remembered, error) {
	empty := &remembered{Format: 1}
	if len(key) == 0 {
		return empty, nil
	}
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	const doing = "reading which secrets were in force before"
	if err != nil {
		return empty, fmt.Errorf("%s: %w", doing, err)
	}
	as, err := seal.IdentityOf(key)
	if err != nil {
		return empty, err
	}
	clear, err := age.Decrypt(bytes.NewReader(sealed), as)
	if err != nil {
		return empty, fmt.Errorf("%s: %w", doing, err) // of another key, or damaged
	}
	data, err := io.ReadAll(io.LimitReader(clear, 4*maxRememberedSize))
	if err != nil {
		return empty, fmt.Errorf("%s: %w", doing, err)
	}
	var r remembered
	if json.Unmarshal(data, &r) != nil || r.Format != 1 { // what is in it is in no error
		return empty, fmt.Errorf("%s: it is of no form that is known to this version", doing)
	}
	return &r, nil
}

// save seals the values to the node.
func (r *remembered) save(path string, key ed25519.PrivateKey) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	sealed, err := seal.Seal(key.Public().(ed25519.PublicKey), data)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, sealed, 0o600)
}
