package resources

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

const (
	zonesOwn    = "/etc/firewalld/zones"     // what the administrator has changed
	zonesCame   = "/usr/lib/firewalld/zones" // what firewalld came with
	maxZoneFile = 4 << 20
)

// zoneXML is firewalld.zone(5), as far as it is read.
type zoneXML struct {
	Target     string        `xml:"target,attr"`
	Forward    *struct{}     `xml:"forward"`
	Interfaces []zoneElement `xml:"interface"`
	Sources    []zoneElement `xml:"source"`
	Ports      []zoneElement `xml:"port"`
	Protocols  []zoneElement `xml:"protocol"`
	Rules      []richXML     `xml:"rule"`
}

type zoneElement struct {
	Name     string `xml:"name,attr"`
	Address  string `xml:"address,attr"`
	Invert   string `xml:"invert,attr"`
	Port     string `xml:"port,attr"`
	Protocol string `xml:"protocol,attr"`
	Value    string `xml:"value,attr"`
}

// richXML is a rich rule. What is not read here makes it a rule that is not Vigo's.
type richXML struct {
	Family      string       `xml:"family,attr"`
	Priority    string       `xml:"priority,attr"`
	Source      *zoneElement `xml:"source"`
	Destination *zoneElement `xml:"destination"`
	Port        *zoneElement `xml:"port"`
	Protocol    *zoneElement `xml:"protocol"`
	Log         *richLog     `xml:"log"`
	Accept      *richAction  `xml:"accept"`
	Reject      *richAction  `xml:"reject"`
	Drop        *richAction  `xml:"drop"`
	Others      []richOther  `xml:",any"`
}

type richLog struct {
	Prefix string       `xml:"prefix,attr"`
	Level  string       `xml:"level,attr"`
	Limit  *zoneElement `xml:"limit"`
}

type richAction struct {
	Type  string       `xml:"type,attr"`
	Limit *zoneElement `xml:"limit"`
}

type richOther struct {
	XMLName xml.Name
}

// parseZone reads a file of a zone.
func parseZone(data []byte) (host.Zone, error) {
	var x zoneXML
	if err := xml.Unmarshal(data, &x); err != nil {
		return host.Zone{}, err
	}
	z := host.Zone{Target: orWord(x.Target, "default"), Forward: x.Forward != nil}
	for _, e := range x.Interfaces {
		z.Interfaces = append(z.Interfaces, e.Name)
	}
	for _, e := range x.Sources {
		if e.Address != "" {
			z.Sources = append(z.Sources, e.Address)
		}
	}
	for _, e := range x.Ports {
		z.Ports = append(z.Ports, e.Port+"/"+e.Protocol)
	}
	for _, e := range x.Protocols {
		z.Protocols = append(z.Protocols, e.Value)
	}
	for _, r := range x.Rules {
		z.RichRules = append(z.RichRules, r.text())
	}
	return z, nil
}

// text is the rule in the rich language, as firewalld itself writes it.
func (r richXML) text() string {
	var b strings.Builder
	b.WriteString("rule")
	attr := func(before, key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s%s=\"%s\"", before, key, value)
		}
	}
	if r.Priority != "0" {
		attr(" ", "priority", r.Priority)
	}
	attr(" ", "family", r.Family)
	for _, e := range []struct {
		word string
		is   *zoneElement
	}{{"source", r.Source}, {"destination", r.Destination}} {
		if e.is != nil {
			b.WriteString(" " + e.word)
			if strings.EqualFold(e.is.Invert, "yes") || strings.EqualFold(e.is.Invert, "true") {
				b.WriteString(" NOT")
			}
			attr(" ", "address", e.is.Address)
		}
	}
	if r.Port != nil {
		fmt.Fprintf(&b, " port port=\"%s\" protocol=\"%s\"", r.Port.Port, r.Port.Protocol)
	}
	if r.Protocol != nil {
		attr(" protocol ", "value", r.Protocol.Value)
	}
	for _, o := range r.Others {
		b.WriteString(" " + o.XMLName.Local)
	}
	limit := func(l *zoneElement) {
		if l != nil {
			attr(" limit ", "value", l.Value)
		}
	}
	if r.Log != nil {
		b.WriteString(" log")
		attr(" ", "prefix", r.Log.Prefix)
		attr(" ", "level", r.Log.Level)
		limit(r.Log.Limit)
	}
	for _, a := range []struct {
		word string
		is   *richAction
	}{{"accept", r.Accept}, {"reject", r.Reject}, {"drop", r.Drop}} {
		if a.is != nil {
			b.WriteString(" " + a.word)
			attr(" ", "type", a.is.Type)
			limit(a.is.Limit)
		}
	}
	return b.String()
}

// A zoneState is a zone in its files and in firewalld.
type zoneState struct {
	permanent host.Zone
	running   host.Zone
	runs      bool // firewalld does
	loaded    bool // it has the zone
	own       bool // firewalld did not come with it
}

// readZone reads a zone. Not found is that no file has it.
func readZone(ctx context.Context, h *host.Host, name string) (zoneState, error) {
	var s zoneState
	came, err := look(h, path.Join(zonesCame, name+".xml"))
	if err != nil {
		return s, err
	}
	s.own = came == nil
	running, err := h.Zones.Zone(ctx, name)
	switch {
	case err == nil:
		s.running, s.runs, s.loaded = running, true, true
	case errors.Is(err, host.ErrNotFound):
		s.runs = true
	case !errors.Is(err, errors.ErrUnsupported):
		return s, err
	}
	for _, dir := range []string{zonesOwn, zonesCame} {
		file := path.Join(dir, name+".xml")
		data, err := h.FS.Read(file, maxZoneFile)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err == nil {
			s.permanent, err = parseZone(data)
		}
		if err != nil {
			return s, fmt.Errorf("reading %s: %w", file, err)
		}
		return s, nil
	}
	return s, fmt.Errorf("finding the zone %s: %w", name, host.ErrNotFound)
}

// permanently is the command that changes the files of a zone. firewall-cmd only works while firewalld runs.
func (s zoneState) permanently(args ...string) []string {
	if s.runs {
		return append([]string{"firewall-cmd", "--quiet", "--permanent"}, args...)
	}
	return append([]string{"firewall-offline-cmd", "--quiet"}, args...)
}

// reload has firewalld run with its files.
func (s zoneState) reload(ctx context.Context, h *host.Host) error {
	if !s.runs {
		return nil
	}
	return runProgram(ctx, h, "firewall-cmd", "--quiet", "--reload")
}

// errNoZone is that firewalld is there, and has no such zone.
var errNoZone = errors.New("firewalld has none of this name")

// noFirewalld says why a zone could not be read.
func noFirewalld(h *host.Host, err error) error {
	if !errors.Is(err, host.ErrNotFound) {
		return err
	}
	is, lookErr := look(h, zonesCame)
	switch {
	case lookErr != nil:
		return lookErr
	case is == nil:
		return fault.WithHint(err, "declare the package firewalld")
	}
	return fault.WithHint(fmt.Errorf("%w: %w", err, errNoZone), "declare it as a firewall_policy of the same backend")
}

// zoneDiff returns what is to be added to a list and what is to be taken out of it.
func zoneDiff(is, want []string) (add, remove []string) {
	for _, w := range want {
		if !slices.Contains(is, w) && !slices.Contains(add, w) {
			add = append(add, w)
		}
	}
	for _, i := range is {
		if !slices.Contains(want, i) {
			remove = append(remove, i)
		}
	}
	return add, remove
}
