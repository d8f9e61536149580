package resources

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// ownFile is a file that a resource makes, as it is and with the attributes it should have.
type ownFile struct {
	path  string
	attrs attributes
	want  host.Attr
	is    *host.Info
	data  []byte
}

func ownFileAt(ctx context.Context, h *host.Host, path string, a attributes) (ownFile, error) {
	f := ownFile{path: path, attrs: a}
	var err error
	if f.want, err = a.resolve(ctx, h); err != nil {
		return f, err
	}
	if f.is, err = look(h, path); err != nil || f.is == nil {
		return f, err
	}
	if f.is.Kind != host.File {
		return f, fmt.Errorf("%s is a %s, not a file", path, f.is.Kind)
	}
	f.data, err = h.FS.Read(path, maxKey)
	return f, err
}

// planAttributes plans mode and owner of a file that is there.
func (f ownFile) planAttributes(ctx context.Context, h *host.Host, p *resource.Plan, prefix string) {
	changes := f.attrs.changes(ctx, h, *f.is, f.want)
	if len(changes) == 0 {
		return
	}
	for i := range changes {
		changes[i].Field = prefix + changes[i].Field
	}
	p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, f.path, f.want) }, changes...)
}

// issue makes the certificate, and a key if there is none. The key is written first: if the certificate then fails, the
// next run finds one of another key, or none.
func (c *Certificate) issue(ctx context.Context, h *host.Host, key crypto.Signer, keyAttr, certAttr host.Attr) error {
	fresh := key == nil
	if fresh {
		var err error
		if key, err = newPrivateKey(orWord(c.KeyType, "ecdsa-p256")); err != nil {
			return fmt.Errorf("making the key: %w", err)
		}
	}
	der, err := c.sign(h, key)
	if err != nil {
		return err
	}
	if fresh {
		if err := c.writeKey(ctx, h, key, keyAttr); err != nil {
			return err
		}
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return h.FS.Write(ctx, c.Path, bytes.NewReader(text), host.WriteOptions{Attr: certAttr})
}

// writeKey writes a new private key.
func (c *Certificate) writeKey(ctx context.Context, h *host.Host, key crypto.Signer, attr host.Attr) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("rendering the key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	return h.FS.Write(ctx, c.Key, bytes.NewReader(text), host.WriteOptions{Attr: attr})
}

func (c *Certificate) sign(h *host.Host, key crypto.Signer) ([]byte, error) {
	now := h.Clock.Now().UTC().Truncate(time.Second)
	cert, err := c.template(key.Public(), now)
	if err != nil {
		return nil, err
	}
	issuer, signer := cert, key
	if c.CACertificate != "" {
		if issuer, signer, err = c.authority(h); err != nil {
			return nil, err
		}
		if issuer.NotAfter.Before(cert.NotAfter) {
			cert.NotAfter = issuer.NotAfter
		}
		if cert.NotAfter.Sub(now) <= time.Duration(c.renewDays())*24*time.Hour {
			return nil, fmt.Errorf("%s ends on %s, too soon to sign a certificate that is made anew %d days before its end",
				c.CACertificate, issuer.NotAfter.UTC().Format(time.DateOnly), c.renewDays())
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, issuer, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate: %w", err)
	}
	return der, nil
}

// template is the certificate before it is signed. Its serial number is made of the key and the time: unique for an issuer,
// and no state is needed.
func (c *Certificate) template(public crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	raw, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("rendering the public key: %w", err)
	}
	sum := sha256.Sum256(append(raw, now.Format(time.RFC3339)+c.Path...))
	sum[0] &= 0x7f // a serial number is positive, RFC 5280
	cert := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(sum[:16]), Subject: pkix.Name{CommonName: c.commonName()},
		NotBefore: now, NotAfter: now.Add(time.Duration(c.days()) * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: c.Authority,
	}
	if c.Organization != "" {
		cert.Subject.Organization = []string{c.Organization}
	}
	if c.Authority {
		cert.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else {
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		if _, ok := public.(*rsa.PublicKey); ok {
			cert.KeyUsage |= x509.KeyUsageKeyEncipherment
		}
	}
	for _, name := range c.sortedNames() {
		if ip, err := netip.ParseAddr(name); err == nil {
			cert.IPAddresses = append(cert.IPAddresses, ip.AsSlice())
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	return cert, nil
}

// authority reads who signs.
func (c *Certificate) authority(h *host.Host) (*x509.Certificate, crypto.Signer, error) {
	ca, err := readAuthority(h, c.CACertificate)
	if err != nil {
		return nil, nil, err
	}
	data, err := h.FS.Read(c.CAKey, maxKey)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the key of the authority: %w", err)
	}
	key, err := parsePrivateKey(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.CAKey, err)
	}
	if !samePublic(key.Public(), ca.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", c.CAKey, c.CACertificate)
	}
	return ca, key, nil
}

func readAuthority(h *host.Host, path string) (*x509.Certificate, error) {
	data, err := h.FS.Read(path, maxKey)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the authority: %w", err)
	}
	ca, err := parseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if !ca.IsCA {
		return nil, fmt.Errorf("%s is not the certificate of an authority", path)
	}
	return ca, nil
}

// parseCertificate reads the first certificate of a file; the others are its chain.
func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("this is no certificate in PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return cert, nil
}

// parsePrivateKey reads a key in one of the three forms that openssl(1) writes. What the file holds is in no error.
func parsePrivateKey(data []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // parameters of a curve
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if signer, ok := key.(crypto.Signer); ok {
				return signer, nil
			}
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		break
	}
	return nil, errors.New("this is no private key in PEM without a password")
}

func newPrivateKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case "ecdsa-p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa-3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "rsa-4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// keyTypeOf names the kind of a key as the policy does, as far as it can be made.
func keyTypeOf(public crypto.PublicKey) string {
	switch k := public.(type) {
	case ed25519.PublicKey:
		return "ed25519"
	case *ecdsa.PublicKey:
		return "ecdsa-" + strings.ToLower(strings.ReplaceAll(k.Curve.Params().Name, "-", ""))
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", k.N.BitLen())
	}
	return "of another kind"
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
