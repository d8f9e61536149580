package traits

import "vigo.dev/pkg/trait"

// All returns every collector but that of the agent trait, by name.
func All() []Collector {
	return []Collector{
		CollectorOf("boot", trait.Stable, collectBoot),
		CollectorOf("hostname", trait.Stable, collectHostname),
		CollectorOf("kernel", trait.Stable, collectKernel),
		CollectorOf("os", trait.Stable, collectOS),
		CollectorOf("packages", trait.Stable, collectPackages),
		CollectorOf("services", trait.Stable, collectServices),
	}
}
