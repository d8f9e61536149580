package resources

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// supplicantHead is what a new file of wpa_supplicant begins with; without it wpa_cli(8) cannot reach the program.
const supplicantHead = "ctrl_interface=/run/wpa_supplicant"

// supplicantBlock is the network in the language of wpa_supplicant.conf(5), between two comments that find it again.
func (w *Wifi) supplicantBlock() []string {
	ssid := hex.EncodeToString([]byte(w.SSID))
	if wifiPlain.MatchString(w.SSID) {
		ssid = `"` + w.SSID + `"`
	}
	lines := []string{w.mark("begin"), "network={", "\tssid=" + ssid}
	if w.Hidden {
		lines = append(lines, "\tscan_ssid=1")
	}
	if w.Priority != 0 {
		lines = append(lines, fmt.Sprintf("\tpriority=%d", w.Priority))
	}
	psk := w.Password
	if !wifiKey.MatchString(psk) {
		psk = `"` + psk + `"` // up to the last quote of the line
	}
	switch w.security() {
	case "open":
		lines = append(lines, "\tkey_mgmt=NONE")
	case "wpa3":
		lines = append(lines, "\tkey_mgmt=SAE", "\tieee80211w=2", "\tsae_password="+psk)
	case "wpa2-wpa3":
		lines = append(lines, "\tkey_mgmt=WPA-PSK SAE", "\tieee80211w=1", "\tpsk="+psk)
	default:
		lines = append(lines, "\tkey_mgmt=WPA-PSK", "\tpsk="+psk)
	}
	return append(lines, "}", w.mark("end"))
}

func (w *Wifi) mark(what string) string { return "# vigo wifi " + w.safeName() + " " + what }

// supplicantLines puts the block into the lines of a file, or takes it out. All else stays where it is.
func (w *Wifi) supplicantLines(lines []string) ([]string, error) {
	begin, end := -1, -1
	for i, l := range lines {
		switch strings.TrimSpace(l) {
		case w.mark("begin"):
			if begin >= 0 {
				return nil, fmt.Errorf("line %d: the network %s begins a second time", i+1, w.SSID)
			}
			begin = i
		case w.mark("end"):
			if begin >= 0 && end < 0 {
				end = i
			}
		}
	}
	if begin >= 0 && end < 0 {
		return nil, fault.WithHint(fmt.Errorf("line %d: the network %s begins here and does not end", begin+1, w.SSID), "put the lines in order by hand")
	}
	var block []string
	if w.Ensure != "absent" {
		block = w.supplicantBlock()
	}
	if begin < 0 {
		return append(append([]string{}, lines...), block...), nil
	}
	return append(append(append([]string{}, lines[:begin]...), block...), lines[end+1:]...), nil
}

// withSetting sets a setting of the whole file, before the networks.
func withSetting(lines []string, key, value string) []string {
	for i, l := range lines {
		if is, _, ok := strings.Cut(strings.TrimSpace(l), "="); ok && is == key && !strings.HasPrefix(l, "\t") {
			out := append([]string{}, lines...)
			out[i] = key + "=" + value
			return out
		}
	}
	return append([]string{key + "=" + value}, lines...)
}

// planSupplicant plans the file of the interface.
func (w *Wifi) planSupplicant(ctx context.Context, h *host.Host) (resource.Plan, error) {
	if w.Interface == "" {
		return resource.Plan{}, fault.WithHint(errors.New("interface: wpa_supplicant has a file for each"), "name it, such as wlan0")
	}
	name := "/etc/wpa_supplicant/wpa_supplicant-" + w.Interface + ".conf"
	is, err := look(h, name)
	if err != nil || is == nil && w.Ensure == "absent" {
		return resource.Plan{}, err
	}
	lines := []string{supplicantHead}
	if is != nil {
		if is.Kind != host.File {
			return resource.Plan{}, fmt.Errorf("%s is a %s, not a file", name, is.Kind)
		}
		data, err := h.FS.Read(name, maxEdit)
		if err != nil {
			return resource.Plan{}, fmt.Errorf("reading %s: %w", name, err)
		}
		lines = textOf(string(data)).lines
	}
	if lines, err = w.supplicantLines(lines); err != nil {
		return resource.Plan{}, fmt.Errorf("%s: %w", name, err)
	}
	if w.Country != "" && w.Ensure != "absent" {
		lines = withSetting(lines, "country", w.Country)
	}
	f := ownedFile(name, text{lines: lines}.String())
	f.Mode, f.hide = &resource.Mode{Perm: 0o600}, hideWifi
	return ownedPlan(ctx, h, f, func(ctx context.Context) error {
		s, err := h.Services.Service(ctx, "wpa_supplicant@"+w.Interface)
		if err != nil || !s.Live || !s.Running {
			return nil // it reads its file when it starts
		}
		return runProgram(ctx, h, "wpa_cli", "-i", w.Interface, "reconfigure")
	})
}
