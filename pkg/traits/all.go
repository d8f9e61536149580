package traits

import (
	"time"

	"vigo.dev/pkg/trait"
)

// All returns every collector but that of the agent trait, by name.
func All() []Collector {
	const rarely = time.Minute // looking at every process costs more than a whole run that changes nothing
	return []Collector{
		CollectorOf("boot", trait.Stable, collectBoot).Watching("/run/reboot-required"),
		CollectorOf("certificates", trait.Hourly, collectCertificates).Watching("/etc/letsencrypt/live", certificatePaths),
		CollectorOf("cpu", trait.Stable, collectCPU),
		CollectorOf("external", trait.Hourly, collectExternal).Watching(externalDir).Within(2 * externalTimeout),
		CollectorOf("filesystems", trait.Stable, collectFilesystems),
		CollectorOf("hostname", trait.Stable, collectHostname).Watching("/etc/hostname"),
		CollectorOf("interfaces", trait.Stable, collectInterfaces),
		CollectorOf("kernel", trait.Stable, collectKernel),
		CollectorOf("listeners", trait.Stable, collectListeners),
		CollectorOf("load", trait.Volatile, collectLoad),
		CollectorOf("memory", trait.Stable, collectMemory),
		CollectorOf("mounts", trait.Stable, collectMounts).Watching("/etc/fstab"),
		CollectorOf("os", trait.Stable, collectOS).Watching("/etc/os-release", "/usr/lib/os-release"),
		CollectorOf("packages", trait.Stable, collectPackages).Watching("/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/lib/opkg/status",
			"/var/lib/opkg/status", "/var/lib/pacman/local", "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite"),
		CollectorOf("platform", trait.Stable, collectPlatform),
		CollectorOf("processes", trait.Volatile, collectProcesses).Every(rarely),
		CollectorOf("services", trait.Stable, collectServices).Within(10 * time.Second), // systemd is slow while a machine boots
		CollectorOf("sessions", trait.Stable, collectSessions).Watching(logindDir, utmpFile),
		CollectorOf("updates", trait.Hourly, collectUpdates).Watching(aptListsDir, "/var/lib/dpkg/status"),
		CollectorOf("uptime", trait.Volatile, collectUptime),
		CollectorOf("users", trait.Stable, collectUsers).Watching("/etc/passwd", "/etc/group"),
	}
}
