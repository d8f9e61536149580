package resources

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// TrustedCA is a certificate of an authority that the programs of the machine trust. The file goes where the system
// keeps local authorities, and its own program then builds the bundle of all: update-ca-certificates on Debian, Alpine
// and SUSE, update-ca-trust on RedHat and Arch. What counts is the bundle: an authority that is not in it is drift.
//
//	resources:
//	  - trusted_ca: example-root
//	    source: example-root.pem
type TrustedCA struct {
	// Name of the authority, and of its file.
	Name string `vigo:"identity"`

	// Ensure says whether the authority should be trusted.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Certificate is one certificate in PEM, as text.
	Certificate string `yaml:"certificate"`

	// Source is the same as a file below files/ of the module.
	Source string `yaml:"source"`

	pem []byte
}

var (
	_ resource.Validator = (*TrustedCA)(nil)
	_ resource.Binder    = (*TrustedCA)(nil)
	_ resource.Requirer  = (*TrustedCA)(nil)
)

// Validate implements [resource.Validator].
func (c *TrustedCA) Validate() error {
	if !plainWord(c.Name, ".") {
		return fmt.Errorf("%q cannot be the name of a file", c.Name)
	}
	switch {
	case c.Ensure == "absent":
		return nil
	case (c.Certificate == "") == (c.Source == ""):
		return errors.New(`needs one of the keys "certificate" and "source"`)
	case c.Certificate != "":
		_, err := authorityPEM([]byte(c.Certificate))
		return err
	}
	return nil
}

// Bind implements [resource.Binder].
func (c *TrustedCA) Bind(content resource.Content) error {
	if c.Ensure == "absent" {
		return nil
	}
	data := []byte(c.Certificate)
	if c.Source != "" {
		var err error
		if data, err = readBlob(content, c.Source, maxKey); err != nil {
			return fmt.Errorf("source: %w", err)
		}
	}
	var err error
	c.pem, err = authorityPEM(data)
	return err
}

// readBlob reads a file of the module that is to be short.
func readBlob(content resource.Content, name string, most int64) ([]byte, error) {
	blob, err := content.File(name)
	if err != nil {
		return nil, err
	}
	if blob.Size > most {
		return nil, fmt.Errorf("%s: %d bytes is too long", name, blob.Size)
	}
	f, err := blob.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	return data, errors.Join(err, f.Close())
}

// authorityPEM reads the one certificate of an authority and renders it in the form that bundles have.
func authorityPEM(data []byte) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("the certificate is not in PEM: it has no BEGIN CERTIFICATE")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, fault.WithHint(errors.New("there is more than one certificate"), "declare a trusted_ca for each")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("the certificate of %s is not one of an authority", cert.Subject)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}), nil
}

// Requires implements [resource.Requirer].
func (c *TrustedCA) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "ca-certificates"}}
}

// trustLayout is how a system keeps the authorities it trusts.
type trustLayout struct {
	dir, end string // of the files of local authorities
	bundle   string
	update   []string
}

// trustLayoutOf finds the layout of the machine by the folders that its ca-certificates package has made.
func trustLayoutOf(h *host.Host) (trustLayout, error) {
	for _, l := range []trustLayout{
		{"/etc/pki/ca-trust/source/anchors", ".pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", []string{"update-ca-trust", "extract"}},
		{"/etc/pki/trust/anchors", ".pem", "/var/lib/ca-certificates/ca-bundle.pem", []string{"update-ca-certificates"}},
		{"/etc/ca-certificates/trust-source/anchors", ".pem", "/etc/ca-certificates/extracted/tls-ca-bundle.pem", []string{"update-ca-trust"}},
		{"/usr/local/share/ca-certificates", ".crt", "/etc/ssl/certs/ca-certificates.crt", []string{"update-ca-certificates"}},
	} {
		is, err := look(h, l.dir)
		if err != nil {
			return l, err
		}
		if is != nil {
			return l, nil
		}
	}
	err := fmt.Errorf("finding where the system keeps authorities: %w", host.ErrNotFound)
	return trustLayout{}, fault.WithHint(err, "declare the package ca-certificates")
}

// Plan implements [resource.Resource].
func (c *TrustedCA) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	l, err := trustLayoutOf(h)
	if errors.Is(err, host.ErrNotFound) && c.Ensure == "absent" {
		return resource.Plan{}, nil
	}
	if err != nil {
		return resource.Plan{}, err
	}
	f := ownedFile(path.Join(l.dir, c.Name+l.end), string(c.pem))
	if c.Ensure == "absent" {
		return ownedPlan(ctx, h, gone(f.Path), func(ctx context.Context) error { return updateTrust(ctx, h, l) })
	}
	p, err := f.Plan(ctx, h)
	if err != nil {
		return p, err
	}
	trusted, err := inBundle(h, l, c.pem)
	if err != nil || trusted && p.Empty() {
		return p, err
	}
	p.Do(func(ctx context.Context) error { return updateTrust(ctx, h, l) }, change.Of("bundle", bundleWord(trusted), "rebuilt"))
	return p, nil
}

func bundleWord(trusted bool) string {
	if trusted {
		return "old"
	}
	return "without it"
}

func inBundle(h *host.Host, l trustLayout, cert []byte) (bool, error) {
	data, err := h.FS.Read(l.bundle, 16<<20)
	if errors.Is(err, host.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the bundle of authorities: %w", err)
	}
	return bytes.Contains(data, bytes.TrimSpace(cert)), nil
}

func updateTrust(ctx context.Context, h *host.Host, l trustLayout) error {
	res, err := h.Run.Run(ctx, host.Command{Argv: l.update})
	if err != nil {
		return fmt.Errorf("building the bundle of authorities: %w", err)
	}
	if res.Code != 0 {
		return fmt.Errorf("building the bundle of authorities: %s ended with status %d%s", l.update[0], res.Code, lastWords(append(res.Stdout, res.Stderr...)))
	}
	return nil
}
