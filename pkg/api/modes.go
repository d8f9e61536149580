package api

import (
	"context"
	"net/http"
	"net/url"

	"vigo.dev/pkg/report"
)

// Modes serves people: the switches of channels, and which nodes are in them.
type Modes interface {
	// Modes lists the modes of all channels, or of one.
	Modes(ctx context.Context, channel string) ([]report.ModeStatus, error)
}

func (s *server) modeRoutes() []route {
	return []route{
		{"GET /v1/modes", "viewer", "The modes of channels, and how nodes stand to them", []param{{name: "channel", about: "name of a channel"}}, nil, []report.ModeStatus{}, s.modes},
	}
}

func (s *server) modes(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Modes.Modes(r.Context(), r.URL.Query().Get("channel"))
}

// Modes lists the modes of all channels, or of one.
func (c *OperatorClient) Modes(ctx context.Context, channel string) ([]report.ModeStatus, error) {
	var list []report.ModeStatus
	err := c.do(ctx, http.MethodGet, "/v1/modes?"+url.Values{"channel": {channel}}.Encode(), nil, &list)
	return list, err
}
