package controller

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
)

const sealedName = "sealed.json"

// sealedBook remembers what is sealed to whom, so that nothing is sealed again, and no node fetches anything again, when
// nothing has changed. It holds no value: what is in an envelope is told by a MAC alone.
type sealedBook struct {
	Format   int                      `json:"format"` // 1
	Key      []byte                   `json:"key"`    // of the MACs; of this file alone
	Channels map[string]sealedChannel `json:"channels"`
}

type sealedChannel struct {
	Target bundle.Target         `json:"target,omitzero"`
	Nodes  map[string]sealedNode `json:"nodes,omitempty"` // by the ID of the key
	// Bundle is the digest of the bundle whose secrets these are, and Outside the MAC of each value of theirs that is not of the
	// repository.
	Bundle  string            `json:"bundle,omitempty"`
	Outside map[string]string `json:"outside,omitempty"`
}

type sealedNode struct {
	MAC    string   `json:"mac"` // of the envelope
	Names  []string `json:"names"`
	Sealed []byte   `json:"sealed"`
}

// sealedBook reads the book once. One that is lost or damaged is begun anew: everything is sealed again.
func (c *Controller) sealedBook() *sealedBook {
	if c.book != nil {
		return c.book
	}
	book := &sealedBook{}
	data, err := os.ReadFile(filepath.Join(c.cfg.Data, sealedName))
	if err == nil {
		if err = json.Unmarshal(data, book); err == nil && (book.Format != 1 || len(book.Key) != 32) {
			err = errors.New("it is of no format that is known here")
		}
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.cfg.Log.Warn("sealing everything again", "err", fmt.Errorf("reading %s: %w", sealedName, err))
		}
		book = &sealedBook{Format: 1, Key: make([]byte, 32)}
		rand.Read(book.Key) // never fails since Go 1.24
	}
	if book.Channels == nil {
		book.Channels = map[string]sealedChannel{}
	}
	c.book = book
	return book
}

// keepSealed writes down what is sealed to the nodes of a channel now.
func (c *Controller) keepSealed(name string, s sealedChannel) error {
	book := c.sealedBook()
	if s.Target.Digest == "" {
		if _, known := book.Channels[name]; !known {
			return nil
		}
		delete(book.Channels, name)
	} else {
		book.Channels[name] = s
	}
	data, err := json.Marshal(book)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(c.cfg.Data, sealedName), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping what is sealed: %w", err)
	}
	return nil
}
