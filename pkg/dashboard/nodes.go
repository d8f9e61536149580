package dashboard

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

// perPage is how many nodes a page lists.
const perPage = 100

// nodeList is one page of the nodes that match.
type nodeList struct {
	Query   report.Query
	Labels  string // as typed: role=web env=production
	Sort    string
	Rows    []nodeRow
	Matched int
	First   int // number of the first row
	Pages   int
	Page    int
	base    url.Values
}

// nodeRow is a node as it was at a time.
type nodeRow struct {
	report.NodeStatus
	Now time.Time
}

// Last is the number of the last row.
func (l nodeList) Last() int { return l.First + len(l.Rows) - 1 }

// To is the address of another page of the list, "" if there is none.
func (l nodeList) To(step int) string {
	if to := l.Page + step; to >= 1 && to <= l.Pages {
		v := maps.Clone(l.base)
		v.Set("page", strconv.Itoa(to))
		return "/ui/nodes?" + v.Encode()
	}
	return ""
}

// By is the address of the list in another order.
func (l nodeList) By(order string) string {
	v := maps.Clone(l.base)
	v.Set("sort", order)
	return "/ui/nodes?" + v.Encode()
}

// Filtered is whether anything is left out.
func (l nodeList) Filtered() bool { v := maps.Clone(l.base); v.Del("sort"); return len(v) > 0 }

// filters reads the address of a list: empty fields of the form are none, and labels can be in one field.
func filters(v url.Values) (url.Values, string) {
	base := url.Values{}
	for _, name := range []string{"name", "presence", "compliance", "digest", "channel", "sort"} {
		if value := strings.TrimSpace(v.Get(name)); value != "" {
			base.Set(name, value)
		}
	}
	labels := strings.Fields(strings.Join(v["label"], " "))
	for _, label := range labels {
		base.Add("label", label)
	}
	return base, strings.Join(labels, " ")
}

func (d *Dashboard) nodes(r *http.Request, p *page) error {
	p.name, p.Title, p.Section = "nodes", "Nodes", "nodes"
	l := nodeList{}
	l.base, l.Labels = filters(r.URL.Query())
	var err error
	if l.Query, err = api.QueryOf(l.base); err != nil {
		return err
	}
	asked := l.Query
	if asked.Name != "" && !strings.ContainsAny(asked.Name, "*?[") {
		asked.Name = "*" + asked.Name + "*" // who types a part of a name means that
	}
	list, err := d.Operators.Nodes(r.Context(), asked)
	if err != nil {
		return err
	}
	l.Sort = cmp.Or(l.base.Get("sort"), "problems")
	at := order(list, l.Sort)
	l.Matched, l.Pages = len(list), max(1, (len(list)+perPage-1)/perPage)
	l.Page, _ = strconv.Atoi(r.URL.Query().Get("page")) // what is no number is the first page
	l.Page = min(max(1, l.Page), l.Pages)
	from := (l.Page - 1) * perPage
	l.First = min(from+1, l.Matched)
	for _, i := range at[from:min(len(at), from+perPage)] {
		l.Rows = append(l.Rows, nodeRow{list[i], p.Now})
	}
	p.Body, p.Command = l, "vigo nodes"
	if asked.Name != "" {
		p.Command += " " + quoted(asked.Name)
	}
	rest := maps.Clone(l.base)
	rest.Del("name")
	p.Command = commandOf(p.Command, rest)
	return nil
}

// order says where the nodes of a list, which come by name, are in another order; they are too large to be moved about.
func order(list []report.NodeStatus, by string) []int32 {
	at := make([]int32, 0, len(list))
	if by == "problems" {
		var of [mostTrouble + 1][]int32
		for i, n := range list {
			t := trouble(n)
			of[t] = append(of[t], int32(i))
		}
		for t := mostTrouble; t >= 0; t-- {
			at = append(at, of[t]...)
		}
		return at
	}
	for i := range list {
		at = append(at, int32(i))
	}
	if by == "seen" {
		slices.SortStableFunc(at, func(a, b int32) int { return list[a].Seen.Compare(list[b].Seen) })
	}
	return at
}

// mostTrouble is more than a node can have.
const mostTrouble = 127

// trouble is how much a node wants a person; 0: not at all.
func trouble(n report.NodeStatus) int {
	t := 0
	if len(n.Refusals) > 0 {
		t += 64
	}
	switch n.Compliance {
	case report.ComplianceFailed:
		t += 32
	case report.ComplianceDrift:
		t += 4
	}
	switch n.Presence {
	case report.Missing:
		t += 24
	case report.Stale:
		t += 16
	case report.Late:
		t++
	}
	if n.Digest == report.DigestBehind || n.Digest == report.DigestAhead {
		t += 2
	}
	return t
}

// commandOf is the command line that asks the same.
func commandOf(command string, v url.Values) string {
	var b strings.Builder
	b.WriteString(command)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if name == "sort" || name == "page" {
			continue
		}
		for _, value := range v[name] {
			b.WriteString(" --" + name + " " + quoted(value))
		}
	}
	return b.String()
}

// quoted is a word for a shell.
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-=/:,@", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
