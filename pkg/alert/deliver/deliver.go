package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/report"
)

// A Sender hands a notice to one receiver. When it returns nil the receiver has taken it.
type Sender interface {
	Send(ctx context.Context, n report.Notice) error
}

// A Failure is why a notice was not taken, and what follows from it.
type Failure struct {
	Err   error
	Never bool          // the receiver does not want it: it is not tried again
	Alone bool          // others may be taken
	After time.Duration // the receiver asks for that much time; 0: it does not
}

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives the reason.
func (f *Failure) Unwrap() error { return f.Err }

// The times of tries.
const (
	first    = time.Second
	longest  = time.Hour
	lifetime = 24 * time.Hour
	timeout  = 20 * time.Second // of one try
)

// Next is when a notice is tried again that was written at a time and has been tried tries times, the last time with err; ok is
// false when it is not.
func Next(written, now time.Time, tries int, err error) (next time.Time, ok bool) {
	f, _ := errors.AsType[*Failure](err)
	if f != nil && f.Never || !now.Before(written.Add(lifetime)) {
		return time.Time{}, false
	}
	wait := longest
	if tries < 13 {
		wait = min(longest, first<<max(tries-1, 0))
	}
	if f != nil {
		wait = max(wait, min(f.After, longest))
	}
	return now.Add(wait), true
}

// A Service is all receivers of a configuration.
type Service struct {
	Senders   map[string]Sender
	Kinds     map[string]string // smtp or webhook
	Caps      map[string]alert.Cap
	Default   []string
	Key       string // public half of the key webhooks are signed with
	Heartbeat func(context.Context) error
	Every     time.Duration // of Heartbeat, which is nil when there is none
}

// New opens what a configuration names. keyFile is where the key for signing is when the configuration does not say; it is made
// if there is none.
func New(c Config, keyFile, fleet, version string) (*Service, error) {
	if c.SigningKey != "" {
		keyFile = c.SigningKey
	}
	key, err := openKey(keyFile, c.SigningKey == "")
	if err != nil {
		return nil, err
	}
	s := &Service{Senders: map[string]Sender{}, Kinds: map[string]string{}, Caps: map[string]alert.Cap{}, Default: c.Default, Key: PublicText(key)}
	agent := "vigo/" + version
	for name, r := range c.Receivers {
		s.Caps[name] = r.Cap()
		if r.SMTP != nil {
			s.Kinds[name] = "smtp"
			s.Senders[name], err = newMailer(*r.SMTP, fleet)
		} else {
			s.Kinds[name] = "webhook"
			s.Senders[name], err = newPoster(*r.Webhook, key, agent)
		}
		if err != nil {
			return nil, fmt.Errorf("opening the receiver %s: %w", name, err)
		}
	}
	if c.Heartbeat != nil {
		p, err := newPoster(c.Heartbeat.Webhook, key, agent)
		if err != nil {
			return nil, fmt.Errorf("opening the heartbeat: %w", err)
		}
		s.Heartbeat, s.Every = func(ctx context.Context) error { return p.beat(ctx, fleet) }, c.Heartbeat.Every
	}
	return s, nil
}

// tlsConfig trusts the authorities in a PEM file; "": those of the system.
func tlsConfig(caFile, name string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	if caFile == "" {
		return conf, nil
	}
	data, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading authorities: %w", err)
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading authorities: %s holds no certificate in PEM", caFile)
	}
	return conf, nil
}
