// Package lvm reads volume groups with the programs of LVM, and has these programs change them.
//
// LVM keeps its state in a format of its own and behind locks, and its programs are the only interface that is kept stable, so
// this is one of the few things that cannot be looked at without starting a program: pvs and lvs, each once until something is
// changed. It refuses to decide anything.
package lvm

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/host"
)

// Programs is [host.Volumes] by the programs of LVM. It is safe for use by several goroutines.
type Programs struct {
	run host.Runner

	mu   sync.Mutex
	read *host.LVM // nil: not read, or changed since
}

var _ host.Volumes = (*Programs)(nil)

// New makes a view for one run.
func New(run host.Runner) *Programs { return &Programs{run: run} }

// outputLimit bounds what a report may say: tens of thousands of volumes.
const outputLimit = 16 << 20

// LVM implements [host.Volumes].
func (p *Programs) LVM(ctx context.Context) (host.LVM, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.read != nil {
		return *p.read, nil
	}
	pvs, err := p.report(ctx, "pvs", "pv_name,pv_size,pe_start,dev_size,vg_name,vg_extent_size,vg_extent_count,vg_free_count")
	if err != nil {
		return host.LVM{}, err
	}
	lvs, err := p.report(ctx, "lvs", "vg_name,lv_name,lv_size,lv_attr,pool_lv,origin")
	if err != nil {
		return host.LVM{}, err
	}
	all, err := parse(pvs, lvs)
	if err != nil {
		return host.LVM{}, err
	}
	p.read = &all
	return all, nil
}

func (p *Programs) report(ctx context.Context, program, fields string) ([]byte, error) {
	if _, err := p.run.Find(program); err != nil {
		return nil, fmt.Errorf("finding %s: %w", program, err)
	}
	argv := []string{program, "--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields}
	res, err := p.run.Run(ctx, host.Command{Argv: argv, Limit: outputLimit})
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		return nil, fmt.Errorf("%s ended with status %d: %s", program, res.Code, excerpt.Said(res.Stderr))
	}
	return res.Stdout, nil
}

// ChangeLVM implements [host.Volumes].
func (p *Programs) ChangeLVM(ctx context.Context, argv ...string) error {
	p.mu.Lock()
	p.read = nil
	p.mu.Unlock()
	if _, err := p.run.Find(argv[0]); err != nil {
		return fmt.Errorf("finding %s: %w", argv[0], err)
	}
	res, err := p.run.Run(ctx, host.Command{Argv: argv})
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return fmt.Errorf("%s ended with status %d: %s", argv[0], res.Code, excerpt.Said(res.Stderr))
	}
	return nil
}

// report is what the programs print: numbers are text.
type report struct {
	Report []struct {
		PV, LV []row
	}
}

type row map[string]string

// number reads a field; the first fault is kept.
func (r row) number(field string, fault *error) int64 {
	n, err := strconv.ParseInt(r[field], 10, 64)
	if (err != nil || n < 0) && *fault == nil {
		*fault = fmt.Errorf("%s is %q, which is no number", field, r[field])
	}
	return n
}

// parse reads the reports of pvs, which has a line for each physical volume with what there is to say of its group, and of
// lvs.
func parse(pvs, lvs []byte) (host.LVM, error) {
	var all host.LVM
	rows, err := rowsOf("pvs", pvs)
	if err != nil {
		return all, err
	}
	var fault error
	for _, r := range rows {
		pv := host.PhysicalVolume{Device: r["pv_name"], Group: r["vg_name"], Size: r.number("pv_size", &fault),
			Start: r.number("pe_start", &fault), DeviceSize: r.number("dev_size", &fault)}
		all.Physicals = append(all.Physicals, pv)
		if pv.Group != "" && all.Group(pv.Group) == nil {
			all.Groups = append(all.Groups, host.VolumeGroup{Name: pv.Group, ExtentSize: r.number("vg_extent_size", &fault),
				Extents: r.number("vg_extent_count", &fault), Free: r.number("vg_free_count", &fault)})
		}
	}
	rows, err = rowsOf("lvs", lvs)
	if err != nil {
		return host.LVM{}, err
	}
	for _, r := range rows {
		attr := r["lv_attr"] // lvs(8): 1 the type, 5 the state
		all.Volumes = append(all.Volumes, host.LogicalVolume{Group: r["vg_name"], Name: r["lv_name"], Size: r.number("lv_size", &fault),
			Pool: r["pool_lv"], Origin: r["origin"], ThinPool: strings.HasPrefix(attr, "t"), Active: len(attr) > 4 && attr[4] == 'a'})
	}
	if fault != nil {
		return host.LVM{}, fmt.Errorf("reading what LVM reports: %w", fault)
	}
	return all, nil
}

func rowsOf(program string, text []byte) ([]row, error) {
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("reading what %s reports: %w", program, err)
	}
	var rows []row
	for _, part := range r.Report {
		rows = append(append(rows, part.PV...), part.LV...)
	}
	return rows, nil
}
