package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/ocistore"
)

const layoutPrefix = "oci-layout:"

// A reference is where a bundle is, as people write it: oci-layout:DIR:TAG, HOST[:PORT]/REPOSITORY:TAG, or either with
// @sha256:… in place of the tag.
type reference struct {
	store string // as ocistore.Open takes it
	tag   string // or digest; "" when none was named
}

func parseReference(s string) reference {
	if name, digest, ok := strings.Cut(s, "@"); ok && strings.HasPrefix(digest, "sha256:") {
		return reference{name, digest}
	}
	if rest, ok := strings.CutPrefix(s, layoutPrefix); ok {
		dir, tag, _ := strings.Cut(rest, ":")
		return reference{layoutPrefix + dir, tag}
	}
	if at := strings.LastIndexByte(s, ':'); at > strings.LastIndexByte(s, '/') && at > 0 && strings.Contains(s, "/") {
		return reference{s[:at], s[at+1:]}
	}
	return reference{s, ""}
}

// isDigest says whether the reference names content, not a tag that may move.
func (r reference) isDigest() bool { return strings.HasPrefix(r.tag, "sha256:") }

func (r reference) String() string {
	if r.isDigest() {
		return r.store + "@" + r.tag
	}
	return r.store + ":" + r.tag
}

// storeFlags are the flags of a command that talks to a registry.
type storeFlags struct{ plain bool }

func (f *storeFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.plain, "plain-http", false, "reach the registry without TLS")
}

// open opens the store of a reference. User and password of a registry come from the environment; to the registry of the
// service that the operator configuration names, from that; to others, from where they are configured.
func (f *storeFlags) open(ctx context.Context, env *cli.Env, r reference) (bundle.Store, error) {
	o := ocistore.Options{PlainHTTP: f.plain, Access: env.Access(),
		Username: env.Getenv("VIGO_REGISTRY_USER"), Password: env.Getenv("VIGO_REGISTRY_PASSWORD")}
	if o.Username == "" && o.Password == "" && !f.plain {
		if err := asOperator(env, r.store, &o); err != nil {
			return nil, err
		}
	}
	return ocistore.Open(ctx, r.store, o)
}

// denied says what to do when a registry wants to know who asks.
func denied(err error) error {
	if errors.Is(err, ocistore.ErrDenied) {
		return fault.WithHint(err, "put the user and password for the registry into VIGO_REGISTRY_USER and VIGO_REGISTRY_PASSWORD, or name a config.json of docker with --registry-config; that inside of `vigo up` lets its operators in (VIGO_CONFIG)")
	}
	return err
}

// needTag refuses a reference that names no bundle.
func (r reference) needTag() error {
	if r.tag != "" {
		return nil
	}
	return cli.UsageError(fault.WithHint(fmt.Errorf("%q names no tag", r.store), "append :TAG or @sha256:…"))
}
