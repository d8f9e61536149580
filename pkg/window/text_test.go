package window

import "testing"

// TestText: what is read is what is written, and mistakes are refused.
func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		days        []string
		hours, zone string
		want        string // "": refused
	}{
		{[]string{"sat", "Sun"}, "22:00-02:00", "Europe/Amsterdam", "Sat Sun 22:00-02:00 Europe/Amsterdam"},
		{nil, "1:00-24:00", "UTC", "01:00-24:00 UTC"},
		{[]string{"mon"}, "", "UTC", "Mon 00:00-24:00 UTC"},
		{[]string{"monday"}, "", "UTC", ""}, {nil, "22-02", "UTC", ""}, {nil, "02:00-02:00", "UTC", ""}, {nil, "02:00-24:30", "UTC", ""},
		{nil, "", "Local", ""}, {nil, "", "", ""}, {nil, "", "Mars/Olympus", ""},
	} {
		s, err := ParseSpan(c.days, c.hours, c.zone)
		if got := (Window{Spans: []Span{s}}).String(); (err != nil) != (c.want == "") || err == nil && got != c.want {
			t.Errorf("%v %q %q: %q, %v; want %q", c.days, c.hours, c.zone, got, err, c.want)
		}
	}
}
