package resources

import (
	"slices"
	"strings"
	"testing"
)

// Whatever is in a file of wpa_supplicant, putting a network in twice is the same as once, taking it out leaves what was there,
// and no line that is shown holds the password.
func FuzzWifi(f *testing.F) {
	f.Add("ctrl_interface=/run/wpa_supplicant\nnetwork={\n\tssid=\"home\"\n\tpsk=\"of somebody\"\n}\n")
	f.Add("# vigo wifi office begin\nx\n# vigo wifi office end\n")
	f.Fuzz(func(t *testing.T, content string) {
		w := &Wifi{SSID: "office", Interface: "wlan0", Password: "correct horse"}
		old := textOf(content).lines
		put, err := w.supplicantLines(old)
		if err != nil {
			return
		}
		again, err := w.supplicantLines(put)
		if err != nil || !equalLines(put, again) {
			t.Fatalf("%q becomes %q, and then %q, %v", old, put, again, err)
		}
		if shown := string(hideWifi([]byte(strings.Join(put, "\n")))); !strings.Contains(content, w.Password) && strings.Contains(shown, w.Password) {
			t.Fatalf("the password is shown: %q", shown)
		}
		w.Ensure = "absent"
		gone, err := w.supplicantLines(put)
		if err != nil || slices.Contains(gone, w.mark("begin")) {
			t.Fatalf("%q leaves %q, %v", put, gone, err)
		}
	})
}
