// Package deliver sends notices of alerts: mail over SMTP, and signed webhooks.
//
// It refuses to keep anything, to try again by itself (package reporting does both), to send credentials or mail without TLS
// unless it is told so, to follow redirects, and to put into a header what comes from a node as it is.
package deliver

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/fault"
)

// A Config says who is told. Secrets are in files of their own.
type Config struct {
	// Receivers by the names that rules call them.
	Receivers map[string]Receiver `yaml:"receivers"`
	// Default are the receivers of rules that name none.
	Default []string `yaml:"default"`
	// SigningKey is the file of the key that webhooks are signed with; "": alerts.key in the data folder, which is made.
	SigningKey string     `yaml:"signing_key"`
	Heartbeat  *Heartbeat `yaml:"heartbeat"`
}

// A Receiver is one mailbox, or one program.
type Receiver struct {
	SMTP    *SMTP    `yaml:"smtp"`
	Webhook *Webhook `yaml:"webhook"`
	// Notices is how many notices of one transition each are sent in Window; further ones are gathered.
	Notices int           `yaml:"notices"`
	Window  time.Duration `yaml:"window"`
	Gather  time.Duration `yaml:"gather"`
}

// SMTP is where mail is handed in.
type SMTP struct {
	Server       string   `yaml:"server"` // host:port
	From         string   `yaml:"from"`
	To           []string `yaml:"to"`
	Username     string   `yaml:"username"`
	PasswordFile string   `yaml:"password_file"`
	CA           string   `yaml:"ca"`  // file with authorities; "": those of the system
	TLS          string   `yaml:"tls"` // starttls (the default), implicit, or none
}

// Webhook is a program that takes notices.
type Webhook struct {
	URL        string `yaml:"url"`
	URLFile    string `yaml:"url_file"` // in place of URL, where that is a secret
	BearerFile string `yaml:"bearer_file"`
	CA         string `yaml:"ca"`
	PlainHTTP  bool   `yaml:"plain_http"`
}

// Heartbeat is a request that is made again and again while all is well: who misses it raises the alarm.
type Heartbeat struct {
	Webhook `yaml:",inline"`
	Every   time.Duration `yaml:"every"` // 0: a minute
}

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// ReadConfig reads a configuration from a YAML file. Keys it does not know are mistakes.
func ReadConfig(path string) (Config, error) {
	var c Config
	f, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("reading who is told of alerts: %w", err)
	}
	defer f.Close()
	dec := yaml.NewDecoder(io.LimitReader(f, 1<<20))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("reading who is told of alerts: %s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("reading who is told of alerts: %s: %w", path, err)
	}
	return c, nil
}

func (c *Config) check() error {
	var errs []error
	names := slices.Sorted(maps.Keys(c.Receivers))
	for _, name := range names {
		r := c.Receivers[name]
		if !nameRule.MatchString(name) {
			errs = append(errs, fault.WithHint(fmt.Errorf("receivers: %q is not a name", name), "lower-case letters, digits, - and _"))
		}
		if err := r.check(); err != nil {
			errs = append(errs, fmt.Errorf("receivers: %s: %w", name, err))
		}
	}
	for _, name := range c.Default {
		if _, there := c.Receivers[name]; !there {
			errs = append(errs, fault.WithHint(fmt.Errorf("default: there is no receiver %q", name), fault.DidYouMean(name, names)))
		}
	}
	if c.Heartbeat != nil {
		if c.Heartbeat.Every = cmp.Or(c.Heartbeat.Every, time.Minute); c.Heartbeat.Every < time.Second {
			errs = append(errs, errors.New("heartbeat: every: it is less than 1s"))
		}
		if err := c.Heartbeat.check(); err != nil {
			errs = append(errs, fmt.Errorf("heartbeat: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (r Receiver) check() error {
	switch {
	case (r.SMTP == nil) == (r.Webhook == nil):
		return fault.WithHint(errors.New("it needs either smtp or webhook"), "webhook: {url: https://…}")
	case r.Notices < 0 || r.Window < 0 || r.Gather < 0:
		return errors.New("notices, window and gather cannot be negative")
	case r.SMTP != nil:
		return r.SMTP.check()
	}
	return r.Webhook.check()
}

// Cap is how much the receiver is told at once.
func (r Receiver) Cap() alert.Cap {
	return alert.Cap{Notices: r.Notices, Window: r.Window, Gather: r.Gather}
}

func (s *SMTP) check() error {
	if host, port, err := net.SplitHostPort(s.Server); err != nil || host == "" || port == "" {
		return fault.WithHint(fmt.Errorf("server: %q is not host:port", s.Server), "server: mail.example.com:587")
	}
	if len(s.To) == 0 || len(s.To) > 100 {
		return errors.New("to: from 1 to 100 addresses are needed")
	}
	for _, address := range append([]string{s.From}, s.To...) {
		if _, err := mail.ParseAddress(address); err != nil {
			return fmt.Errorf("%q is not an address of mail: %w", address, err)
		}
	}
	if s.TLS = cmp.Or(s.TLS, "starttls"); !slices.Contains([]string{"starttls", "implicit", "none"}, s.TLS) {
		return fmt.Errorf("tls: %q is not starttls, implicit or none", s.TLS)
	}
	if (s.Username == "") != (s.PasswordFile == "") {
		return errors.New("username and password_file belong together")
	}
	if s.Username != "" && s.TLS == "none" {
		return errors.New("username: a password is not sent without TLS")
	}
	return nil
}

func (w *Webhook) check() error {
	if (w.URL == "") == (w.URLFile == "") {
		return errors.New("it needs either url or url_file")
	}
	if w.URL == "" {
		return nil // the file is read when the service starts
	}
	return checkURL(w.URL, w.PlainHTTP)
}

// checkURL does not repeat the URL: it may be a secret.
func checkURL(raw string, plain bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fault.WithHint(errors.New("url: it cannot be used"), "write https://HOST/PATH")
	case u.Scheme == "http" && !plain:
		return fault.WithHint(errors.New("url: it is without TLS"), "plain_http: true allows that")
	}
	return nil
}

// secret reads a file that holds a secret alone.
func secret(what, path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the %s: %w", what, err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" || strings.ContainsAny(text, "\r\n\x00") {
		return "", fmt.Errorf("reading the %s: %s does not hold one line", what, path)
	}
	return text, nil
}
