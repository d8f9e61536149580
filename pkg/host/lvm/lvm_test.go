package lvm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
)

// answers is a host.Runner that has these programs, which always say the same.
type answers struct {
	programs map[string]host.Result
	ran      []string
}

func (a *answers) Find(name string) (string, error) {
	if _, ok := a.programs[name]; !ok {
		return "", fmt.Errorf("program %s: %w", name, host.ErrNotFound)
	}
	return "/sbin/" + name, nil
}

func (a *answers) Run(_ context.Context, c host.Command) (host.Result, error) {
	a.ran = append(a.ran, c.Argv[0])
	return a.programs[c.Argv[0]], nil
}

func says(text string) host.Result { return host.Result{Stdout: []byte(text)} }

func complains(text string) host.Result { return host.Result{Code: 5, Stderr: []byte(text)} }

// Of lvm2 2.03.16: two devices in a group, one that is a physical volume and in none.
const samplePVs = `{
      "report": [
          {
              "pv": [
                  {"pv_name":"/dev/loop0", "pv_size":"205520896", "pe_start":"1048576", "dev_size":"209715200", "vg_name":"vg0", "vg_extent_size":"4194304", "vg_extent_count":"98", "vg_free_count":"88"},
                  {"pv_name":"/dev/loop1", "pv_size":"205520896", "pe_start":"1048576", "dev_size":"209715200", "vg_name":"vg0", "vg_extent_size":"4194304", "vg_extent_count":"98", "vg_free_count":"88"},
                  {"pv_name":"/dev/loop2", "pv_size":"209715200", "pe_start":"1048576", "dev_size":"209715200", "vg_name":"", "vg_extent_size":"0", "vg_extent_count":"0", "vg_free_count":"0"}
              ]
          }
      ]
  }`

const sampleLVs = `{"report": [{"lv": [
	{"vg_name":"vg0", "lv_name":"data", "lv_size":"41943040", "lv_attr":"-wi-a-----", "pool_lv":"", "origin":""},
	{"vg_name":"vg0", "lv_name":"pool", "lv_size":"41943040", "lv_attr":"twi-aotz--", "pool_lv":"", "origin":""},
	{"vg_name":"vg0", "lv_name":"thin", "lv_size":"83886080", "lv_attr":"Vwi---tz--", "pool_lv":"pool", "origin":"data"}
]}]}`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := parse([]byte(samplePVs), []byte(sampleLVs))
	if err != nil {
		t.Fatal(err)
	}
	want := host.LVM{
		Groups: []host.VolumeGroup{{Name: "vg0", ExtentSize: 4 << 20, Extents: 98, Free: 88}},
		Physicals: []host.PhysicalVolume{
			{Device: "/dev/loop0", Group: "vg0", Size: 205520896, Start: 1 << 20, DeviceSize: 200 << 20},
			{Device: "/dev/loop1", Group: "vg0", Size: 205520896, Start: 1 << 20, DeviceSize: 200 << 20},
			{Device: "/dev/loop2", Size: 200 << 20, Start: 1 << 20, DeviceSize: 200 << 20},
		},
		Volumes: []host.LogicalVolume{
			{Group: "vg0", Name: "data", Size: 40 << 20, Active: true},
			{Group: "vg0", Name: "pool", Size: 40 << 20, ThinPool: true, Active: true},
			{Group: "vg0", Name: "thin", Size: 80 << 20, Pool: "pool", Origin: "data"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.Group("vg0") == nil || got.Group("vg1") != nil || got.Volume("vg0", "data") == nil || got.Volume("vg0", "none") != nil {
		t.Error("finding by name")
	}
}

// What is read is kept until something is changed, also by a program that fails.
func TestReadOnce(t *testing.T) {
	t.Parallel()
	run := &answers{programs: map[string]host.Result{
		"pvs": says(samplePVs), "lvs": says(sampleLVs),
		"vgremove": complains("  Volume group \"vg0\" not found\n  Cannot process volume group vg0\n"),
	}}
	p := New(run)
	for range 2 {
		if _, err := p.LVM(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	err := p.ChangeLVM(t.Context(), "vgremove", "vg0")
	if want := `vgremove ended with status 5: Volume group "vg0" not found; Cannot process volume group vg0`; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if _, err := p.LVM(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"pvs", "lvs", "vgremove", "pvs", "lvs"}, run.ran); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for want, programs := range map[string]map[string]host.Result{
		"program pvs: not found": {},
		"pvs ended with status 5: WARNING: Running as a non-root user.": {"pvs": complains("  WARNING: Running as a non-root user.\n")},
		"reading what pvs reports: invalid character":                   {"pvs": says("no"), "lvs": says("no")},
		`lv_size is "", which is no number`:                             {"pvs": says("{}"), "lvs": says(`{"report":[{"lv":[{}]}]}`)},
	} {
		_, err := New(&answers{programs: programs}).LVM(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, host.ErrNotFound) != (len(programs) == 0) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(samplePVs), []byte(sampleLVs))
	f.Fuzz(func(t *testing.T, pvs, lvs []byte) {
		all, err := parse(pvs, lvs)
		if err != nil && len(all.Groups)+len(all.Physicals)+len(all.Volumes) > 0 {
			t.Error("an error, and something that was read")
		}
		for _, v := range all.Volumes {
			if v.Size < 0 {
				t.Errorf("%+v", v)
			}
		}
	})
}
