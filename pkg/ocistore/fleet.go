package ocistore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
)

// OpenFleet opens the registries that an enrolment names, in order, for who holds credentials of the fleet. The registry of
// the fleet and those of hubs show a certificate of the fleet's authority, whatever address they have; other registries are
// reached through ordinary certificates, and those whose reference begins with http:// without any.
func OpenFleet(ctx context.Context, references []string, cred *identity.Credentials, access Access, now func() time.Time) ([]bundle.Source, error) {
	var sources []bundle.Source
	for _, ref := range references {
		src, err := openOfFleet(ctx, ref, cred, access, now)
		if err != nil {
			return nil, err
		}
		sources = append(sources, src)
	}
	return sources, nil
}

// openOfFleet opens one registry: HOST[:PORT]/REPOSITORY, with http:// in front for one without TLS.
func openOfFleet(ctx context.Context, ref string, cred *identity.Credentials, access Access, now func() time.Time) (bundle.Store, error) {
	ref, plain := strings.CutPrefix(ref, "http://")
	if plain {
		return Open(ctx, ref, Options{PlainHTTP: true, Access: access})
	}
	ref = strings.TrimPrefix(ref, "https://")
	host, _, _ := strings.Cut(ref, "/")
	more, client, err := access.Certificates(host)
	if err != nil {
		return nil, fmt.Errorf("opening the registry %s: %w", host, err)
	}
	return Open(ctx, ref, Options{CAs: cred.Roots, Access: access, Transport: fleetTransport(cred, more, client, now)})
}

// fleetTransport reaches a registry. That of the fleet shows a certificate of the fleet's authority, whatever address it has, and
// is shown that of the credentials. Others are reached through the authorities of the system and those that are configured.
func fleetTransport(cred *identity.Credentials, more *x509.CertPool, client func() (*tls.Certificate, error), now func() time.Time) http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = 10*time.Second, 20*time.Second
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second} // a line that is dead without a word
	t.TLSClientConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, Time: now,
		InsecureSkipVerify: true, // VerifyConnection does it, against the fleet's authority first
		VerifyConnection: func(cs tls.ConnectionState) error {
			return identity.VerifyServer(cs, cred.Roots, more, now())
		},
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if client != nil {
				return client()
			}
			mine, err := cred.Certificate()
			// Only who names the authority of the fleet is told who this is. A certificate that has run out would be refused,
			// where none at all may do.
			if err != nil || !cred.Usable() || len(asked.AcceptableCAs) == 0 || asked.SupportsCertificate(mine) != nil {
				return &tls.Certificate{}, err
			}
			return mine, nil
		},
	}
	return t
}
