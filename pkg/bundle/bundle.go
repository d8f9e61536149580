// Package bundle describes the artifact a policy travels in: an OCI manifest with a config and layers, addressed by
// digest, and the stores it is kept in.
//
// It refuses to talk to any registry (package ocistore does), to verify signatures (package trust does) and to
// understand what a policy says. The media types and documents here are the wire format; they follow the OCI image
// specification 1.1 (manifest with artifactType and subject).
package bundle

import (
	"context"
	"errors"
	"io"
	"time"
)

// The media types of a Vigo bundle and of a channel pointer.
const (
	ArtifactType      = "application/vnd.vigo.bundle.v1"
	ConfigMediaType   = "application/vnd.vigo.bundle.config.v1+json"
	LayerMediaType    = "application/vnd.vigo.bundle.layer.v1.tar+gzip"
	PointerType       = "application/vnd.vigo.channel.v1"
	ManifestMediaType = "application/vnd.oci.image.manifest.v1+json"
	// SignatureMediaType is that of a Sigstore bundle, as artifact type and as layer of a signature referrer.
	SignatureMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// The errors of stores. Others mean that the store could not be asked.
var (
	ErrNotFound = errors.New("not in the store")
	ErrDigest   = errors.New("content does not match its digest")
	ErrLimit    = errors.New("content exceeds a limit")
)

// A Descriptor names content by digest and size.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"` // sha256:<64 hex>
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// A Source is where bundles come from. The agent is handed a Source, so it cannot push.
type Source interface {
	// Resolve returns the descriptor a tag points to now; ErrNotFound if there is no such tag.
	Resolve(ctx context.Context, tag string) (Descriptor, error)
	// Open returns the content of d, which the caller closes. Reading past d.Size fails; reading to the end of
	// content that does not have d.Digest fails with ErrDigest.
	Open(ctx context.Context, d Descriptor) (io.ReadCloser, error)
	// Referrers lists the manifests of an artifact type whose subject is d, at most 64, in the order the store gives
	// them.
	Referrers(ctx context.Context, d Descriptor, artifactType string) ([]Descriptor, error)
}

// A Store is a source that can be written.
type Store interface {
	Source
	// Push stores content under its digest. Pushing what is there is no error.
	Push(ctx context.Context, d Descriptor, r io.Reader) error
	// Tag makes a tag point to a manifest that is in the store.
	Tag(ctx context.Context, d Descriptor, tag string) error
}

// A Manifest is an OCI image manifest, with the fields Vigo uses.
type Manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        Descriptor        `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Subject       *Descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Config is the config document of a bundle: what an agent must know to fetch only what it needs.
type Config struct {
	FormatVersion int    `json:"formatVersion"` // 1
	Fleet         string `json:"fleet"`
	// Content is the digest over the sorted list of layers by uncompressed digest: equal content, equal digest, however
	// it was compressed.
	Content  string   `json:"content"`
	Layers   []Layer  `json:"layers"` // in the order of the manifest's layers
	Source   Origin   `json:"source"`
	MinAgent string   `json:"minAgent,omitempty"` // lowest agent version that understands it
	Channels []string `json:"channels"`           // channels it may be published on
	Counter  int64    `json:"counter"`            // release counter: number of commits on the branch
	// Secrets counts how often values of secrets outside of the repository changed that channels are given in stages: such a
	// change is a bundle of its own, with the same content.
	Secrets int64 `json:"secrets,omitempty"`
}

// A Layer is one entry of the index of a bundle.
type Layer struct {
	Module  string `json:"module,omitempty"` // empty: the fleet layer
	Digest  string `json:"digest"`           // of the layer blob
	Content string `json:"content"`          // of the uncompressed tar
	Size    int64  `json:"size"`             // of the uncompressed tar
	Files   int    `json:"files"`
}

// Origin is where a bundle was made from.
type Origin struct {
	Repo       string    `json:"repo,omitempty"`
	Ref        string    `json:"ref,omitempty"`
	Commit     string    `json:"commit,omitempty"`
	CommitTime time.Time `json:"commitTime,omitzero"`
	Approvals  []string  `json:"approvals,omitempty"`
}

// A File is one regular file of a layer. Path is relative, slash-separated and clean.
type File struct {
	Path string
	Exec bool // mode 0755 instead of 0644
	Data []byte
}
