package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A service is a running `vigo up` with what is needed to reach it.
type service struct {
	*process
	b       *bench
	data    string
	address string
}

// up starts `vigo up` on a data folder and waits until it has published.
func (b *bench) up(ctx context.Context, name, repository string, more ...string) (*service, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // to learn of a free port
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	data := b.path(name + "-data")
	p, err := b.start(name, append([]string{b.vigo(), "up", "--data", data, "--git", repository, "--listen", address}, more...)...)
	if err != nil {
		return nil, err
	}
	s := &service{process: p, b: b, data: data, address: address}
	if err := s.await(ctx, time.Minute, func(st status) bool { return st.commit() != "" }); err != nil {
		return nil, errors.Join(p.explain(fmt.Errorf("waiting for the first pointer: %w", err)), p.stop())
	}
	return s, nil
}

// status is the part of `vigo status -o json` that the bench looks at.
type status struct {
	Channels []struct{ Commit, Error string }
}

func (s status) commit() string {
	for _, c := range s.Channels {
		return c.Commit
	}
	return ""
}

// ask runs an operator's command and decodes its answer.
func (s *service) ask(ctx context.Context, into any, argv ...string) error {
	c := command{argv: append([]string{s.b.vigo()}, argv...), env: []string{"VIGO_CONFIG=" + filepath.Join(s.data, "operator.json")},
		check: func(output string, _ int) error { // `vigo status` ends with another code when a node wants attention
			return json.NewDecoder(strings.NewReader(output)).Decode(into)
		}}
	_, _, err := c.once(ctx)
	return err
}

// await asks for the status until it is as wanted.
func (s *service) await(ctx context.Context, limit time.Duration, wanted func(status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var st status
		err := s.ask(ctx, &st, "status", "-o", "json")
		if err == nil && wanted(st) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-s.done:
			return errors.New("vigo up has ended")
		case <-tick.C:
		}
	}
}

// authority returns the fleet's certificates, to know the service by.
func (s *service) authority() (*x509.CertPool, []byte, error) {
	pem, err := os.ReadFile(filepath.Join(s.data, "ca", "ca.crt"))
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, errors.New("the authority of the fleet cannot be read")
	}
	return pool, pem, nil
}
