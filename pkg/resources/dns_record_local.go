package resources

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// DNSRecordLocal is what the DNS server of this machine answers by itself for one name and type of record: a file of unbound or
// dnsmasq, which is checked by the server's own program. Where the server runs, unbound is reloaded and dnsmasq restarted. For
// names that only this machine shall know, take host_entry.
//
//	resources:
//	  - dns_record_local: nas.example.lan
//	    type: A
//	    values: [192.0.2.7]
//	  - dns_record_local: mail of example.lan
//	    name: example.lan
//	    type: MX
//	    values: [10 mail.example.lan]
type DNSRecordLocal struct {
	// Record is the name of the record, unless name is given.
	Record string `vigo:"identity"`

	// Name of the record, if the name in the policy is another: for a second type of record with the same name.
	Name string `yaml:"name"`

	// Type of the record. Dnsmasq adds a PTR record to each A and AAAA, and answers a CNAME only for a target it knows.
	Type string `yaml:"type" vigo:"required,enum=A|AAAA|CNAME|MX|PTR|SRV|TXT"`

	// Values as they stand in a zone file, each a record: an address, a name, "10 mail.example.lan" for MX,
	// "PRIORITY WEIGHT PORT NAME" for SRV. Names are whole, without the dot at the end.
	Values []string `yaml:"values"`

	// Ensure says whether the server should have the records.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Provider is the server; auto (the default) takes the one whose configuration the machine has.
	Provider string `yaml:"provider" vigo:"enum=auto|unbound|dnsmasq"`
}

var (
	_ resource.Validator = (*DNSRecordLocal)(nil)
	_ resource.Requirer  = (*DNSRecordLocal)(nil)

	txtRecord = regexp.MustCompile(`^[ !#-&(-\[\]-~]{1,255}$`) // printable, without the signs that quote: " ' \
)

func (d *DNSRecordLocal) record() string { return strings.ToLower(orWord(d.Name, d.Record)) }

// Validate implements [resource.Validator].
func (d *DNSRecordLocal) Validate() error {
	if !hostEntryName.MatchString(d.record()) || strings.HasSuffix(d.record(), ".") || len(d.record()) > 253 {
		return fmt.Errorf("%q is not the name of a record", d.record())
	}
	switch {
	case d.Ensure == "absent" && len(d.Values) > 0:
		return errors.New("what is to be absent has no values")
	case d.Ensure != "absent" && len(d.Values) == 0:
		return errors.New(`needs the key "values"`)
	case d.Type == "CNAME" && len(d.Values) > 1:
		return errors.New("values: a name has one CNAME")
	}
	for _, v := range d.Values {
		if err := d.check(v); err != nil {
			return err
		}
	}
	return nil
}

// check says what is wrong with one value.
func (d *DNSRecordLocal) check(v string) error {
	numbers, shape := 0, "a name"
	switch d.Type {
	case "A", "AAAA":
		addr, err := netip.ParseAddr(v)
		if err != nil || addr.Zone() != "" || addr.Is4() != (d.Type == "A") {
			return fmt.Errorf("values: %q is not an address for type %s", v, d.Type)
		}
		return nil
	case "TXT":
		if !txtRecord.MatchString(v) {
			return fmt.Errorf("values: %q is not a text of 1 to 255 printable ASCII signs without quotes and \\", v)
		}
		return nil
	case "MX":
		numbers, shape = 1, "such as 10 mail.example.lan"
	case "SRV":
		numbers, shape = 3, "such as 0 5 5060 sip.example.lan"
	}
	words := strings.Fields(v)
	good := len(words) == numbers+1 && hostEntryName.MatchString(words[numbers]) && !strings.HasSuffix(words[numbers], ".")
	for i := 0; good && i < numbers; i++ {
		_, err := strconv.ParseUint(words[i], 10, 16)
		good = err == nil
	}
	if !good {
		return fault.WithHint(fmt.Errorf("values: %q is not one for type %s", v, d.Type), shape)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (d *DNSRecordLocal) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "unbound"}, {Type: "package", Name: "dnsmasq"}}
}

// Plan implements [resource.Resource].
func (d *DNSRecordLocal) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	provider, err := d.server(h)
	if err != nil {
		return resource.Plan{}, err
	}
	dir, lines := "/etc/unbound/unbound.conf.d/", d.unbound
	if provider == "dnsmasq" {
		dir, lines = "/etc/dnsmasq.d/", d.dnsmasq
	}
	f := gone(dir + "vigo-" + d.record() + "-" + d.Type + ".conf")
	if d.Ensure != "absent" {
		f = ownedFile(f.Path, ownedMark+lines())
	}
	return ownedPlan(ctx, h, f, func(ctx context.Context) error {
		argv := []string{"unbound-checkconf"}
		if provider == "dnsmasq" {
			argv = []string{"dnsmasq", "--test", "--conf-dir=/etc/dnsmasq.d,*.conf"}
		}
		there, err := hasProgram(h, argv[0])
		if err == nil && there {
			err = runProgram(ctx, h, argv...)
		}
		if err != nil {
			return err
		}
		return reread(ctx, h, provider)
	})
}

// reread has a server that runs read its files: unbound by a reload, dnsmasq by a restart, as its reload passes over records.
// Systemd would count the restarts of several records as those of a service that cannot start.
func reread(ctx context.Context, h *host.Host, provider string) error {
	is, err := h.Services.Service(ctx, provider)
	if errors.Is(err, host.ErrNotFound) || err == nil && (!is.Live || !is.Running) {
		return nil
	}
	if err != nil {
		return err
	}
	if provider == "unbound" {
		return h.Services.Restart(ctx, provider, true)
	}
	booted, err := live(h)
	if err == nil && booted {
		err = runProgram(ctx, h, "systemctl", "reset-failed", provider)
	}
	if err != nil {
		return err
	}
	return h.Services.Restart(ctx, provider, false)
}

// server is the DNS server of the machine.
func (d *DNSRecordLocal) server(h *host.Host) (string, error) {
	if d.Provider != "" && d.Provider != "auto" {
		return d.Provider, nil
	}
	unbound, err := look(h, "/etc/unbound/unbound.conf")
	if err != nil {
		return "", err
	}
	dnsmasq, err := look(h, "/etc/dnsmasq.conf")
	switch {
	case err != nil:
		return "", err
	case unbound != nil && dnsmasq != nil:
		return "", fault.WithHint(errors.New("the machine has both unbound and dnsmasq"), "name the provider")
	case unbound != nil:
		return "unbound", nil
	case dnsmasq != nil:
		return "dnsmasq", nil
	}
	return "", fault.WithHint(errors.New("the machine has neither unbound nor dnsmasq"), "declare the package, and name the provider")
}

// unbound renders local-data of unbound.conf(5).
func (d *DNSRecordLocal) unbound() string {
	var b strings.Builder
	b.WriteString("server:\n")
	for _, v := range d.Values {
		switch d.Type {
		case "TXT":
			v = `"` + v + `"`
		case "CNAME", "MX", "PTR", "SRV":
			v = strings.Join(strings.Fields(v), " ") + "."
		}
		b.WriteString("    local-data: '" + d.record() + ". IN " + d.Type + " " + v + "'\n")
	}
	return b.String()
}

// dnsmasq renders options of dnsmasq(8).
func (d *DNSRecordLocal) dnsmasq() string {
	var b strings.Builder
	for _, v := range d.Values {
		w := strings.Fields(v)
		line := map[string]string{"A": "host-record", "AAAA": "host-record", "CNAME": "cname", "PTR": "ptr-record", "MX": "mx-host",
			"SRV": "srv-host", "TXT": "txt-record"}[d.Type] + "=" + d.record() + ","
		switch d.Type {
		case "MX":
			line += w[1] + "," + w[0]
		case "SRV":
			line += w[3] + "," + w[2] + "," + w[0] + "," + w[1]
		case "TXT":
			line += `"` + v + `"`
		default:
			line += v
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
