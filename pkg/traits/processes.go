package traits

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// Processes is what runs: counts, and the largest. Threads of the kernel do not count. Command lines and environments,
// which hold secrets, are never read. It is looked at once a minute.
//
//	when: processes.zombies < 20 and processes.names.nginx > 0
type Processes struct {
	// Total is the number of processes.
	Total int `json:"total"`
	// Threads of all processes together.
	Threads int `json:"threads"`
	// Running is how many run or wait for a processor.
	Running int `json:"running"`
	// Blocked is how many wait for a disk or the like and cannot be ended.
	Blocked int `json:"blocked"`
	// Stopped is how many were halted by a signal or a debugger.
	Stopped int `json:"stopped"`
	// Zombies is how many have ended and were not waited for.
	Zombies int `json:"zombies"`
	// Names is the number of processes of each name, which the kernel cuts at 15 characters; at most 500 names.
	Names map[string]int `json:"names"`
	// Top is the ten with the most memory, the largest first.
	Top []Process `json:"top"`
}

// Process is one process.
type Process struct {
	// PID is its number.
	PID int `json:"pid"`
	// Name, at most 15 characters.
	Name string `json:"name"`
	// Executable is the path of its program; empty where the agent may not look.
	Executable string `json:"executable"`
	// MemoryMB is its resident memory, in MiB.
	MemoryMB int64 `json:"memory_mb"`
}

const (
	maxNames = 500
	topSize  = 10
)

func collectProcesses(ctx context.Context, h *host.Host) (Processes, error) {
	p := Processes{Names: map[string]int{}, Top: []Process{}}
	type sized struct {
		pid   int
		name  string
		pages int64
	}
	var largest []sized
	err := eachProcess(ctx, h, func(pid int) bool {
		text, err := read(h, procFile(pid, "stat"))
		if err != nil {
			return true // it ended
		}
		st, err := parseStat(text)
		if err != nil || st.kernel {
			return true
		}
		p.count(st)
		largest = append(largest, sized{pid, st.name, st.pages})
		return true
	})
	if err != nil {
		return Processes{}, missing(err)
	}
	if p.Total == 0 {
		return Processes{}, trait.ErrNone
	}
	slices.SortStableFunc(largest, func(a, b sized) int { return cmp.Compare(b.pages, a.pages) })
	for _, one := range largest[:min(len(largest), topSize)] {
		path, _ := executable(h, one.pid)
		p.Top = append(p.Top, Process{PID: one.pid, Name: one.name, Executable: path, MemoryMB: residentMB(h, one.pid)})
	}
	return p, nil
}

func (p *Processes) count(st procStat) {
	p.Total++
	p.Threads += st.threads
	switch st.state {
	case "R":
		p.Running++
	case "D":
		p.Blocked++
	case "T", "t":
		p.Stopped++
	case "Z", "X":
		p.Zombies++
	}
	if _, known := p.Names[st.name]; known || len(p.Names) < maxNames {
		p.Names[st.name]++
	}
}

// residentMB reads VmRSS of proc_pid_status(5), which is in KiB whatever the size of a page; 0 when it ended.
func residentMB(h *host.Host, pid int) int64 {
	text, err := read(h, procFile(pid, "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
			kib, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return 0
			}
			return kib >> 10
		}
	}
	return 0
}
