package resources

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// checkRequest says what is wrong with the keys of a certificate that somebody else signs.
func (c *Certificate) checkRequest() error {
	switch {
	case c.Request == "" && c.Issued != "":
		return errors.New("issued is the answer to a request: it needs the key request")
	case c.Request == "":
		return nil
	case c.Request == c.Key || c.Request == c.Path:
		return errors.New("request, certificate and key need a file each")
	case c.CACertificate != "" || c.Authority || c.Days != 0:
		return errors.New("with request somebody else signs, and decides over ca_certificate, ca_key, authority and days")
	}
	if err := checkPath(c.Request); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if c.Issued == "" {
		return nil
	}
	cert, err := parseCertificate([]byte(c.Issued))
	if err != nil {
		return fmt.Errorf("issued: %w", err)
	}
	if strings.Contains(c.Issued, "PRIVATE KEY") {
		return errors.New("issued: it holds a private key, which belongs to no policy")
	}
	for _, name := range c.Names {
		if !covers(cert, name) {
			return fault.WithHint(fmt.Errorf("issued: the certificate is not for %s", name), "it is for "+strings.Join(namesOf(cert), ", "))
		}
	}
	return nil
}

// covers reports whether a certificate is for a name, or for all of its kind.
func covers(cert *x509.Certificate, name string) bool {
	for _, n := range namesOf(cert) {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return !strings.HasPrefix(name, "*.") && cert.VerifyHostname(name) == nil
}

// planRequest plans the key, the request that is made with it, and the certificate once it is issued.
func (c *Certificate) planRequest(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	keyFile, err := ownFileAt(ctx, h, c.Key, c.keyAttributes())
	if err != nil {
		return p, err
	}
	reqFile, err := ownFileAt(ctx, h, c.Request, c.attributes())
	if err != nil {
		return p, err
	}
	key, keyChange, err := c.key(keyFile)
	if err != nil {
		return p, err
	}
	changes, err := c.compareRequest(reqFile, key)
	if err != nil {
		return p, err
	}
	if keyChange != nil {
		changes = append([]change.Change{*keyChange}, changes...)
	}
	if len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return c.ask(ctx, h, key, keyFile.want, reqFile.want) }, changes...)
	}
	if key != nil {
		keyFile.planAttributes(ctx, h, &p, "key_")
	}
	if reqFile.is != nil && len(changes) == 0 {
		reqFile.planAttributes(ctx, h, &p, "request_")
	}
	if key == nil {
		return p, nil // no certificate can be of a key that is not there yet
	}
	return p, c.planIssued(ctx, h, &p, key)
}

// compareRequest says what of the request that is there is not as declared.
func (c *Certificate) compareRequest(f ownFile, key crypto.Signer) ([]change.Change, error) {
	if f.is == nil {
		return []change.Change{change.Of("request", change.Absent, "for "+c.commonName())}, nil
	}
	block, _ := pem.Decode(f.data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, fault.WithHint(fmt.Errorf("%s: this is no request for a certificate in PEM", c.Request), "move it away by hand, and a new one is made")
	}
	is, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", c.Request, err), "move it away by hand, and a new one is made")
	}
	var changes []change.Change
	differ := func(field, from, to string) {
		if from != to {
			changes = append(changes, change.Of(field, orWord(from, change.Absent), orWord(to, change.Absent)))
		}
	}
	if key == nil || !samePublic(key.Public(), is.PublicKey) || is.CheckSignature() != nil {
		differ("request", "of another key", "for "+c.commonName())
	}
	names := namesOf(&x509.Certificate{DNSNames: is.DNSNames, IPAddresses: is.IPAddresses})
	differ("common_name", is.Subject.CommonName, c.commonName())
	differ("organization", strings.Join(is.Subject.Organization, ", "), c.Organization)
	differ("names", strings.Join(names, ", "), strings.Join(c.sortedNames(), ", "))
	return changes, nil
}

// ask makes the request, and a key if there is none; the key is written first.
func (c *Certificate) ask(ctx context.Context, h *host.Host, key crypto.Signer, keyAttr, reqAttr host.Attr) error {
	fresh := key == nil
	if fresh {
		var err error
		if key, err = newPrivateKey(orWord(c.KeyType, "ecdsa-p256")); err != nil {
			return fmt.Errorf("making the key: %w", err)
		}
	}
	cert, err := c.template(key.Public(), time.Time{})
	if err != nil {
		return err
	}
	request := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: cert.Subject.CommonName, Organization: cert.Subject.Organization},
		DNSNames: cert.DNSNames, IPAddresses: cert.IPAddresses,
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	if fresh {
		if err := c.writeKey(ctx, h, key, keyAttr); err != nil {
			return err
		}
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return h.FS.Write(ctx, c.Request, bytes.NewReader(text), host.WriteOptions{Attr: reqAttr})
}

// planIssued plans the certificate that was issued, if the policy has it, and looks whether the one that is there is of the key
// and lasts.
func (c *Certificate) planIssued(ctx context.Context, h *host.Host, p *resource.Plan, key crypto.Signer) error {
	f, err := ownFileAt(ctx, h, c.Path, c.attributes())
	if err != nil {
		return err
	}
	if c.Issued != "" {
		cert, err := parseCertificate([]byte(c.Issued))
		if err != nil {
			return err
		}
		if !samePublic(cert.PublicKey, key.Public()) {
			if !p.Empty() {
				return nil // the request comes first, and is what is to be signed
			}
			return fault.WithHint(fmt.Errorf("issued: the certificate is of another key than %s", c.Key), "have the request "+c.Request+" signed")
		}
		file := &File{Path: c.Path, Content: &c.Issued, Mode: c.attributes().Mode, Owner: c.Owner, Group: c.Group}
		part, err := file.Plan(ctx, h)
		p.Include("certificate", part)
		if err != nil || !part.Empty() {
			return err
		}
	} else if f.is != nil {
		f.planAttributes(ctx, h, p, "")
	}
	if f.is == nil || !p.Empty() {
		return nil
	}
	is, err := parseCertificate(f.data)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", c.Path, err)
	case !samePublic(is.PublicKey, key.Public()):
		return fault.WithHint(fmt.Errorf("%s is a certificate of another key than %s", c.Path, c.Key), "have the request "+c.Request+" signed")
	case is.NotAfter.Sub(h.Clock.Now()) <= time.Duration(c.renewDays())*24*time.Hour:
		return fault.WithHint(fmt.Errorf("%s ends on %s", c.Path, is.NotAfter.UTC().Format(time.DateOnly)), "have the request "+c.Request+" signed again")
	}
	return nil
}
