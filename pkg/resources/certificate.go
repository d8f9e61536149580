package resources

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Certificate is a certificate and its private key, made on the machine: the key never leaves it. It is signed by itself, or
// by an authority whose certificate and key are files of the same machine. It is made anew when it nears its end, or when
// names, issuer or key are no longer as declared; the key then stays. A key that is there is used as it is, if it is of the
// declared type and in PEM without a password. Services that read the files are told by notify.
//
// With request it is signed by somebody else: the key and a request in PEM (PKCS #10) are made on the machine, the request is
// carried to the authority by whatever way there is, and the certificate that it issues is put into the policy as issued, or
// to its path by hand. One that nears its end is an error of the resource then, as is one of another key.
//
//	resources:
//	  - certificate: /etc/ssl/certs/app.pem
//	    key: /etc/ssl/private/app.key
//	    names: [app.example.com, 192.0.2.10]
//	    key_group: ssl-cert
//	    key_mode: "0640"
//	    notify: [service:nginx]
type Certificate struct {
	// Path of the certificate, absolute; in PEM.
	Path string `vigo:"identity"`

	// Ensure says whether the certificate should be there. Absent removes the certificate, the key and the request.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Key is the path of the private key, absolute; in PEM (PKCS #8).
	Key string `yaml:"key" vigo:"required"`

	// KeyType is the kind of key; ecdsa-p256 if it is not given. A key of another kind is replaced.
	KeyType string `yaml:"key_type" vigo:"enum=ecdsa-p256|ecdsa-p384|ed25519|rsa-2048|rsa-3072|rsa-4096"`

	// CommonName of the subject; the first of names if it is not given.
	CommonName string `yaml:"common_name"`

	// Organization of the subject.
	Organization string `yaml:"organization"`

	// Names the certificate is for: names of DNS, which may begin with "*.", and IP addresses.
	Names []string `yaml:"names"`

	// Authority makes it the certificate of an authority, which may sign others.
	Authority bool `yaml:"authority"`

	// Days it is valid for; 365 if it is not given. It ends no later than its issuer.
	Days int `yaml:"days"`

	// RenewDays is how many days before its end it is made anew; 30 if it is not given.
	RenewDays *int `yaml:"renew_days"`

	// CACertificate is the path of the certificate of the authority that signs it. Without it, it signs itself.
	CACertificate string `yaml:"ca_certificate"`

	// CAKey is the path of the private key of the authority.
	CAKey string `yaml:"ca_key"`

	// Request is the path of the request for a certificate, absolute, which is made in place of a certificate.
	Request string `yaml:"request"`

	// Issued is the certificate that the authority issued for the request, in PEM, with those of the chain behind it.
	Issued string `yaml:"issued"`

	// Mode of the certificate, as a quoted octal string; "0644" if it is not given.
	Mode *resource.Mode `yaml:"mode"`

	// Owner of the certificate: the name of a user, or a number.
	Owner string `yaml:"owner"`

	// Group of the certificate: the name of a group, or a number.
	Group string `yaml:"group"`

	// KeyMode is the mode of the key, as a quoted octal string; "0600" if it is not given.
	KeyMode *resource.Mode `yaml:"key_mode"`

	// KeyOwner is the owner of the key: the name of a user, or a number.
	KeyOwner string `yaml:"key_owner"`

	// KeyGroup is the group of the key: the name of a group, or a number.
	KeyGroup string `yaml:"key_group"`
}

var (
	_ resource.Validator = (*Certificate)(nil)
	_ resource.Requirer  = (*Certificate)(nil)
)

// Validate implements [resource.Validator].
func (c *Certificate) Validate() error {
	for _, p := range []struct{ key, path string }{{"", c.Path}, {"key: ", c.Key}, {"ca_certificate: ", c.CACertificate}, {"ca_key: ", c.CAKey}} {
		if p.path == "" {
			continue
		}
		if err := checkPath(p.path); err != nil {
			return fmt.Errorf("%s%w", p.key, err)
		}
	}
	switch {
	case c.Key == c.Path:
		return errors.New("certificate and key need a file each")
	case c.Ensure == "absent":
		return nil
	case c.commonName() == "":
		return errors.New("needs names or common_name")
	case (c.CACertificate == "") != (c.CAKey == ""):
		return errors.New("ca_certificate and ca_key go together")
	case c.Days < 0 || c.Days > 36500:
		return errors.New("days: want a number from 1 to 36500")
	case c.renewDays() < 0 || c.renewDays() >= c.days():
		return fmt.Errorf("renew_days: %d days before its end, a certificate of %d days would be made anew in every run", c.renewDays(), c.days())
	case c.KeyMode != nil && c.KeyMode.Perm&0o007 != 0:
		return fault.WithHint(fmt.Errorf("key_mode: %s lets everybody at the key", c.KeyMode), `use key_group and "0640"`)
	}
	if err := c.checkRequest(); err != nil {
		return err
	}
	for _, name := range c.Names {
		if ip, err := netip.ParseAddr(name); err == nil && ip.Zone() == "" {
			continue
		}
		if !plainWord(strings.TrimPrefix(name, "*."), ".") {
			return fmt.Errorf("names: %q is no name of DNS and no IP address", name)
		}
	}
	return nil
}

func (c *Certificate) commonName() string {
	if c.CommonName == "" && len(c.Names) > 0 {
		return c.Names[0]
	}
	return c.CommonName
}

func (c *Certificate) days() int {
	if c.Days == 0 {
		return 365
	}
	return c.Days
}

func (c *Certificate) renewDays() int {
	if c.RenewDays == nil {
		return 30
	}
	return *c.RenewDays
}

func (c *Certificate) attributes() attributes {
	return attributes{orMode(c.Mode, 0o644), c.Owner, c.Group}
}

func (c *Certificate) keyAttributes() attributes {
	return attributes{orMode(c.KeyMode, 0o600), c.KeyOwner, c.KeyGroup}
}

func orMode(m *resource.Mode, perm fs.FileMode) *resource.Mode {
	if m == nil {
		return &resource.Mode{Perm: perm}
	}
	return m
}

// Requires implements [resource.Requirer].
func (c *Certificate) Requires() []resource.ID {
	if c.Ensure == "absent" {
		return nil
	}
	ids := append(c.attributes().requires(c.Path), c.keyAttributes().requires(c.Key)...)
	if c.CACertificate != "" {
		ids = append(ids, resource.ID{Type: "certificate", Name: c.CACertificate}, resource.ID{Type: "file", Name: c.CACertificate},
			resource.ID{Type: "file", Name: c.CAKey})
	}
	return ids
}

// Plan implements [resource.Resource].
func (c *Certificate) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if c.Ensure == "absent" {
		for _, f := range []struct{ prefix, path string }{{"", c.Path}, {"key", c.Key}, {"request", c.Request}} {
			if f.path == "" {
				continue
			}
			removal, err := (&File{Path: f.path, Ensure: "absent"}).Plan(ctx, h)
			if err != nil {
				return p, err
			}
			p.Include(f.prefix, removal)
		}
		return p, nil
	}
	if c.Request != "" {
		return c.planRequest(ctx, h)
	}
	keyFile, err := ownFileAt(ctx, h, c.Key, c.keyAttributes())
	if err != nil {
		return p, err
	}
	certFile, err := ownFileAt(ctx, h, c.Path, c.attributes())
	if err != nil {
		return p, err
	}
	key, keyChange, err := c.key(keyFile)
	if err != nil {
		return p, err
	}
	changes, err := c.compare(h, certFile, key)
	if err != nil {
		return p, err
	}
	if keyChange != nil {
		changes = append([]change.Change{*keyChange}, changes...)
	}
	if len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return c.issue(ctx, h, key, keyFile.want, certFile.want) }, changes...)
	}
	if key != nil { // else it is written with them
		keyFile.planAttributes(ctx, h, &p, "key_")
	}
	if certFile.is != nil {
		certFile.planAttributes(ctx, h, &p, "")
	}
	return p, nil
}

// key reads the key that is there; nil, with a change, if one is to be made.
func (c *Certificate) key(f ownFile) (crypto.Signer, *change.Change, error) {
	want := orWord(c.KeyType, "ecdsa-p256")
	if f.is == nil {
		made := change.Of("key", change.Absent, want)
		return nil, &made, nil
	}
	key, err := parsePrivateKey(f.data)
	if err != nil {
		return nil, nil, fault.WithHint(fmt.Errorf("%s: %w", c.Key, err), "move it away by hand, and a new key is made")
	}
	if is := keyTypeOf(key.Public()); is != want {
		made := change.Of("key", is, want)
		return nil, &made, nil
	}
	return key, nil, nil
}

// compare says what of the certificate that is there is not as declared.
func (c *Certificate) compare(h *host.Host, f ownFile, key crypto.Signer) ([]change.Change, error) {
	if f.is == nil {
		return []change.Change{change.Of("certificate", change.Absent, "for "+c.commonName())}, nil
	}
	is, err := parseCertificate(f.data)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", c.Path, err), "move it away by hand, and a new one is made")
	}
	var changes []change.Change
	differ := func(field, from, to string) {
		if from != to {
			changes = append(changes, change.Of(field, orWord(from, change.Absent), orWord(to, change.Absent)))
		}
	}
	if key == nil || !samePublic(key.Public(), is.PublicKey) {
		differ("certificate", "of another key", "for "+c.commonName())
	}
	differ("common_name", is.Subject.CommonName, c.commonName())
	differ("organization", strings.Join(is.Subject.Organization, ", "), c.Organization)
	differ("names", strings.Join(namesOf(is), ", "), strings.Join(c.sortedNames(), ", "))
	differ("authority", fmt.Sprint(is.IsCA), fmt.Sprint(c.Authority))
	if left := is.NotAfter.Sub(h.Clock.Now()); left <= time.Duration(c.renewDays())*24*time.Hour {
		differ("valid", "until "+is.NotAfter.UTC().Format(time.DateOnly), fmt.Sprintf("for %d days", c.days()))
	}
	if c.CACertificate == "" {
		if is.CheckSignature(is.SignatureAlgorithm, is.RawTBSCertificate, is.Signature) != nil {
			differ("issuer", is.Issuer.String(), "itself")
		}
		return changes, nil
	}
	ca, err := readAuthority(h, c.CACertificate)
	if err != nil {
		return nil, err
	}
	if is.CheckSignatureFrom(ca) != nil {
		changes = append(changes, change.Of("issuer", is.Issuer.String(), ca.Subject.String()+" of "+c.CACertificate))
	}
	return changes, nil
}

// sortedNames are the names as namesOf renders those of a certificate.
func (c *Certificate) sortedNames() []string {
	var names []string
	for _, name := range c.Names {
		if ip, err := netip.ParseAddr(name); err == nil {
			name = ip.Unmap().String()
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func namesOf(cert *x509.Certificate) []string {
	names := slices.Clone(cert.DNSNames)
	for _, raw := range cert.IPAddresses {
		if ip, ok := netip.AddrFromSlice(raw); ok {
			names = append(names, ip.Unmap().String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
