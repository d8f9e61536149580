package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"time"

	"vigo.dev/pkg/report"
)

// mailer hands mail in at a server.
type mailer struct {
	SMTP
	host     string
	password string
	conf     *tls.Config
	fleet    string
	from     *mail.Address
	to       []*mail.Address
}

func newMailer(s SMTP, fleet string) (*mailer, error) {
	host, _, err := net.SplitHostPort(s.Server)
	if err != nil {
		return nil, err
	}
	m := &mailer{SMTP: s, host: host, fleet: fleet}
	if m.from, err = mail.ParseAddress(s.From); err != nil {
		return nil, err
	}
	for _, text := range s.To {
		to, err := mail.ParseAddress(text)
		if err != nil {
			return nil, err
		}
		m.to = append(m.to, to)
	}
	if s.PasswordFile != "" {
		if m.password, err = secret("password", s.PasswordFile); err != nil {
			return nil, err
		}
	}
	m.conf, err = tlsConfig(s.CA, host)
	return m, err
}

// Send implements Sender.
func (m *mailer) Send(ctx context.Context, n report.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return &Failure{Err: fmt.Errorf("reaching %s: %w", m.Server, err)}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if m.TLS == "implicit" {
		conn = tls.Client(conn, m.conf)
	}
	client, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return m.failed("greeting", err)
	}
	defer client.Close()
	if name, err := os.Hostname(); err == nil {
		if err := client.Hello(name); err != nil {
			return m.failed("greeting", err)
		}
	}
	return m.hand(client, n)
}

// hand says all that is to be said to a server.
func (m *mailer) hand(client *smtp.Client, n report.Notice) error {
	if m.TLS == "starttls" {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return &Failure{Err: fmt.Errorf("%s offers no STARTTLS, and mail is not sent without", m.Server)}
		}
		if err := client.StartTLS(m.conf); err != nil {
			return m.failed("STARTTLS", err)
		}
	}
	if m.Username != "" {
		if err := client.Auth(smtp.PlainAuth("", m.Username, m.password, m.host)); err != nil {
			return &Failure{Err: fmt.Errorf("logging in to %s: %w", m.Server, err)} // whatever the code: the password may be put right
		}
	}
	if err := client.Mail(m.from.Address); err != nil {
		return m.failed("MAIL", err)
	}
	for _, to := range m.to {
		if err := client.Rcpt(to.Address); err != nil {
			return m.failed("RCPT", err)
		}
	}
	w, err := client.Data()
	if err != nil {
		return m.failed("DATA", err)
	}
	if _, err := w.Write(m.message(n)); err != nil {
		return m.failed("DATA", err)
	}
	if err := w.Close(); err != nil {
		return m.failed("DATA", err)
	}
	_ = client.Quit() // the mail was taken
	return nil
}

// failed says what an answer of the server means: 5xx to what the mail is about is for ever.
func (m *mailer) failed(step string, err error) error {
	f := &Failure{Err: fmt.Errorf("handing mail in at %s: %s: %w", m.Server, step, err)}
	if e, ok := errors.AsType[*textproto.Error](err); ok && e.Code >= 500 && step != "greeting" && step != "STARTTLS" {
		f.Never = true
	}
	return f
}
