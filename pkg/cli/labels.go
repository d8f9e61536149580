package cli

import (
	"fmt"
	"strings"
)

// ParseLabels reads labels given as name=value.
func ParseLabels(args []string) (map[string]string, error) {
	labels := make(map[string]string, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, UsageError(fmt.Errorf("%q is not a label: want name=value", arg))
		}
		labels[name] = value
	}
	return labels, nil
}
