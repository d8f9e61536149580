package sops

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseEnv reads KEY=VALUE lines; what SOPS says of the file is in keys that begin with sops_.
func parseEnv(data []byte) (document, error) {
	w := &walk{}
	flat := map[string]string{}
	for line := range strings.SplitSeq(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			continue
		}
		if c, ok := strings.CutPrefix(line, "#"); ok {
			w.leaves = append(w.leaves, leaf{text: c, comment: true})
			continue
		}
		key, text, ok := strings.Cut(line, "=")
		if !ok {
			return document{}, errors.New("a line is neither KEY=VALUE nor a comment")
		}
		text = strings.ReplaceAll(text, `\n`, "\n")
		if own, ok := strings.CutPrefix(key, "sops_"); ok {
			flat[own] = text
			continue
		}
		w.add([]string{key}, key, text, "str")
	}
	return w.document, w.flatMeta(flat)
}

// parseINI reads sections of KEY = VALUE lines; what SOPS says of the file is in the section sops.
func parseINI(data []byte) (document, error) {
	w := &walk{}
	flat := map[string]string{}
	section := "DEFAULT"
	for line := range strings.SplitSeq(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if line[0] == ';' || line[0] == '#' {
			w.leaves = append(w.leaves, leaf{path: []string{section}, text: strings.TrimSpace(line[1:]), comment: true})
			continue
		}
		if line[0] == '[' {
			name, ok := strings.CutSuffix(line[1:], "]")
			if !ok {
				return document{}, errors.New("the name of a section has no end")
			}
			section = name
			continue
		}
		key, text, ok := strings.Cut(line, "=")
		if !ok {
			return document{}, errors.New("a line is neither KEY = VALUE nor a section nor a comment")
		}
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		if len(text) >= 2 && (text[0] == '`' || text[0] == '"') && text[len(text)-1] == text[0] {
			text = text[1 : len(text)-1]
		}
		if section == "sops" {
			flat[key] = strings.ReplaceAll(text, `\n`, "\n")
			continue
		}
		name := join(section, key)
		if section == "DEFAULT" {
			name = key
		}
		w.add([]string{section, key}, name, text, "str")
	}
	return w.document, w.flatMeta(flat)
}

// flatMeta reads what SOPS says of a file that has no nested values: age__list_0__map_enc is age[0].enc.
func (w *walk) flatMeta(flat map[string]string) error {
	m := map[string]any{}
	for key, text := range flat {
		switch {
		case strings.HasPrefix(key, "age__list_"):
			continue
		case strings.HasPrefix(key, "key_groups__"):
			m["key_groups"] = []any{true}
		case strings.HasPrefix(key, "mac_only_encrypted"):
			m[key] = text == "true"
		case strings.Contains(key, "__"), strings.HasPrefix(key, "shamir"):
		default:
			m[key] = text
		}
	}
	var keys []ageKey
	for i := range 100 {
		prefix := fmt.Sprintf("age__list_%s__map_", strconv.Itoa(i))
		enc, ok := flat[prefix+"enc"]
		if !ok {
			break
		}
		keys = append(keys, ageKey{Recipient: flat[prefix+"recipient"], Enc: enc})
	}
	m["age"] = keys
	data, err := json.Marshal(m)
	if err != nil {
		return ErrNotSOPS
	}
	return w.jsonMeta(data)
}
