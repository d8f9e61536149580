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

// The limits of a server that do not depend on time.
const (
	maxConnections = 32 << 10 // more wait to be accepted
	maxHeader      = 64 << 10 // bytes
)

// drain is how long requests that are being answered may take when a server stops.
const drain = 10 * time.Second

// limits is what a server waits for. The API has shorter ones of its own for single requests.
type limits struct {
	header time.Duration // of a request; also for the TLS handshake
	read   time.Duration // a whole request
	write  time.Duration // an answer: a layer over a slow line
	idle   time.Duration // the next request: agents keep their connection between check-ins
}

func usualLimits() limits {
	return limits{header: 10 * time.Second, read: 5 * time.Minute, write: 30 * time.Minute, idle: 15 * time.Minute}
}

// Serve answers requests on l, over TLS if conf is not nil, until ctx ends; then it lets those under way finish. It closes
// l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, conf *tls.Config, log *slog.Logger) error {
	return serve(ctx, l, h, conf, log, usualLimits())
}

func serve(ctx context.Context, l net.Listener, h http.Handler, conf *tls.Config, log *slog.Logger, lim limits) error {
	server := &http.Server{
		Handler: strict(h), TLSConfig: conf, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: lim.header, ReadTimeout: lim.read, WriteTimeout: lim.write, IdleTimeout: lim.idle,
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
