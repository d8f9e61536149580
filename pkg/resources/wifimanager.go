package resources

import (
	"context"
	"fmt"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// managerText is the connection in the format of nm-settings-keyfile(5).
func (w *Wifi) managerText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s[connection]\nid=vigo-wifi-%s\ntype=wifi\n", ownedMark, w.safeName())
	if w.Interface != "" {
		fmt.Fprintf(&b, "interface-name=%s\n", w.Interface)
	}
	if w.Priority != 0 {
		fmt.Fprintf(&b, "autoconnect-priority=%d\n", w.Priority)
	}
	fmt.Fprintf(&b, "\n[wifi]\nmode=infrastructure\nssid=%s\n", w.managerSSID())
	if w.Hidden {
		b.WriteString("hidden=true\n")
	}
	if w.security() != "open" {
		// With wpa-psk NetworkManager also joins by WPA3 where the network offers both.
		management := "wpa-psk"
		if w.security() == "wpa3" {
			management = "sae"
		}
		fmt.Fprintf(&b, "\n[wifi-security]\nkey-mgmt=%s\npsk=%s\n", management, keyfileValue(w.Password))
	}
	b.WriteString("\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n")
	return b.String()
}

// managerSSID is the name as it is, or byte for byte where a keyfile could read something else from it.
func (w *Wifi) managerSSID() string {
	if wifiPlain.MatchString(w.SSID) {
		return w.SSID
	}
	var b strings.Builder
	for _, c := range []byte(w.SSID) {
		fmt.Fprintf(&b, "%d;", c)
	}
	return b.String()
}

// keyfileValue writes a text as GKeyFile reads it: white space at its start, and backslashes, are escaped.
func keyfileValue(text string) string {
	text = strings.ReplaceAll(text, `\`, `\\`)
	rest := strings.TrimLeft(text, " ")
	return strings.Repeat(`\s`, len(text)-len(rest)) + rest
}

// planManager plans the connection of NetworkManager.
func (w *Wifi) planManager(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := networkFile("networkmanager", "wifi-"+w.safeName())
	if w.Ensure != "absent" {
		text := w.managerText()
		f = &File{Path: f.Path, Content: &text, Mode: f.Mode, Owner: "0", Group: "0", owned: true}
	}
	f.hide = hideWifi
	return ownedPlan(ctx, h, f, func(ctx context.Context) error {
		s, err := h.Services.Service(ctx, "NetworkManager")
		if err != nil || !s.Live || !s.Running {
			return nil // it reads its connections when it starts
		}
		return runProgram(ctx, h, "nmcli", "connection", "reload")
	})
}
