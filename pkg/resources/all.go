// Package resources holds the resource types of Vigo, one file a type.
//
// It refuses to touch a machine by itself: everything goes through the interfaces of package host, so a type runs
// unchanged against a real machine, another root folder and the in-memory machine of package hosttest.
package resources

import "vigo.dev/pkg/resource"

// All returns every resource type, sorted by name.
func All() []resource.Kind {
	return []resource.Kind{
		resource.KindOf[Group]("group"),
		resource.KindOf[Hostname]("hostname"),
		resource.KindOf[Mount]("mount"),
		resource.KindOf[Package]("package"),
		resource.KindOf[Repository]("repository"),
		resource.KindOf[Service]("service"),
		resource.KindOf[Sysctl]("sysctl"),
		resource.KindOf[Timezone]("timezone"),
		resource.KindOf[User]("user"),
	}
}

// Registry returns a registry of every resource type.
func Registry() *resource.Registry { return resource.NewRegistry(All()...) }
