package api

import (
	"context"
	"net/http"

	"vigo.dev/pkg/report"
)

// Doctor serves people: whether the data folder and the store of the service are well.
type Doctor interface {
	// Diagnose returns what an examination of about now found, and begins one if there is none. One that takes longer than a
	// request should is returned before it is done.
	Diagnose(ctx context.Context) (report.Diagnosis, error)
}

// It reads all of the store: not for every screen on a wall.
func (s *server) doctorRoutes() []route {
	return []route{{"GET /v1/doctor", "operator", "Examine the data folder and the store of the service; ask again while it is not done", nil, nil, report.Diagnosis{}, s.doctor}}
}

func (s *server) doctor(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Doctor.Diagnose(r.Context())
}

// Diagnose has the service examine its data folder and its store, and waits for what it finds, until ctx ends.
func (c *OperatorClient) Diagnose(ctx context.Context) (report.Diagnosis, error) {
	for {
		var d report.Diagnosis
		if err := c.do(ctx, http.MethodGet, "/v1/doctor", nil, &d); err != nil || d.Done {
			return d, err
		}
	}
}
