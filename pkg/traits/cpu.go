package traits

import (
	"context"
	"errors"
	"strings"

	"vigo.dev/pkg/host"
)

// CPU is the processors.
//
//	when: cpu.cores > 2
type CPU struct {
	// Cores is the number of processors the kernel schedules on: hardware threads, where cores have several.
	Cores int `json:"cores"`
	// PhysicalCores counts a core once, however many threads it has; the same as cores where the kernel does not say.
	PhysicalCores int `json:"physical_cores"`
	// Sockets is the number of chips; 1 where the kernel does not say.
	Sockets int `json:"sockets"`
	// Vendor such as GenuineIntel or AuthenticAMD.
	Vendor string `json:"vendor,omitempty"`
	// Model as the vendor names it.
	Model string `json:"model,omitempty"`
}

// cpuinfoLimit is enough for 4,000 processors.
const cpuinfoLimit = 8 << 20

func collectCPU(_ context.Context, h *host.Host) (CPU, error) {
	data, err := h.FS.Read("/proc/cpuinfo", cpuinfoLimit)
	if err != nil {
		return CPU{}, missing(err)
	}
	return parseCPUInfo(string(data))
}

// parseCPUInfo reads /proc/cpuinfo, which differs between architectures: x86 and ARM have a paragraph for each
// processor, S/390 has a line; 32-bit ARM says its model in "Hardware" or "Processor".
func parseCPUInfo(text string) (CPU, error) {
	var c CPU
	sockets, cores := map[string]bool{}, map[string]bool{}
	socket := ""
	first := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case key == "processor", strings.HasPrefix(key, "processor "):
			c.Cores++
			socket = ""
		case key == "physical id":
			socket = value
			sockets[value] = true
		case key == "core id":
			cores[socket+" "+value] = true
		case key == "vendor_id":
			first(&c.Vendor, value)
		case key == "model name", key == "Processor", key == "cpu model", key == "cpu":
			first(&c.Model, value)
		case key == "CPU implementer":
			first(&c.Vendor, implementer(value))
		case key == "Hardware":
			first(&c.Model, value)
		}
	}
	if c.Cores == 0 {
		return CPU{}, errors.New("reading /proc/cpuinfo: it has no processor")
	}
	c.Sockets = max(1, len(sockets))
	if c.PhysicalCores = len(cores); c.PhysicalCores == 0 {
		c.PhysicalCores = c.Cores
	}
	return c, nil
}

// implementer names the maker of an ARM processor, as far as it is well known.
func implementer(code string) string {
	switch code {
	case "0x41":
		return "ARM"
	case "0x42":
		return "Broadcom"
	case "0x48":
		return "HiSilicon"
	case "0x4e":
		return "NVIDIA"
	case "0x51":
		return "Qualcomm"
	case "0x61":
		return "Apple"
	case "0xc0":
		return "Ampere"
	}
	return code
}
