// Package mailbox is an SMTP server for tests: a real one, with STARTTLS and logins, that remembers what was handed in.
//
// It refuses to send anything on.
package mailbox

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"sync"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A Mail is one that was taken.
type Mail struct {
	From    string
	To      []string
	Header  mail.Header
	Subject string // decoded
	Body    string // decoded
}

// A Server takes mail from who logs in as vigo with the password secret, over TLS.
type Server struct {
	Address string
	// Answer says what is answered to the n-th mail, from 1; nil: it is taken. It may be taken all the same.
	Answer func(n int) (taken bool, err error)

	server *smtp.Server
	mu     sync.Mutex
	mails  []Mail
	n      int
}

// New starts one on loopback.
func New(conf *tls.Config) (*Server, error) {
	s := &Server{Answer: func(int) (bool, error) { return true, nil }}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	s.server.Domain, s.server.TLSConfig = "mail.example.com", conf
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Address = l.Addr().String()
	go func() { _ = s.server.Serve(l) }() // ends with Close
	return s, nil
}

// Close stops it.
func (s *Server) Close() error { return s.server.Close() }

// Mails is what was taken, in the order it came.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

type session struct {
	server *Server
	in     bool
	mail   Mail
}

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth implements smtp.AuthSession.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != "vigo" || password != "secret" {
			return smtp.ErrAuthFailed
		}
		s.in = true
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	s.mail.From = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = append(s.mail.To, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := s.mail
	if err := m.parse(raw); err != nil {
		return &smtp.SMTPError{Code: 550, Message: err.Error()}
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.n++
	taken, err := s.server.Answer(s.server.n)
	if taken {
		s.server.mails = append(s.server.mails, m)
	}
	return err
}

func (m *Mail) parse(raw []byte) error {
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("not a mail: %w", err)
	}
	m.Header = msg.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	m.Body = string(body)
	return err
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.mail = Mail{} }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }
