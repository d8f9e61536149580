package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// The programs that may keep the packet filter of a machine.
const (
	backendNft       = "nftables"
	backendUfw       = "ufw"
	backendFirewalld = "firewalld"
	backendAuto      = "auto"
)

// firewallBackend says who keeps the packet filter, where a declaration leaves that to the machine: firewalld if it runs or
// starts at boot, ufw if it is enabled, else nftables.
func firewallBackend(ctx context.Context, h *host.Host, declared string) (string, error) {
	if declared != backendAuto {
		return orWord(declared, backendNft), nil
	}
	is, err := h.Services.Service(ctx, "firewalld")
	if err != nil && !errors.Is(err, host.ErrNotFound) && !errors.Is(err, errors.ErrUnsupported) {
		return "", fmt.Errorf("finding out who keeps the packet filter: %w", err)
	}
	if err == nil && (is.Running || is.Boot == host.Enabled) {
		return backendFirewalld, nil
	}
	enabled, err := ufwSetting(h, ufwConf, "ENABLED")
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return "", err
	}
	if strings.EqualFold(enabled, "yes") {
		return backendUfw, nil
	}
	return backendNft, nil
}

// notWith says that a key has no meaning with a backend.
func notWith(backend, key, why string) error {
	return fault.WithHint(fmt.Errorf("%s: %s has no such thing", key, backend), why)
}
