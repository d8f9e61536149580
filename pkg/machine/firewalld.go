//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"vigo.dev/pkg/host"
)

// The names of firewalld.dbus(5).
const (
	firewalldName = "org.fedoraproject.FirewallD1"
	firewalldPath = "/org/fedoraproject/FirewallD1"
	firewalldZone = firewalldName + ".zone.getZoneSettings2"
)

// zones is host.Zones.
type zones struct{ live bool }

var _ host.Zones = zones{}

// Zone implements [host.Zones]. firewalld is asked over the message bus, which is told not to start it for that.
func (z zones) Zone(ctx context.Context, name string) (host.Zone, error) {
	if !z.live {
		return host.Zone{}, fmt.Errorf("asking firewalld: %w", errors.ErrUnsupported)
	}
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		// Without a bus firewalld does not run.
		return host.Zone{}, fmt.Errorf("asking firewalld: %w: %w", errors.ErrUnsupported, err)
	}
	defer conn.Close()
	var settings map[string]dbus.Variant
	call := conn.Object(firewalldName, firewalldPath).CallWithContext(ctx, firewalldZone, dbus.FlagNoAutoStart, name)
	if err := call.Store(&settings); err != nil {
		return host.Zone{}, fmt.Errorf("asking firewalld for the zone %s: %w", name, firewalldError(err))
	}
	return zoneOf(settings), nil
}

// firewalldError tells "does not run" and "has no such zone" from the rest.
func firewalldError(err error) error {
	var said dbus.Error
	if !errors.As(err, &said) {
		return err
	}
	switch {
	case said.Name == "org.freedesktop.DBus.Error.ServiceUnknown", said.Name == "org.freedesktop.DBus.Error.NameHasNoOwner":
		return errors.ErrUnsupported
	case strings.HasPrefix(said.Error(), "INVALID_ZONE"):
		return host.ErrNotFound
	}
	return err
}

// zoneOf reads the settings of a zone; what is not among them is as firewalld has it without them.
func zoneOf(settings map[string]dbus.Variant) host.Zone {
	list := func(key string) []string {
		all, _ := settings[key].Value().([]string)
		return all
	}
	z := host.Zone{
		Target: "default", Interfaces: list("interfaces"), Sources: list("sources"), Protocols: list("protocols"), RichRules: list("rules_str"),
	}
	if target, ok := settings["target"].Value().(string); ok {
		z.Target = target
	}
	z.Forward, _ = settings["forward"].Value().(bool)
	ports, _ := settings["ports"].Value().([][]any)
	for _, p := range ports {
		if len(p) == 2 {
			z.Ports = append(z.Ports, fmt.Sprint(p[0])+"/"+fmt.Sprint(p[1]))
		}
	}
	return z
}
