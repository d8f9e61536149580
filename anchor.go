//go:build anchor

package anchor

import (
	_ "github.com/coreos/go-systemd/v22/dbus"
	_ "github.com/expr-lang/expr"
	_ "github.com/go-git/go-git/v5"
	_ "github.com/godbus/dbus/v5"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/hiddeco/sshsig"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/olareg/olareg"
	_ "github.com/opencontainers/image-spec/specs-go/v1"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/sigstore/sigstore-go/pkg/sign"
	_ "github.com/sigstore/sigstore-go/pkg/verify"
	_ "github.com/sigstore/sigstore/pkg/signature"
	_ "github.com/spf13/cobra"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "gopkg.in/yaml.v3"
	_ "modernc.org/sqlite"
	_ "oras.land/oras-go/v2"
	_ "golang.org/x/net/http2"
	_ "golang.org/x/crypto/ssh"
)
