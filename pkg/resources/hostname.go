package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Hostname is the name of the machine: of the running kernel, and in /etc/hostname for the next boot.
//
//	resources:
//	  - hostname: web-1.example.com
type Hostname struct {
	// Name of the machine, with or without a domain.
	Name string `vigo:"identity"`
}

var _ resource.Validator = (*Hostname)(nil)

// Validate implements [resource.Validator]: RFC 1123 section 2.1, and at most 64 letters because of the kernel.
func (n *Hostname) Validate() error {
	if len(n.Name) > 64 {
		return fmt.Errorf("%q is longer than 64 letters", n.Name)
	}
	for label := range strings.SplitSeq(n.Name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%q is not a host name", n.Name)
		}
		for _, r := range label {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-') {
				return fmt.Errorf("%q is not a host name", n.Name)
			}
		}
	}
	return nil
}

// Plan implements [resource.Resource].
func (n *Hostname) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	if err := planWriteFile(h, "/etc/hostname", n.Name+"\n", "at boot", &plan); err != nil {
		return plan, err
	}
	is, err := h.Kernel.Hostname(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return plan, nil // no kernel of this machine's own
	}
	if err != nil {
		return resource.Plan{}, err
	}
	if is != n.Name {
		plan.Do(func(ctx context.Context) error { return h.Kernel.SetHostname(ctx, n.Name) }, change.Of("hostname", is, n.Name))
	}
	return plan, nil
}
