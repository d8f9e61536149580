package api

import (
	"context"
	"net/http"
	"net/url"

	"vigo.dev/pkg/report"
)

// Compliance serves people: how the fleet stands to the controls that its policy serves.
type Compliance interface {
	// Controls counts the nodes of each control, or of one, whose nodes are then listed; a control that no node serves is not there.
	Controls(ctx context.Context, control string) (report.Controls, error)
}

func (s *server) controls(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Compliance.Controls(r.Context(), r.URL.Query().Get("control"))
}

// Controls asks how the fleet stands to the controls that its policy serves; with a name, to that one, and on which nodes.
func (c *OperatorClient) Controls(ctx context.Context, control string) (report.Controls, error) {
	path := "/v1/controls"
	if control != "" {
		path += "?" + url.Values{"control": {control}}.Encode()
	}
	var answer report.Controls
	err := c.do(ctx, http.MethodGet, path, nil, &answer)
	return answer, err
}
