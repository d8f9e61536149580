package reporting

import "testing"

func TestRefusedCertificate(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"http: TLS handshake error from 10.0.0.7:4711: tls: invalid signature by the client certificate: Ed25519 verification failure":        "10.0.0.7",
		"http: TLS handshake error from [2001:db8::7]:4711: tls: failed to verify certificate: x509: certificate signed by unknown authority": "2001:db8::7",
		"http: TLS handshake error from 10.0.0.7:4711: remote error: tls: bad certificate":                                                    "",
		"http: TLS handshake error from 10.0.0.7:4711: EOF":                                                                                   "",
		"http: TLS handshake error from 10.0.0.7:4711: tls: client offered only unsupported versions: [302 301]":                              "",
		"http: panic serving 10.0.0.7:4711: tls: failed to verify certificate":                                                                "",
	} {
		address, why, ok := refusedCertificate(line)
		if address != want && ok || ok != (want != "") || ok && why == "" {
			t.Errorf("%s: %q, %q, %v", line, address, why, ok)
		}
	}
}
