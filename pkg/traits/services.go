package traits

import (
	"context"
	"strings"

	"vigo.dev/pkg/host"
)

// Services are the services the init system knows, by name, without the suffix ".service"; at most 5,000.
//
//	when: services.nginx.enabled and not services.nginx.failed
type Services map[string]Service

// Service is one service.
type Service struct {
	// Running says whether it runs now; false where the init system does not run.
	Running bool `json:"running"`
	// Enabled says whether it starts at boot.
	Enabled bool `json:"enabled"`
	// Failed says whether it ended with an error.
	Failed bool `json:"failed"`
}

const maxServices = 5000

func collectServices(ctx context.Context, h *host.Host) (Services, error) {
	all, err := h.Services.All(ctx)
	if err != nil {
		return nil, missing(err)
	}
	services := Services{}
	for _, s := range all[:min(len(all), maxServices)] {
		services[strings.TrimSuffix(s.Name, ".service")] = Service{Running: s.Live && s.Running, Enabled: s.Boot == host.Enabled, Failed: s.Live && s.Failed}
	}
	return services, nil
}
