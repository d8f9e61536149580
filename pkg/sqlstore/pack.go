package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// packer makes documents small on disk: 400 packages are 24 KB of JSON, and a quarter of that packed. It is safe for
// concurrent use.
type packer struct {
	in  *zstd.Encoder
	out *zstd.Decoder
}

const (
	// worthwhile is the size from which documents are packed.
	worthwhile = 256
	// maxUnpacked bounds what a packed document can become: larger ones are not accepted from nodes.
	maxUnpacked = 16 << 20
)

func newPacker() *packer {
	in, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil { // the options are constant
		panic(err)
	}
	out, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		panic(err)
	}
	return &packer{in: in, out: out}
}

// magic begins what is packed; no JSON begins so. See https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.
var magic = []byte{0x28, 0xb5, 0x2f, 0xfd}

func (p *packer) pack(doc json.RawMessage) []byte {
	if len(doc) < worthwhile {
		return doc
	}
	return p.in.EncodeAll(doc, nil)
}

// unpack also reads what was kept before documents were packed.
func (p *packer) unpack(data []byte) (json.RawMessage, error) {
	if !bytes.HasPrefix(data, magic) {
		return data, nil
	}
	doc, err := p.out.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return doc, nil
}

// read decodes a document of this package.
func (p *packer) read(data []byte, into any) error {
	doc, err := p.unpack(data)
	if err != nil {
		return err
	}
	return json.Unmarshal(doc, into)
}
