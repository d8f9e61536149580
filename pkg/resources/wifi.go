package resources

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Wifi is a wireless network that the machine joins: a connection of NetworkManager, or a block in the file of wpa_supplicant
// for one interface, /etc/wpa_supplicant/wpa_supplicant-<interface>.conf, which may hold blocks of others. Both are for root
// alone, mode 0600; the password is never shown.
//
// With wpa_supplicant the service wpa_supplicant@<interface> joins the network, and a network_interface gives it its addresses.
// A change makes NetworkManager read its connections, and a running wpa_supplicant its file, anew; it does not by itself drop a
// network that works.
//
//	resources:
//	  - wifi: office
//	    interface: wlan0
//	    password: !secret wifi.office
type Wifi struct {
	// SSID is the name of the network, 1 to 32 bytes.
	SSID string `vigo:"identity"`

	// Ensure says whether the network should be known.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Interface that joins it, such as wlan0. NetworkManager takes any if it is not given.
	Interface string `yaml:"interface"`

	// Security is how the network is entered: wpa2 (the default where there is a password), wpa3, wpa2-wpa3 or open.
	Security string `yaml:"security" vigo:"enum=wpa2|wpa3|wpa2-wpa3|open"`

	// Password of the network: 8 to 63 characters, or with wpa2 the 64 hexadecimal digits of the key.
	Password string `yaml:"password" vigo:"secret"`

	// Hidden is for a network that does not tell its name.
	Hidden bool `yaml:"hidden"`

	// Priority, 0 to 999, among the networks that are in reach; the highest is joined.
	Priority int `yaml:"priority"`

	// Country is the code of the country whose rules for radio hold, such as DE. It is of the whole file of wpa_supplicant.
	Country string `yaml:"country"`

	// Provider keeps the network: auto (the default) takes NetworkManager if it runs, else wpa_supplicant.
	Provider string `yaml:"provider" vigo:"enum=auto|networkmanager|wpa_supplicant"`
}

var (
	_ resource.Validator = (*Wifi)(nil)
	_ resource.Requirer  = (*Wifi)(nil)

	wifiPlain   = regexp.MustCompile(`^[A-Za-z0-9_.-]([A-Za-z0-9 _.-]*[A-Za-z0-9_.-])?$`)
	wifiKey     = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	wifiCountry = regexp.MustCompile(`^[A-Z]{2}$`)
)

// Validate implements [resource.Validator].
func (w *Wifi) Validate() error {
	if len(w.SSID) == 0 || len(w.SSID) > 32 {
		return fmt.Errorf("the name of a wireless network has 1 to 32 bytes, %q has %d", w.SSID, len(w.SSID))
	}
	if w.Interface != "" {
		if err := checkInterface(w.Interface); err != nil {
			return fmt.Errorf("interface: %w", err)
		}
	}
	if w.Interface == "" && w.Provider == "wpa_supplicant" {
		return errors.New(`interface: wpa_supplicant has a file for each; name it`)
	}
	if w.Ensure == "absent" {
		return nil
	}
	switch {
	case w.security() == "open" && w.Password != "":
		return errors.New("password: an open network has none")
	case w.Priority < 0 || w.Priority > 999:
		return fmt.Errorf("priority: %d is not between 0 and 999", w.Priority)
	case w.Country != "" && !wifiCountry.MatchString(w.Country):
		return fmt.Errorf("country: %q is not a code of two capital letters", w.Country)
	}
	return w.checkPassword()
}

// checkPassword says what is wrong with the password, and nothing of what it is.
func (w *Wifi) checkPassword() error {
	if w.security() == "open" {
		return nil
	}
	if wifiKey.MatchString(w.Password) && w.security() == "wpa2" {
		return nil
	}
	if w.Password == "" {
		return fault.WithHint(errors.New(`needs the key "password"`), "security: open is a network without one")
	}
	if n := len(w.Password); n < 8 || n > 63 {
		return fmt.Errorf("password: it has %d characters, want 8 to 63", n)
	}
	for _, c := range []byte(w.Password) {
		if c < ' ' || c > '~' {
			return errors.New("password: it holds something else than the printable characters of ASCII")
		}
	}
	return nil
}

func (w *Wifi) security() string {
	if w.Security == "" && w.Password == "" {
		return "wpa2" // which wants a password: an open network is asked for
	}
	return orWord(w.Security, "wpa2")
}

// Requires implements [resource.Requirer].
func (w *Wifi) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "network-manager"}, {Type: "package", Name: "NetworkManager"}, {Type: "package", Name: "wpasupplicant"},
		{Type: "package", Name: "wpa_supplicant"}, {Type: "service", Name: "NetworkManager"}}
}

// Plan implements [resource.Resource].
func (w *Wifi) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	manager := w.Provider == "networkmanager"
	if orWord(w.Provider, "auto") == "auto" {
		s, err := h.Services.Service(ctx, "NetworkManager")
		if err != nil && !errors.Is(err, host.ErrNotFound) && !errors.Is(err, errors.ErrUnsupported) {
			return resource.Plan{}, err
		}
		manager = err == nil && (s.Running || s.Boot == host.Enabled)
	}
	if manager {
		return w.planManager(ctx, h)
	}
	return w.planSupplicant(ctx, h)
}

// safeName is the name as a part of the name of a file: what is not plain makes it one in hexadecimal digits.
func (w *Wifi) safeName() string {
	if plainWord(w.SSID, "") {
		return w.SSID
	}
	return "x" + hex.EncodeToString([]byte(w.SSID))
}

// hideWifi leaves out what is after the "=" of a line with a secret.
func hideWifi(text []byte) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	for i, l := range lines {
		key, _, ok := strings.Cut(l, "=")
		switch strings.TrimSpace(key) {
		case "psk", "sae_password", "password", "private_key_passwd", "wep_key0", "wep_key1", "wep_key2", "wep_key3", "pin", "password2":
			if ok {
				lines[i] = key + "=(masked)\n"
			}
		}
	}
	return []byte(strings.Join(lines, ""))
}
