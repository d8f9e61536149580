// Package resources holds the resource types of Vigo, one file a type.
//
// It refuses to touch a machine by itself: everything goes through the interfaces of package host, so a type runs
// unchanged against a real machine, another root folder and the in-memory machine of package hosttest.
package resources

import "vigo.dev/pkg/resource"

// All returns every resource type, sorted by name.
func All() []resource.Kind {
	return []resource.Kind{
		resource.KindOf[AuthorizedKey]("authorized_key"),
		resource.KindOf[Block]("block"),
		resource.KindOf[Cron]("cron"),
		resource.KindOf[Directory]("directory"),
		resource.KindOf[Download]("download"),
		resource.KindOf[Exec]("exec"),
		resource.KindOf[File]("file"),
		resource.KindOf[Group]("group"),
		resource.KindOf[HostEntry]("host_entry"),
		resource.KindOf[Hostname]("hostname"),
		resource.KindOf[Ini]("ini"),
		resource.KindOf[Line]("line"),
		resource.KindOf[Mount]("mount"),
		resource.KindOf[Package]("package"),
		resource.KindOf[Repository]("repository"),
		resource.KindOf[Replace]("replace"),
		resource.KindOf[Service]("service"),
		resource.KindOf[Symlink]("symlink"),
		resource.KindOf[Sysctl]("sysctl"),
		resource.KindOf[Timezone]("timezone"),
		resource.KindOf[User]("user"),
	}
}

// Registry returns a registry of every resource type.
func Registry() *resource.Registry { return resource.NewRegistry(All()...) }
