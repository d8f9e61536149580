package traits

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// Memory is the main memory and the swap space. What changes all the time is rounded, so that the document does not.
//
//	when: memory.total_mb >= 4096 and memory.used_percent < 90
type Memory struct {
	// TotalMB is what the kernel may use, in MiB: a little less than what is built in.
	TotalMB int64 `json:"total_mb"`
	// AvailableMB is what programs could get without swapping, in MiB, rounded to two digits.
	AvailableMB int64 `json:"available_mb"`
	// UsedPercent is the share that is not available, rounded to 5.
	UsedPercent int64 `json:"used_percent"`
	// SwapTotalMB is the swap space, in MiB; 0 if there is none.
	SwapTotalMB int64 `json:"swap_total_mb"`
	// SwapUsedPercent is the share of the swap space in use, rounded to 5.
	SwapUsedPercent int64 `json:"swap_used_percent"`
}

func collectMemory(_ context.Context, h *host.Host) (Memory, error) {
	text, err := read(h, "/proc/meminfo")
	if err != nil {
		return Memory{}, missing(err)
	}
	return parseMeminfo(text)
}

// parseMeminfo reads the sizes of proc_meminfo(5), which are in KiB.
func parseMeminfo(text string) (Memory, error) {
	sizes := map[string]int64{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n < 1<<50 {
			sizes[key] = n
		}
	}
	total, available := sizes["MemTotal"], sizes["MemAvailable"]
	if total == 0 {
		return Memory{}, errors.New("reading /proc/meminfo: it has no MemTotal")
	}
	if _, ok := sizes["MemAvailable"]; !ok { // Linux before 3.14
		available = sizes["MemFree"] + sizes["Buffers"] + sizes["Cached"]
	}
	swap := sizes["SwapTotal"]
	return Memory{
		TotalMB: total >> 10, AvailableMB: twoDigits(available >> 10), UsedPercent: nearest(percent(total-available, total), 5),
		SwapTotalMB: swap >> 10, SwapUsedPercent: nearest(percent(swap-sizes["SwapFree"], swap), 5),
	}, nil
}

// percent is the share of part in whole, from 0 to 100, rounded up: what is almost full is not shown with room left.
func percent[N int64 | uint64](part, whole N) int64 {
	if whole == 0 || part <= 0 {
		return 0
	}
	if part >= whole {
		return 100
	}
	share := float64(part) * 100 / float64(whole)
	up := int64(share)
	if float64(up) < share {
		up++
	}
	return up
}

// nearest rounds n to a multiple of step.
func nearest(n, step int64) int64 { return (n + step/2) / step * step }

// twoDigits rounds n down to its first two digits.
func twoDigits(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}
