package resources

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// besideProvider is [networkProvider] for what stands in a file beside that of an interface.
func besideProvider(ctx context.Context, h *host.Host, named string) (string, error) {
	provider, err := networkProvider(ctx, h, named)
	if err == nil && provider == "networkmanager" {
		err = fault.WithHint(errors.New("NetworkManager sets up this machine, and has no file for this beside that of a connection"),
			"name the provider that sets up the interface")
	}
	return provider, err
}

// beside is a file that adds to the one which a network_interface has written.
func beside(provider, name, word string) string {
	if provider == "networkd" {
		return networkFile(provider, name).Path + ".d/" + word + ".conf"
	}
	return "/etc/network/interfaces.d/vigo-" + name + "-" + word
}

// tellBeside has systemd-networkd read the file that was written beside that of an interface, or has gone. Without that of the
// interface nothing is read.
func tellBeside(ctx context.Context, h *host.Host, file, name string, there bool) error {
	main := networkFile("networkd", name).Path
	is, err := look(h, main)
	if err != nil {
		return err
	}
	wrote, err := look(h, file)
	if err != nil {
		return err
	}
	if is == nil && wrote != nil {
		return fault.WithHint(fmt.Errorf("%s is not there to be added to", main), "declare network_interface: "+name)
	}
	return tellNetworkd(ctx, h, name, there)
}
