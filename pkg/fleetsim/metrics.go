package fleetsim

import (
	"bufio"
	"bytes"
	"context"
	"strconv"
	"strings"
)

// scraped is what /metrics of the service says of it; names to values, of those without labels.
type scraped map[string]float64

// scrape reads /metrics; nil when it cannot be read, as behind a proxy that does not let it through.
func (s *Sim) scrape(ctx context.Context) scraped {
	text, err := s.People.Metrics(ctx)
	if err != nil {
		s.say("the metrics of the service cannot be read: %s", err)
		return nil
	}
	return parseMetrics(text)
}

func parseMetrics(text []byte) scraped {
	out := scraped{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "" || name[0] == '#' || strings.Contains(name, "{") {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = n
		}
	}
	return out
}
