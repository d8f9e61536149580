package vigocmd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/reporting"
	"vigo.dev/pkg/sqlstore"
)

// retainFlags say for how long a service keeps what it was told.
type retainFlags struct{ classes []string }

func (o *retainFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&o.classes, "retain", nil, `how long a class is kept, as CLASS=AGE, CLASS=AGE/ROWS or CLASS=AGE/ROWS/ROWS-OF-A-NODE, each of which may be left out: of more rows, the oldest go; may be repeated. Ages are such as 90d or 36h, 0 is without limit. `+
		`Classes and what they keep unless said otherwise: `+defaultKeep())
}

// limits are those of the classes, by name.
func limits(k *reporting.Keep) map[string]*sqlstore.Limit {
	return map[string]*sqlstore.Limit{"runs": &k.Runs, "quiet": &k.Quiet, "events": &k.Events, "history": &k.History, "traits": &k.Traits, "audit": &k.Audit, "retired": &k.Retired}
}

func defaultKeep() string {
	k := reporting.DefaultKeep()
	of := limits(&k)
	var words []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		text := "all"
		if l := of[name]; l.Age > 0 {
			text = fmt.Sprintf("%dd/%d", l.Age/(24*time.Hour), l.Rows)
			if l.Node > 0 {
				text += fmt.Sprintf("/%d", l.Node)
			}
		}
		words = append(words, name+"="+text)
	}
	return strings.Join(words, ", ")
}

// keep is what is kept.
func (o *retainFlags) keep() (reporting.Keep, error) {
	k := reporting.DefaultKeep()
	of := limits(&k)
	for _, text := range o.classes {
		name, limit, _ := strings.Cut(text, "=")
		at, known := of[name]
		if !known {
			return k, cli.UsageError(fault.WithHint(fmt.Errorf("--retain %.80q: there is no class %.40q", text, name),
				cmp.Or(fault.DidYouMean(name, slices.Collect(maps.Keys(of))), "there are "+strings.Join(slices.Sorted(maps.Keys(of)), ", "))))
		}
		var err error
		if *at, err = parseLimit(limit); err == nil && at.Node > 0 {
			switch name {
			case "audit":
				err = errors.New("the log of who did what is not of nodes")
			case "retired":
				err = errors.New("of a node that was retired all is kept, until all goes")
			}
		}
		if err != nil {
			return k, cli.UsageError(fault.WithHint(fmt.Errorf("--retain %.80q: %w", text, err), "write such as history=90d, history=90d/5000000, history=/5000000 or history=90d//20000"))
		}
	}
	return k, nil
}

// parseLimit reads AGE/ROWS/ROWS-OF-A-NODE, each of which may be left out: then it does not limit.
func parseLimit(text string) (l sqlstore.Limit, err error) {
	age, rest, bounded := strings.Cut(text, "/")
	rows, ofNode, each := strings.Cut(rest, "/")
	if age == "" && !bounded {
		return l, errors.New("an age is missing")
	}
	if age != "" {
		if l.Age, err = parseAge(age); err != nil {
			return l, err
		}
	}
	if bounded && !(each && rows == "") {
		if l.Rows, err = parseRows(rows); err != nil {
			return l, err
		}
	}
	if each {
		l.Node, err = parseRows(ofNode)
	}
	return l, err
}

func parseRows(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxRows {
		return 0, fmt.Errorf("%.40q is not a number of rows", text)
	}
	return n, nil
}

// maxRows is more than any store has.
const maxRows = 1e12

// parseAge reads a duration that may be in days.
func parseAge(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err != nil || n < 0 || n > 100_000 {
			return 0, fmt.Errorf("%.40q is not a number of days", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%.40q is not a time such as 36h or 90d", text)
	}
	return d, nil
}

// ageVar adds a flag for a duration that people think of in days: 36h or 90d.
func ageVar(f *pflag.FlagSet, at *time.Duration, name string, unlessSaid time.Duration, usage string) {
	*at = unlessSaid
	f.Var(ageFlag{at}, name, usage)
}

// ageFlag is a flag for a duration that may be in days.
type ageFlag struct{ at *time.Duration }

// Set implements pflag.Value.
func (f ageFlag) Set(text string) (err error) {
	*f.at, err = parseAge(text)
	return err
}

// String implements pflag.Value.
func (f ageFlag) String() string {
	if f.at == nil || *f.at == 0 {
		return ""
	}
	if *f.at%(24*time.Hour) == 0 {
		return strconv.Itoa(int(*f.at/(24*time.Hour))) + "d"
	}
	return f.at.String()
}

// Type implements pflag.Value.
func (ageFlag) Type() string { return "duration" }
