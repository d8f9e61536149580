package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// stamp stands for the authority: what it has sealed begins with its name.
type stamp string

func (s stamp) Seal(purpose string, data []byte) ([]byte, error) {
	return []byte(string(s) + purpose + string(data)), nil
}

func (s stamp) check(purpose string, data, seal []byte) error {
	if want, _ := s.Seal(purpose, data); !bytes.Equal(want, seal) {
		return errors.New("not sealed")
	}
	return nil
}

const authority = stamp("acme's authority")

// chain makes a log of n entries with a checkpoint every ten and one of the last.
func chain(t *testing.T, n int) Log {
	t.Helper()
	log := Log{Fleet: "acme"}
	var prev Entry
	for i := range n {
		e := Entry{Time: noon.Add(time.Duration(i) * time.Second), Actor: "jane", Role: "admin", Act: TokenCreated, Object: fmt.Sprint("token", i),
			Detail: map[string]string{"uses": "1", "label role": "web"}, Address: "192.0.2.1"}.Chain(prev.Seq, prev.Hash)
		log.Entries, prev = append(log.Entries, e), e
		if e.Seq%10 == 0 || i == n-1 {
			log.Checkpoints = append(log.Checkpoints, sign(t, authority, Checkpoint{Fleet: "acme", Seq: e.Seq, Hash: e.Hash, Time: e.Time}))
		}
	}
	return log
}

func sign(t *testing.T, s stamp, c Checkpoint) Checkpoint {
	t.Helper()
	c, err := c.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rechain makes the chain fit again from an entry on, as whoever can write the store would.
func rechain(l *Log, from int) {
	prev := Entry{}
	if from > 0 {
		prev = l.Entries[from-1]
	}
	for i := from; i < len(l.Entries); i++ {
		l.Entries[i] = l.Entries[i].Chain(prev.Seq, prev.Hash)
		prev = l.Entries[i]
	}
}

// Every way to alter a log is found, and the entries concerned are named.
func TestVerify(t *testing.T) {
	t.Parallel()
	whole := chain(t, 25)
	for name, c := range map[string]struct {
		edit func(*Log)
		want []string // kind first-last
	}{
		"whole":           {func(*Log) {}, nil},
		"another actor":   {func(l *Log) { l.Entries[4].Actor = "joe" }, []string{"altered 5-5"}},
		"another time":    {func(l *Log) { l.Entries[4].Time = noon.Add(time.Hour) }, []string{"altered 5-5"}},
		"another address": {func(l *Log) { l.Entries[4].Address = "" }, []string{"altered 5-5"}},
		"a detail more":   {func(l *Log) { l.Entries[4].Detail["x"] = "y" }, []string{"altered 5-5"}},
		"a detail moved": {func(l *Log) { l.Entries[4].Detail = map[string]string{"uses": "1label role", "": "web"} },
			[]string{"altered 5-5"}},
		"another hash":             {func(l *Log) { l.Entries[4].Hash = strings.Repeat("0", 64) }, []string{"altered 5-5"}},
		"an entry with its hash":   {func(l *Log) { l.Entries[4].Actor = "joe"; l.Entries[4].Hash = l.Entries[4].Sum() }, []string{"altered 5-5"}},
		"one taken out":            {func(l *Log) { l.Entries = slices.Delete(l.Entries, 4, 5) }, []string{"missing 5-5"}},
		"the first ones taken out": {func(l *Log) { l.Entries = l.Entries[3:] }, []string{"missing 1-3"}},
		"two places exchanged":     {func(l *Log) { l.Entries[4], l.Entries[5] = l.Entries[5], l.Entries[4] }, []string{"reordered 5-5"}},
		"one twice":                {func(l *Log) { l.Entries = slices.Insert(l.Entries, 5, l.Entries[4]) }, []string{"reordered 5-5"}},
		"two numbers exchanged": {func(l *Log) { l.Entries[4].Seq, l.Entries[5].Seq = 6, 5; slices.Reverse(l.Entries[4:6]) },
			[]string{"altered 5-5", "altered 6-6"}},
		"the last ones cut off": {func(l *Log) { l.Entries = l.Entries[:21] }, []string{"truncated 22-25"}},
		"everything cut off":    {func(l *Log) { l.Entries = nil }, []string{"truncated 1-10", "truncated 1-20", "truncated 1-25"}},
		"chained anew": {func(l *Log) { l.Entries[14].Actor = "joe"; rechain(l, 14) },
			[]string{"rewritten 11-20", "rewritten 11-25"}},
		"cut off and grown anew": {func(l *Log) {
			l.Entries = l.Entries[:22]
			more := chain(t, 30).Entries[0]
			l.Entries = append(l.Entries, more, more, more)
			rechain(l, 22)
		},
			[]string{"rewritten 21-25"}},
		"one put in, chained anew": {func(l *Log) { l.Entries = slices.Insert(l.Entries, 14, Entry{Act: "x"}); rechain(l, 14) },
			[]string{"rewritten 11-20", "rewritten 11-25"}},
		"a checkpoint of nobody":            {func(l *Log) { l.Checkpoints[1].Signature = nil }, []string{"forged 20-20"}},
		"a checkpoint of another authority": {func(l *Log) { l.Checkpoints[1] = sign(t, "mallory", l.Checkpoints[1]) }, []string{"forged 20-20"}},
		"a checkpoint of another fleet": {func(l *Log) {
			l.Checkpoints[1].Fleet = "other"
			l.Checkpoints[1] = sign(t, authority, l.Checkpoints[1])
		}, []string{"forged 20-20"}},
		"no checkpoints": {func(l *Log) { l.Checkpoints = nil }, []string{"unsigned 1-25"}},
		"a number far off": {func(l *Log) { l.Entries[24].Seq = 1 << 60 },
			[]string{"truncated 25-25", fmt.Sprintf("altered %d-%d", int64(1<<60), int64(1<<60))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := copyOf(t, whole)
			c.edit(&l)
			want(t, l.Verify(authority.check), c.want)
		})
	}
}

func want(t *testing.T, problems []Problem, kinds []string) {
	t.Helper()
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s %d-%d", p.Kind, p.First, p.Last))
		if p.Text == "" || !strings.Contains(p.String(), p.Kind) {
			t.Errorf("%+v does not say what is wrong", p)
		}
	}
	if !slices.Equal(got, kinds) {
		t.Errorf("got %q, want %q", got, kinds)
	}
}

// copyOf goes over JSON, as an exported log does.
func copyOf(t *testing.T, l Log) (out Log) {
	t.Helper()
	data, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Whoever can write the store and sign can still not fool somebody who kept a checkpoint.
func TestKeptCheckpoint(t *testing.T) {
	t.Parallel()
	whole := chain(t, 25)
	yesterday := whole.Checkpoints[1]
	l := copyOf(t, whole)
	l.Entries[14].Actor = "joe"
	rechain(&l, 14)
	l.Checkpoints = []Checkpoint{sign(t, authority, Checkpoint{Fleet: "acme", Seq: 25, Hash: l.Entries[24].Hash, Time: noon.Add(time.Hour)})}
	want(t, l.Verify(authority.check), nil)
	want(t, l.Verify(authority.check, yesterday), []string{"rewritten 1-20"})
	want(t, whole.Verify(authority.check, yesterday), nil)
}

// A log may begin where the authority says that it does, and nowhere else.
func TestStart(t *testing.T) {
	t.Parallel()
	whole := chain(t, 25)
	pruned := copyOf(t, whole)
	pruned.Entries, pruned.Checkpoints = pruned.Entries[12:], pruned.Checkpoints[1:]
	start := Checkpoint{Fleet: "acme", Seq: 12, Hash: whole.Entries[11].Hash, Time: noon, Start: true}
	signed := sign(t, authority, start)
	pruned.Start = &signed
	want(t, pruned.Verify(authority.check, whole.Checkpoints[0]), nil)
	want(t, Log{Fleet: "acme", Start: pruned.Start, Entries: pruned.Entries[1:], Checkpoints: pruned.Checkpoints}.Verify(authority.check), []string{"missing 13-13"})

	plain := whole.Checkpoints[0] // a checkpoint is no permission to forget
	plain.Start = true
	pruned.Start, pruned.Entries = &plain, whole.Entries[10:]
	want(t, pruned.Verify(authority.check), []string{"forged 1-10"})
	pruned.Checkpoints = append(pruned.Checkpoints, signed) // and the other way round
	pruned.Start, pruned.Entries = nil, whole.Entries
	want(t, pruned.Verify(authority.check), []string{"forged 12-12"})
}

// The canonical form is what the documentation says: other programs compute the same hash.
func TestSum(t *testing.T) {
	t.Parallel()
	e := Entry{Time: time.Unix(0, 5), Actor: "a", Role: "b", Act: "c", Object: "", Address: "d", Detail: map[string]string{"k": "v"}}.Chain(0, "")
	// printf '18:vigo audit entry 1,1:1,1:5,1:a,1:b,1:c,0:,1:d,1:1,1:k,1:v,64:000…,' | sha256sum
	if e.Seq != 1 || e.Prev != genesis || e.Hash != "e4bf2b3fa5367c6941dc52dd35e06fcf77f1093c57c8bb523797499d7aec95ac" {
		t.Errorf("%+v", e)
	}
}

// What cannot go through JSON, or is too long, is made fit before it is hashed.
func TestChainCleans(t *testing.T) {
	t.Parallel()
	detail := map[string]string{"long": strings.Repeat("é", 1000), "empty": ""}
	for i := range 100 {
		detail[fmt.Sprint("k", i)] = "v"
	}
	e := Entry{Time: noon, Actor: "a\xffb\nc", Detail: detail}.Chain(0, "")
	l := Log{Fleet: "acme", Entries: []Entry{e}, Checkpoints: []Checkpoint{sign(t, authority, Checkpoint{Fleet: "acme", Seq: 1, Hash: e.Hash, Time: noon})}}
	want(t, copyOf(t, l).Verify(authority.check), nil)
	if e.Actor != "a?b c" || len(e.Detail) != maxDetails {
		t.Errorf("%q, %d details", e.Actor, len(e.Detail))
	}
	for key, value := range e.Detail {
		if len(value) > maxField || value == "" {
			t.Errorf("%s has %d bytes", key, len(value))
		}
	}
}

// Who acts is who a server found out; without one it is the service itself.
func TestCaller(t *testing.T) {
	t.Parallel()
	ctx := WithCaller(context.Background(), &Caller{Address: "192.0.2.1"})
	Know(ctx, "jane", "admin")
	if e := By(ctx, TokenRevoked, "x", nil); e.Actor != "jane" || e.Role != "admin" || e.Address != "192.0.2.1" || e.Object != "x" {
		t.Errorf("%+v", e)
	}
	Know(context.Background(), "jane", "admin")
	if c := CallerOf(context.Background()); c.Name != Service {
		t.Errorf("%+v", c)
	}
}
