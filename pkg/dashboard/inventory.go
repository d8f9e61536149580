package dashboard

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

// maxListed is how many nodes, and how many values, an answer of the inventory shows.
const maxListed = 500

// inventoryPage is a question with its answer.
type inventoryPage struct {
	Where, Show, Count string
	Asked              bool
	Answer             report.Inventory
	Most               int // nodes of the most frequent value
	More               int // nodes, or values, that are not shown
	Problem, Hint      string
	Saved              []report.SavedQuestion
}

// Width is how long the bar of a count is, in thousandths.
func (i inventoryPage) Width(nodes int) int { return max(4, 1000*nodes/max(1, i.Most)) }

// Link is the address of a saved question.
func (i inventoryPage) Link(q report.SavedQuestion) string {
	return "/ui/inventory?" + url.Values{"where": {q.Where}, "show": {strings.Join(q.Show, ", ")}}.Encode()
}

func (d *Dashboard) inventory(r *http.Request, p *page) error {
	v := r.URL.Query()
	i := inventoryPage{Where: strings.TrimSpace(v.Get("where")), Show: strings.TrimSpace(strings.Join(v["show"], ", ")), Count: strings.TrimSpace(v.Get("count"))}
	i.Asked = i.Where != "" || i.Show != "" || i.Count != ""
	p.name, p.Title, p.Section, p.Body, p.Command = "inventory", "Inventory", "inventory", &i, i.command()
	var err error
	if i.Saved, err = d.Inventory.Questions(r.Context()); err != nil || !i.Asked {
		return err
	}
	paths := strings.FieldsFunc(i.Show, func(c rune) bool { return c == ',' || c == ' ' })
	q := report.Question{Where: i.Where, Show: paths, Count: i.Count, Limit: maxListed}
	i.Answer, err = d.Inventory.Inventory(r.Context(), q)
	if errors.Is(err, api.ErrBadRequest) || errors.Is(err, api.ErrTooLarge) { // what was typed is to be mended, not lost
		_, e := d.explain(r, err)
		i.Problem, i.Hint = e.Message, e.Advice
		return nil
	}
	i.More = i.Answer.Matched - len(i.Answer.Nodes)
	if i.Count != "" {
		i.More = len(i.Answer.Counts) - maxListed
		i.Answer.Counts = i.Answer.Counts[:min(len(i.Answer.Counts), maxListed)]
	}
	for _, c := range i.Answer.Counts {
		i.Most = max(i.Most, c.Nodes)
	}
	return err
}

// command is the command line that asks the same.
func (i inventoryPage) command() string {
	c := "vigo inventory"
	if i.Where != "" {
		c += " " + quoted(i.Where)
	}
	rest := url.Values{}
	if i.Show != "" {
		rest.Set("show", strings.ReplaceAll(i.Show, ", ", ","))
	}
	if i.Count != "" {
		rest.Set("count", i.Count)
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		c += " --" + name + " " + quoted(rest.Get(name))
	}
	return c
}
