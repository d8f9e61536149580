package reporting

import (
	"strings"
	"testing"
	"time"
)

// TestTwoControllersAreTold: one that is started again is not two; two that tell of a channel by turns are, until one of them has
// been silent for a while.
func TestTwoControllersAreTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	tell := func(who string) string {
		n := note()
		n.Controller = who
		r.publish(t, n)
		r.pass(time.Minute)
		return r.status(t).Channels[0].Error
	}
	for _, who := range []string{"a/1", "a/1", "a/2", "a/2", "b/1"} {
		if said := tell(who); said != "" {
			t.Errorf("%s is told of as %q", who, said)
		}
	}
	for _, who := range []string{"a/2", "b/1", "b/1", "b/1"} {
		if said := tell(who); !strings.Contains(said, "a/2 and b/1") {
			t.Errorf("with %s it says %q", who, said)
		}
	}
	if said := tell("b/1"); said != "" {
		t.Errorf("the other is gone, and it says %q", said)
	}
}

// TestWhatIsPublishedStays: a controller that cannot publish, and knows of nothing that is, takes nothing away.
func TestWhatIsPublishedStays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, note())
	broken := note()
	broken.Pointer, broken.Digest, broken.Commit, broken.Error = "", "", "", "the registry is away"
	r.publish(t, broken)
	if c := r.status(t).Channels[0]; c.Pointer != "1.7" || c.Digest != current || c.Error == "" {
		t.Errorf("%+v", c.ChannelNote)
	}
	events, err := r.Events(t.Context(), 10)
	must(t, err)
	for _, e := range events {
		if e.Kind == "channel.published" && !strings.Contains(e.Text, "1.7") {
			t.Errorf("an event says %q", e.Text)
		}
	}
}
