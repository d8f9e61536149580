package expr

import (
	"fmt"
	"reflect"
	"testing"
)

// TestReads finds what decides: a key where one is named, the whole document where it is not.
func TestReads(t *testing.T) {
	t.Parallel()
	s := NewSchema()
	type doc struct {
		Family string `json:"family"`
	}
	s.Trait("os", reflect.TypeFor[doc]())
	s.Trait("packages", reflect.TypeFor[map[string]doc]())
	s.Trait("mounts", reflect.TypeFor[[]doc]())
	s.Label("env")
	for src, want := range map[string]string{
		`true`: "[]",
		`os.family == "debian" and has(packages.openssl)`:                           "[{os family} {packages openssl}]",
		`packages["lib-x"].family == "a" or packages["lib-x"].family == os.family`:  "[{packages lib-x} {os family}]",
		`env == "prod" and glob("web-*", node)`:                                     "[{env } {node }]",
		`any(mounts, .family == "nfs")`:                                             "[{mounts }]",
		`len(packages) > 400 and has(packages.openssl)`:                             "[{packages } {packages openssl}]",
		`packages[env].family == "x"`:                                               "[{packages } {env }]",
		`os?.family == "debian" and version(packages.a.family) < version("3.0.17")`: "[{os family} {packages a}]",
	} {
		c, err := Compile(src, s)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := fmt.Sprint(c.Reads()); got != want {
			t.Errorf("%s: reads %s, want %s", src, got, want)
		}
	}
}
