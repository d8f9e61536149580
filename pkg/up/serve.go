package up

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// The limits of a server. Agents keep their connection between check-ins, so idle ones live long; the API has shorter
// limits of its own for single requests.
const (
	drain          = 10 * time.Second // for requests that are being answered when a server stops
	maxConnections = 32 << 10         // more wait to be accepted
	maxHeader      = 64 << 10         // bytes
	headerTime     = 10 * time.Second // also of the TLS handshake
	readTime       = 5 * time.Minute  // to send a request with its body
	writeTime      = 30 * time.Minute // to read an answer: a layer over a slow line
	idleTime       = 15 * time.Minute
)

// Serve answers requests on l, over TLS if conf is not nil, until ctx ends; then it lets those under way finish. It closes
// l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, conf *tls.Config, log *slog.Logger) error {
	server := &http.Server{
		Handler: h, TLSConfig: conf, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // scanners and cut connections are no errors of ours
	}
	l = netutil.LimitListener(l, maxConnections)
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		done <- err
	}()
	var err error
	if conf != nil {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}
