package sqlstore

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// Many who ask at once get as many places as there are, and who has them is known after the store was opened again.
func TestLeasesAreGivenOnce(t *testing.T) {
	everyDatabase(t, func(t *testing.T, fresh opener) {
		d, again := fresh(t)
		now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		var asking sync.WaitGroup
		for i := range 20 {
			asking.Go(func() {
				a := lease.Ask{Node: fmt.Sprintf("db-%02d", i), Boot: "1", Group: "db", AtOnce: rollout.Share{Nodes: 3}, Term: time.Hour, Nonce: "n"}
				err := d.ChangeLease(t.Context(), a.Node, a.Group, now, func(own *lease.Lease, held []lease.Lease) LeaseChange {
					next, _ := lease.Take(a, own, held, 3, false, now)
					return LeaseChange{Put: &next, Events: []report.Event{{At: now, Node: a.Node, Kind: "reboot.granted"}}}
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
		d = again()
		list, err := d.Leases(t.Context())
		must(t, err)
		var held []string
		for _, l := range list {
			if l.Held() {
				held = append(held, l.Node)
			}
		}
		if len(list) != 20 || len(held) != 3 {
			t.Fatalf("%d leases, %v have a place", len(list), held)
		}
		must(t, d.ChangeLease(t.Context(), held[0], "", now, func(own *lease.Lease, _ []lease.Lease) LeaseChange {
			if own == nil || own.Node != held[0] || !own.Since.Equal(now) {
				t.Errorf("%+v", own)
			}
			return LeaseChange{Drop: true}
		}))
		if list, err = d.Leases(t.Context()); err != nil || len(list) != 19 {
			t.Errorf("%d leases: %v", len(list), err)
		}
	})
}
