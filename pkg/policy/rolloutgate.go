package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/rollout"
)

// ask reads who is asked at a gate: a name, a list of names, or those with a deadline.
func (r *reader) ask(n *yaml.Node) (a rollout.Ask) {
	if n.Kind != yaml.MappingNode {
		a.Of = r.receivers(n)
		return a
	}
	entries, _ := r.mapping(n, "who is asked")
	r.only(entries, "of", "deadline")
	for _, e := range entries {
		switch e.key {
		case "of":
			a.Of = r.receivers(e.value)
		case "deadline":
			a.Deadline = r.upTo(e.value, e.key, 30*24*time.Hour)
		}
	}
	if !slices.ContainsFunc(entries, func(e entry) bool { return e.key == "of" }) {
		r.fail(n, "missing-key", "{of: [slo], deadline: 30m}", "who is asked must be named")
	}
	return a
}

func (r *reader) receivers(n *yaml.Node) (names []string) {
	for _, t := range r.texts(n, "who is asked") {
		if !nameRule.MatchString(t.S) {
			r.fail(n, "bad-name", "lower-case letters, digits, - and _, as in the file of receivers of the report service", "%q is no name of a webhook", t.S)
			continue
		}
		names = append(names, t.S)
	}
	return names
}

// ConsentsDir is where files are in which people agree to stages by commits. Nothing in it is part of a bundle, so that to agree
// makes no new one.
const ConsentsDir = "rollouts/approvals"

// consentFile reads the name of such a file.
func (r *reader) consentFile(n *yaml.Node) string {
	name := r.str(n, "file")
	if name != "" && (!fs.ValidPath(name) || !strings.HasPrefix(name, ConsentsDir+"/") || path.Ext(name) != ".yaml") {
		r.fail(n, "bad-value", ConsentsDir+"/production.yaml", "file must be a file of %s, not %s: what is elsewhere is part of the bundle that is to be approved", ConsentsDir, describe(n))
	}
	return name
}

// A Consent is a line of such a file: somebody agrees that a stage begins with the bundle of a commit. It counts when they
// signed the commit that added the line.
type Consent struct {
	Stage  string
	Commit string // hash, or its beginning
	By     string // a name of who signed
}

const (
	maxConsents  = 200
	leastConsent = 12 // digits of a hash
)

// ParseConsents reads such a file. What is wrong comes back all at once, as fault.Problems.
func ParseConsents(file string, data []byte) ([]Consent, error) {
	var problems fault.Problems
	r := &reader{file: file, problems: &problems}
	n := r.parse(data)
	if n == nil {
		return nil, problems.Err()
	}
	entries, ok := r.mapping(n, "the approvals")
	if !ok {
		return nil, problems.Err()
	}
	r.only(entries, "kind", "about", "approvals")
	var list []Consent
	kind := ""
	for _, e := range entries {
		switch e.key {
		case "kind":
			kind = r.oneOf(e.value, "kind", "Approvals")
		case "approvals":
			list = r.consents(e.value)
		case "about":
			r.str(e.value, e.key)
		}
	}
	if kind == "" {
		r.fail(n, "missing-key", "kind: Approvals", `approvals need the key "kind"`)
	}
	return list, problems.Err()
}

func (r *reader) consents(n *yaml.Node) (list []Consent) {
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxConsents {
		r.fail(n, "wrong-type", "- {stage: early, commit: 4f1c2a9d0c3b, by: ann}", "approvals must be a list of at most %d, not %s", maxConsents, describe(n))
		return nil
	}
	for _, item := range n.Content {
		entries, ok := r.mapping(item, "an approval")
		if !ok {
			continue
		}
		r.only(entries, "stage", "commit", "by")
		var c Consent
		for _, e := range entries {
			switch e.key {
			case "stage":
				c.Stage = r.str(e.value, e.key)
			case "commit":
				if c.Commit = e.value.Value; e.value.Kind != yaml.ScalarNode || len(c.Commit) < leastConsent || strings.Trim(c.Commit, "0123456789abcdef") != "" {
					r.fail(e.value, "bad-value", "git rev-parse HEAD", "commit must be %d or more hexadecimal digits of its hash, not %s", leastConsent, describe(e.value))
				}
			case "by":
				c.By = r.str(e.value, e.key)
			}
		}
		if c.Stage == "" || c.Commit == "" || c.By == "" {
			r.fail(item, "missing-key", "{stage: early, commit: 4f1c2a9d0c3b, by: ann}", "an approval needs stage, commit and by")
			continue
		}
		list = append(list, c)
	}
	return list
}

// consentFiles reports what is wrong with the files in which people agree. One that is not there is as good as an empty one.
func (l *loader) consentFiles(one *Rollout) error {
	var read []string
	for _, st := range one.Spec.Stages {
		file := st.Approve.File
		if file == "" || slices.Contains(read, file) || !fs.ValidPath(file) {
			continue
		}
		read = append(read, file)
		data, err := l.read(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && data == nil:
			continue
		case err != nil:
			return fmt.Errorf("reading %s: %w", file, err)
		}
		var more fault.Problems
		if _, err := ParseConsents(file, data); errors.As(err, &more) {
			*l.problems = append(*l.problems, more...)
		}
	}
	return nil
}
