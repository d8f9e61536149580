package traits

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// Certificates are the certificates of the machine's own services, by file, with when they expire. They are looked for
// below /etc/letsencrypt/live, /etc/nginx, /etc/apache2, /etc/httpd, /etc/haproxy and /etc/pki/tls/certs, and at the
// files and folders that /etc/vigo/certificates.paths names, one a line. A file counts with its first certificate.
// Bundles of authorities are passed over, files of keys are not read; there are at most 200.
//
//	when: not any(values(certificates), .days_left < 14)
type Certificates map[string]Certificate

// Certificate is the first certificate of one file.
type Certificate struct {
	// Subject is whom it is about: the common name, or the whole name if it has none.
	Subject string `json:"subject"`
	// Issuer is who signed it, in the same way.
	Issuer string `json:"issuer"`
	// Names and addresses it is good for.
	Names []string `json:"names"`
	// Expires is when it ends, in UTC.
	Expires string `json:"expires"`
	// DaysLeft is the number of whole days until then; negative when it has expired.
	DaysLeft int `json:"days_left"`
}

const (
	certificatePaths = "/etc/vigo/certificates.paths"
	maxCertificates  = 200
	maxCertFiles     = 2000 // looked at
	maxCertDepth     = 4
	maxCertBytes     = 256 << 10
	bundleSize       = 10 // certificates in a file that make it a bundle of authorities, and no chain
)

func certificateDirs() []string {
	return []string{"/etc/letsencrypt/live", "/etc/nginx", "/etc/apache2", "/etc/httpd", "/etc/haproxy", "/etc/pki/tls/certs"}
}

func collectCertificates(ctx context.Context, h *host.Host) (Certificates, error) {
	now, err := clock(h)
	if err != nil {
		return nil, missing(err)
	}
	more, err := optional(h, certificatePaths)
	if err != nil {
		return nil, err
	}
	s := &certificateSearch{ctx: ctx, h: h, now: now, found: Certificates{}}
	for _, dir := range certificateDirs() {
		s.look(dir, 0)
	}
	for line := range strings.Lines(more) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			s.look(path.Clean(line), 0)
		}
	}
	if len(s.found) == 0 && len(s.problems) == 0 {
		return nil, trait.ErrNone
	}
	return s.found, partly(append(s.problems, ctx.Err())...)
}

// clock tells the time of the machine: when it was started, and how long ago that is.
func clock(h *host.Host) (time.Time, error) {
	up, err := uptime(h)
	if err != nil {
		return time.Time{}, err
	}
	data, err := h.FS.Read("/proc/stat", 8<<20)
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "btime "); ok {
			started, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil || started < 0 || started > 1<<40 {
				return time.Time{}, fmt.Errorf("reading /proc/stat: %q is no time", value)
			}
			return time.Unix(started+up, 0).UTC(), nil
		}
	}
	return time.Time{}, errors.New("reading /proc/stat: it has no btime")
}

type certificateSearch struct {
	ctx      context.Context
	h        *host.Host
	now      time.Time
	found    Certificates
	looked   int
	problems []error
}

// look looks at a file, or at what is in a folder.
func (s *certificateSearch) look(at string, depth int) {
	if s.ctx.Err() != nil || depth > maxCertDepth || strings.HasPrefix(at+"/", "/etc/ssl/private/") {
		return
	}
	inside, err := s.h.FS.List(at)
	if err != nil && depth == 0 && !errors.Is(err, host.ErrNotFound) {
		s.file(at) // named itself, or a folder that may not be read: the error of which tells
		return
	}
	for _, f := range inside {
		full := path.Join(at, f.Name)
		if f.Kind == host.Dir {
			s.look(full, depth+1)
			continue
		}
		if s.looked >= maxCertFiles || !holdsCertificate(f.Name) {
			continue
		}
		s.looked++
		s.file(full)
	}
}

// holdsCertificate judges a file by its name.
func holdsCertificate(name string) bool {
	lower := strings.ToLower(name)
	if strings.Contains(lower, "key") || strings.HasPrefix(lower, "chain") || strings.Contains(lower, "ca-bundle") {
		return false
	}
	return slices.Contains([]string{".pem", ".crt", ".cer", ".cert"}, path.Ext(lower))
}

func (s *certificateSearch) file(at string) {
	data, err := s.h.FS.Read(at, maxCertBytes)
	if errors.Is(err, host.ErrNotFound) {
		return // a link that leads nowhere
	}
	if err != nil {
		s.problems = append(s.problems, err)
		return
	}
	c, ok, err := firstCertificate(data)
	if err != nil {
		s.problems = append(s.problems, fmt.Errorf("reading %s: %w", at, err))
	}
	if !ok || len(s.found) >= maxCertificates {
		return
	}
	c.DaysLeft = wholeDays(s.expiry(c))
	s.found[at] = c
}

func (s *certificateSearch) expiry(c Certificate) time.Duration {
	at, err := time.Parse(time.RFC3339, c.Expires)
	if err != nil {
		return 0
	}
	return at.Sub(s.now)
}

// wholeDays rounds down: one that expired an hour ago has -1 left.
func wholeDays(d time.Duration) int {
	days := int(d / (24 * time.Hour))
	if d < 0 && d%(24*time.Hour) != 0 {
		days--
	}
	return days
}

// firstCertificate reads the first certificate of a PEM file; it is not ok when there is none, or so many that it is a
// bundle. All other blocks are passed over.
func firstCertificate(data []byte) (c Certificate, ok bool, err error) {
	var first []byte
	count := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		if count++; count == 1 {
			first = block.Bytes
		}
	}
	if count == 0 || count > bundleSize {
		return Certificate{}, false, nil
	}
	cert, err := x509.ParseCertificate(first)
	if err != nil {
		return Certificate{}, false, fmt.Errorf("its certificate cannot be read: %w", err)
	}
	c = Certificate{Subject: cert.Subject.CommonName, Issuer: cert.Issuer.CommonName, Names: append([]string{}, cert.DNSNames...), Expires: cert.NotAfter.UTC().Format(time.RFC3339)}
	if c.Subject == "" {
		c.Subject = cert.Subject.String()
	}
	if c.Issuer == "" {
		c.Issuer = cert.Issuer.String()
	}
	for _, ip := range cert.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	return c, true, nil
}
