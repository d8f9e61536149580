// Package resources holds the resource types of Vigo, one file a type.
//
// It refuses to touch a machine by itself: everything goes through the interfaces of package host, so a type runs
// unchanged against a real machine, another root folder and the in-memory machine of package hosttest.
package resources

import "vigo.dev/pkg/resource"

// All returns every resource type, sorted by name.
func All() []resource.Kind {
	return []resource.Kind{}
}

// Registry returns a registry of every resource type.
func Registry() *resource.Registry { return resource.NewRegistry(All()...) }
