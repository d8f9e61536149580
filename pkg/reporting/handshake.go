package reporting

import (
	"context"
	"log/slog"
	"net"
	"strings"

	"vigo.dev/pkg/audit"
)

// badCertificate is the name of the refusal of a client certificate, which ends a connection before there is a request.
const badCertificate = "certificate"

// Handshakes returns a handler for the log of the server in front of the service: it takes note of client certificates that
// were refused, and passes everything on. net/http tells of them nowhere else.
func (s *Service) Handshakes(next slog.Handler) slog.Handler { return handshakes{next, s} }

type handshakes struct {
	slog.Handler
	s *Service
}

// Enabled implements slog.Handler: what net/http says is looked at on every level.
func (h handshakes) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h handshakes) Handle(ctx context.Context, r slog.Record) error {
	if address, why, ok := refusedCertificate(r.Message); ok {
		h.s.Refused(audit.Caller{Address: address}, "TLS", badCertificate, why)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// refusedCertificate finds out whether a line of net/http says that a client certificate was not accepted: it is not of the
// authority, or who shows it does not have its key. What the client had against the server is none of it.
func refusedCertificate(line string) (address, why string, ok bool) {
	rest, ok := strings.CutPrefix(line, "http: TLS handshake error from ")
	if !ok {
		return "", "", false
	}
	from, why, ok := strings.Cut(rest, ": tls: ")
	if !ok || !strings.Contains(why, "client certificate") && !strings.HasPrefix(why, "failed to verify certificate") {
		return "", "", false
	}
	address, _, err := net.SplitHostPort(from)
	return address, why, err == nil
}
