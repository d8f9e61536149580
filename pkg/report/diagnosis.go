package report

import "time"

// A Diagnosis is what an examination of a report service found: its data folder, its store, and what is around them.
type Diagnosis struct {
	Data   string    `json:"data"` // the folder, on the machine of the service
	At     time.Time `json:"at"`   // when it began
	Done   bool      `json:"done"` // not: it goes on, and the checks are still to come
	Checks []Check   `json:"checks"`
	Tables []Table   `json:"tables,omitempty"` // largest first
}

// Health is how something is that was looked at.
type Health string

// The states, from good to bad.
const (
	Well    Health = "ok"
	Warning Health = "warn" // it works, and wants a look
	Failing Health = "fail"
)

// A Check is one thing that was looked at.
type Check struct {
	Name  string `json:"name"`
	State Health `json:"state"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"` // what to do
}

// A Table is one of the store.
type Table struct {
	Name  string `json:"name"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"` // with its indexes
}

// Worst is the worst state of all checks.
func (d Diagnosis) Worst() Health {
	worst := Well
	for _, c := range d.Checks {
		if c.State == Failing || c.State == Warning && worst == Well {
			worst = c.State
		}
	}
	return worst
}
