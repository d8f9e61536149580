package reporting

import (
	"maps"
	"slices"

	"vigo.dev/pkg/report"
)

// Published is what was told last of each channel, in no order: a controller that has lost its memory goes on from there.
func (s *Service) Published() []report.ChannelNote {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.channels))
}
