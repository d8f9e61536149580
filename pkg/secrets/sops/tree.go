package sops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// walk collects the leaves of one document.
type walk struct{ document }

var errTooDeep = fmt.Errorf("it is nested deeper than %d", maxDepth)

func (w *walk) add(path []string, name, text, typ string) {
	w.leaves = append(w.leaves, leaf{path: path, name: name, text: text, typ: typ})
}

// comments adds the comments that stand somewhere: each line is one.
func (w *walk) comments(path []string, texts ...string) {
	for _, text := range texts {
		for line := range strings.SplitSeq(text, "\n") {
			if c, ok := strings.CutPrefix(line, "#"); ok {
				w.leaves = append(w.leaves, leaf{path: path, text: c, comment: true})
			}
		}
	}
}

// sub is a path with one more key, that shares nothing with it.
func sub(path []string, key string) []string { return append(path[:len(path):len(path)], key) }

func join(name, key string) string {
	if name == "" {
		return key
	}
	return name + "/" + key
}

// commentEnd is how an encrypted comment ends.
const commentEnd = ",type:comment]"

func parseYAML(data []byte) (document, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return document{}, errors.New("it is not YAML")
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return document{}, errors.New("it has more than one document")
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return document{}, ErrNotSOPS
	}
	w := &walk{}
	w.comments(nil, doc.HeadComment)
	if err := w.yamlMap(root, nil, "", 0); err != nil {
		return document{}, err
	}
	w.comments(nil, doc.FootComment)
	return w.document, nil
}

// yamlMap walks a mapping, with comments in the order in which SOPS takes them.
func (w *walk) yamlMap(n *yaml.Node, path []string, name string, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	w.comments(path, n.HeadComment)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return errors.New("a key is no plain word")
		}
		if depth == 0 && k.Value == "sops" {
			if err := w.yamlMeta(v); err != nil {
				return err
			}
			continue
		}
		w.comments(path, k.HeadComment, k.LineComment)
		own := v.Kind == yaml.ScalarNode
		if own {
			w.comments(path, v.HeadComment, v.LineComment)
		}
		if err := w.yamlNode(v, sub(path, k.Value), join(name, k.Value), depth+1); err != nil {
			return err
		}
		if own {
			w.comments(path, v.FootComment)
		}
		w.comments(path, k.FootComment)
	}
	w.comments(path, n.FootComment)
	return nil
}

func (w *walk) yamlNode(n *yaml.Node, path []string, name string, depth int) error {
	switch n.Kind {
	case yaml.MappingNode:
		return w.yamlMap(n, path, name, depth)
	case yaml.SequenceNode:
		if depth > maxDepth {
			return errTooDeep
		}
		w.comments(path, n.HeadComment)
		at := 0
		for _, item := range n.Content {
			own := item.Kind == yaml.ScalarNode
			if own {
				w.comments(path, item.HeadComment, item.LineComment)
			}
			if own && strings.HasSuffix(item.Value, commentEnd) { // SOPS writes encrypted comments in lists as items
				w.leaves = append(w.leaves, leaf{path: path, text: item.Value, comment: true})
				continue
			}
			if err := w.yamlNode(item, path, join(name, strconv.Itoa(at)), depth+1); err != nil {
				return err
			}
			at++
			if own {
				w.comments(path, item.FootComment)
			}
		}
		w.comments(path, n.FootComment)
		return nil
	case yaml.ScalarNode:
		return w.yamlScalar(n, path, name)
	}
	return errors.New("it refers to parts of itself, which cannot be read here")
}

func (w *walk) yamlScalar(n *yaml.Node, path []string, name string) error {
	switch n.Tag {
	case "!!null":
		return nil // SOPS leaves them as they are, and out of the MAC
	case "!!bool":
		w.add(path, name, strings.ToLower(n.Value), "bool")
	case "!!int":
		i, err := strconv.ParseInt(n.Value, 0, 64)
		if err != nil {
			return errors.New("a number is too large")
		}
		w.add(path, name, strconv.FormatInt(i, 10), "int")
	case "!!float":
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			return errors.New("a number cannot be read")
		}
		w.add(path, name, strconv.FormatFloat(f, 'f', -1, 64), "float")
	case "!!timestamp":
		var at time.Time
		if err := n.Decode(&at); err != nil {
			return errors.New("a time cannot be read")
		}
		text, err := at.MarshalText()
		if err != nil {
			return errors.New("a time cannot be read")
		}
		w.add(path, name, string(text), "time")
	case "!!str":
		w.add(path, name, n.Value, "str")
	default:
		return fmt.Errorf("a value is of type %.40q", n.Tag)
	}
	return nil
}

func (w *walk) yamlMeta(n *yaml.Node) error {
	var m map[string]any
	if err := n.Decode(&m); err != nil {
		return ErrNotSOPS
	}
	data, err := json.Marshal(m)
	if err != nil {
		return ErrNotSOPS
	}
	return w.jsonMeta(data)
}

func (w *walk) jsonMeta(data []byte) error {
	if json.Unmarshal(data, &w.meta) != nil {
		return ErrNotSOPS
	}
	return nil
}

func parseJSON(data []byte) (document, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	w := &walk{}
	t, err := dec.Token()
	if err != nil || t != json.Delim('{') {
		return document{}, ErrNotSOPS
	}
	if err := w.jsonObject(dec, nil, "", 0); err != nil {
		return document{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return document{}, errors.New("there is something after its end")
	}
	return w.document, nil
}

var errNotJSON = errors.New("it is not JSON")

func (w *walk) jsonObject(dec *json.Decoder, path []string, name string, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return errNotJSON
		}
		if depth == 0 && key == "sops" {
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return errNotJSON
			}
			if err := w.jsonMeta(raw); err != nil {
				return err
			}
			continue
		}
		if err := w.jsonValue(dec, sub(path, key), join(name, key), depth+1); err != nil {
			return err
		}
	}
	return closing(dec)
}

func closing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return errNotJSON
	}
	return nil
}

func (w *walk) jsonValue(dec *json.Decoder, path []string, name string, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	t, err := dec.Token()
	if err != nil {
		return errNotJSON
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return w.jsonObject(dec, path, name, depth)
		}
		for i := 0; dec.More(); i++ {
			if err := w.jsonValue(dec, path, join(name, strconv.Itoa(i)), depth+1); err != nil {
				return err
			}
		}
		return closing(dec)
	case string:
		w.add(path, name, t, "str")
	case bool:
		w.add(path, name, strconv.FormatBool(t), "bool")
	case float64:
		w.add(path, name, strconv.FormatFloat(t, 'f', -1, 64), "float")
	}
	return nil
}
