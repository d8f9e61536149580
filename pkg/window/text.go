package window

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// String renders a window as people read it: `Sat Sun 22:00-02:00 Europe/Amsterdam`.
func (w Window) String() string {
	texts := make([]string, len(w.Spans))
	for i, s := range w.Spans {
		var days strings.Builder
		for _, d := range s.Days {
			if len(s.Days) < 7 {
				days.WriteString(d.String()[:3] + " ")
			}
		}
		texts[i] = fmt.Sprintf("%s%02d:%02d-%02d:%02d %s", days.String(), s.From/60, s.From%60, s.To/60, s.To%60, s.Zone)
	}
	return strings.Join(texts, ", ")
}

var hoursRule = regexp.MustCompile(`^([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)$`)

// ParseSpan reads the hours of days: days such as sat, none for all of them; hours such as 22:00-02:00, "" for the whole day; and
// the name of a zone.
func ParseSpan(days []string, hours, zone string) (Span, error) {
	s := Span{To: 24 * 60, Zone: zone}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || strings.EqualFold(zone, "local") {
		return s, fmt.Errorf("%q is not a time zone that is known, such as Europe/Amsterdam or UTC", zone)
	}
	for _, name := range days {
		day := time.Sunday
		for day <= time.Saturday && !strings.EqualFold(day.String()[:3], name) {
			day++
		}
		if day > time.Saturday {
			return s, fmt.Errorf("%q is none of sun, mon, tue, wed, thu, fri, sat", name)
		}
		s.Days = append(s.Days, day)
	}
	if len(days) == 0 {
		s.Days = []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	}
	if hours == "" {
		return s, nil
	}
	m := hoursRule.FindStringSubmatch(hours)
	if m == nil {
		return s, fmt.Errorf("%q is not two times of day, such as 22:00-02:00", hours)
	}
	var n [4]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // the pattern has digits there
	}
	s.From, s.To = n[0]*60+n[1], n[2]*60+n[3]
	if s.To > 24*60 || s.From == s.To {
		return s, fmt.Errorf("the hours %s end when they begin, or after the day; 00:00-24:00 is the whole day", hours)
	}
	return s, nil
}
