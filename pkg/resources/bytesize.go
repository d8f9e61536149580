package resources

import (
	"fmt"
	"strconv"
	"strings"
)

// sizeBytes reads a size in K, M, G or T (of 1024) as bytes.
func sizeBytes(field, text string) (int64, error) {
	shift := map[string]int{"K": 10, "M": 20, "G": 30, "T": 40}
	if text != "" {
		unit := text[len(text)-1:]
		n, err := strconv.ParseInt(text[:len(text)-1], 10, 32)
		if bits, ok := shift[unit]; ok && err == nil && n > 0 && n<<bits>>bits == n {
			return n << bits, nil
		}
	}
	return 0, fmt.Errorf("%s: %q is not a size such as 512M or 2G", field, text)
}

// sizeText renders a size in the largest unit that keeps it exact to a hundredth.
func sizeText(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", f), "0"), ".") + " " + units[i]
}
