// Package resources holds the resource types of Vigo, one file a type.
//
// It refuses to touch a machine by itself: everything goes through the interfaces of package host, so a type runs
// unchanged against a real machine, another root folder and the in-memory machine of package hosttest.
package resources

import "vigo.dev/pkg/resource"

// All returns every resource type, sorted by name. The list is in two parts to keep its functions short.
func All() []resource.Kind { return append(kindsToL(), kindsFromM()...) }

// kindsToL are the types whose names begin with a letter up to l.
func kindsToL() []resource.Kind {
	return []resource.Kind{
		resource.KindOf[ACL]("acl"),
		resource.KindOf[Alternatives]("alternatives"),
		resource.KindOf[ApkRepository]("apk_repository"),
		resource.KindOf[AppArmorProfile]("apparmor_profile"),
		resource.KindOf[Archive]("archive"),
		resource.KindOf[AtJob]("at_job"),
		resource.KindOf[AuditRule]("audit_rule"),
		resource.KindOf[AuthorizedKey]("authorized_key"),
		resource.KindOf[Binary]("binary"),
		resource.KindOf[Block]("block"),
		resource.KindOf[Bond]("bond"),
		resource.KindOf[Certificate]("certificate"),
		resource.KindOf[Compose]("compose"),
		resource.KindOf[Container]("container"),
		resource.KindOf[ContainerImage]("container_image"),
		resource.KindOf[Cron]("cron"),
		resource.KindOf[CryptoPolicy]("crypto_policy"),
		resource.KindOf[Custom]("custom"),
		resource.KindOf[Directory]("directory"),
		resource.KindOf[DNSRecordLocal]("dns_record_local"),
		resource.KindOf[Download]("download"),
		resource.KindOf[Environment]("environment"),
		resource.KindOf[Exec]("exec"),
		resource.KindOf[File]("file"),
		resource.KindOf[Filesystem]("filesystem"),
		resource.KindOf[FirewallPolicy]("firewall_policy"),
		resource.KindOf[FirewallRule]("firewall_rule"),
		resource.KindOf[Firmware]("firmware"),
		resource.KindOf[Flatpak]("flatpak"),
		resource.KindOf[FstabEntry]("fstab_entry"),
		resource.KindOf[Gem]("gem"),
		resource.KindOf[Git]("git"),
		resource.KindOf[GPGKey]("gpg_key"),
		resource.KindOf[Group]("group"),
		resource.KindOf[HostEntry]("host_entry"),
		resource.KindOf[Hostname]("hostname"),
		resource.KindOf[Ini]("ini"),
		resource.KindOf[Integrity]("integrity"),
		resource.KindOf[Journald]("journald"),
		resource.KindOf[JSON]("json"),
		resource.KindOf[KernelArgument]("kernel_argument"),
		resource.KindOf[KernelModule]("kernel_module"),
		resource.KindOf[KubernetesManifest]("kubernetes_manifest"),
		resource.KindOf[Line]("line"),
		resource.KindOf[ListeningPort]("listening_port"),
		resource.KindOf[Locale]("locale"),
		resource.KindOf[LoginLimits]("login_limits"),
		resource.KindOf[Logrotate]("logrotate"),
	}
}

// kindsFromM are the others.
func kindsFromM() []resource.Kind {
	return []resource.Kind{
		resource.KindOf[Motd]("motd"),
		resource.KindOf[Mount]("mount"),
		resource.KindOf[NetworkInterface]("network_interface"),
		resource.KindOf[NFSExport]("nfs_export"),
		resource.KindOf[NPM]("npm"),
		resource.KindOf[Package]("package"),
		resource.KindOf[PackageUpgrade]("package_upgrade"),
		resource.KindOf[PAMRule]("pam_rule"),
		resource.KindOf[PasswordPolicy]("password_policy"),
		resource.KindOf[Permissions]("permissions"),
		resource.KindOf[Pip]("pip"),
		resource.KindOf[Playlist]("playlist"),
		resource.KindOf[Process]("process"),
		resource.KindOf[Quota]("quota"),
		resource.KindOf[Reboot]("reboot"),
		resource.KindOf[Replace]("replace"),
		resource.KindOf[Repository]("repository"),
		resource.KindOf[Resolver]("resolver"),
		resource.KindOf[Route]("route"),
		resource.KindOf[Script]("script"),
		resource.KindOf[SELinux]("selinux"),
		resource.KindOf[SELinuxBoolean]("selinux_boolean"),
		resource.KindOf[SELinuxFcontext]("selinux_fcontext"),
		resource.KindOf[Service]("service"),
		resource.KindOf[Snap]("snap"),
		resource.KindOf[SSHKnownHost]("ssh_known_host"),
		resource.KindOf[SudoRule]("sudo_rule"),
		resource.KindOf[Swap]("swap"),
		resource.KindOf[Symlink]("symlink"),
		resource.KindOf[Sysctl]("sysctl"),
		resource.KindOf[SyslogForward]("syslog_forward"),
		resource.KindOf[SystemdDropIn]("systemd_dropin"),
		resource.KindOf[SystemdTimer]("systemd_timer"),
		resource.KindOf[SystemdUnit]("systemd_unit"),
		resource.KindOf[Tidy]("tidy"),
		resource.KindOf[TimeSync]("time_sync"),
		resource.KindOf[Timezone]("timezone"),
		resource.KindOf[TOML]("toml"),
		resource.KindOf[TrustedCA]("trusted_ca"),
		resource.KindOf[UdevRule]("udev_rule"),
		resource.KindOf[User]("user"),
		resource.KindOf[VLANInterface]("vlan_interface"),
		resource.KindOf[Volume]("volume"),
		resource.KindOf[VolumeGroup]("volume_group"),
		resource.KindOf[Wifi]("wifi"),
		resource.KindOf[XML]("xml"),
		resource.KindOf[YAML]("yaml"),
		resource.KindOf[YumRepository]("yum_repository"),
		resource.KindOf[ZypperRepository]("zypper_repository"),
	}
}

// Registry returns a registry of every resource type.
func Registry() *resource.Registry { return resource.NewRegistry(All()...) }
