package vigocmd

import (
	"fmt"

	"vigo.dev/pkg/span"
)

// modes says which modes are on, or are ordered to be off: what is not as on a quiet day.
func (v *statusView) modes() {
	for _, c := range v.Channels {
		for _, m := range c.Modes {
			if !m.On && m.Ordered.IsZero() {
				continue
			}
			why := "by policy"
			if !m.Ordered.IsZero() {
				why = fmt.Sprintf("ordered %s by %s", span.Ago(v.Now, m.Ordered), shorts(m.Keys, "nobody"))
			}
			if m.Note != "" {
				why += fmt.Sprintf(": %s", m.Note)
			}
			v.say("%s   %s  %s %s, %s", v.head("MODE"), c.Channel, m.Name, v.env.Paint("red", onOff(m.On)), why)
		}
	}
}
