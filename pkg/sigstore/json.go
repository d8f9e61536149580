package sigstore

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON reads one document. Unlike encoding/json alone it refuses what two parsers could read differently: fields that
// are there twice, and text that is not UTF-8. Numbers stay [json.Number].
func parseJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil { // the syntax, the depth, and that nothing comes after it
		return nil, err
	}
	if !paired(data) {
		return nil, errors.New("it escapes half a character")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return parseValue(d)
}

// paired says whether the surrogates among the escapes of valid JSON come in pairs. encoding/json puts U+FFFD for others.
func paired(data []byte) bool {
	escape := func(i int) rune {
		if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(data[i+2:i+6]), 16, 16)
		return rune(n)
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		r := escape(i)
		if !utf16.IsSurrogate(r) {
			i++
			continue
		}
		if utf16.DecodeRune(r, escape(i+6)) == utf8.RuneError {
			return false
		}
		i += 11
	}
	return true
}

func parseValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		fields := map[string]any{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			if _, twice := fields[name]; twice {
				return nil, fmt.Errorf("the field %.80q is there twice", name)
			}
			if fields[name], err = parseValue(d); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return fields, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			one, err := parseValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		_, err = d.Token()
		return list, err
	}
	return token, nil
}

// A reading is the state of reading one document: the first fault that was met.
type reading struct{ fault error }

func (r *reading) fail(format string, args ...any) {
	if r.fault == nil {
		r.fault = fmt.Errorf(format, args...)
	}
}

// An object is a message in the JSON of Protocol Buffers. Its fields are taken by name; a field of another type is a fault
// of the reading, one that is not there or null is empty.
type object struct {
	r      *reading
	path   string
	fields map[string]any
}

// parseObject reads a document that is one message.
func parseObject(data []byte, r *reading) object {
	o := object{r: r}
	value, err := parseJSON(data)
	if err != nil {
		r.fail("%w", err)
		return o
	}
	fields, ok := value.(map[string]any)
	if !ok {
		r.fail("it is no JSON object")
	}
	o.fields = fields
	return o
}

// take takes a field out, under its name in JSON or in the definition of the message: mediaType, media_type.
func (o object) take(name string) any {
	value, ok := o.fields[name]
	delete(o.fields, name)
	if snake := snakeCase(name); snake != name {
		if other, there := o.fields[snake]; there {
			if ok {
				o.r.fail("the field %s%s is there under both of its names", o.path, name)
			}
			value = other
			delete(o.fields, snake)
		}
	}
	return value
}

func snakeCase(name string) string {
	var b strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// done refuses the fields that nobody took: a rule that is overlooked would be a hole.
func (o object) done() {
	for name := range o.fields {
		o.r.fail("the field %s%.80s is not known", o.path, name)
	}
}

func (o object) text(name string) string { return o.asText(name, o.take(name)) }

// exact is text for a field that has one name alone.
func (o object) exact(name string) string {
	value := o.fields[name]
	delete(o.fields, name)
	return o.asText(name, value)
}

func (o object) asText(name string, value any) string {
	s, ok := value.(string)
	if !ok && value != nil {
		o.r.fail("%s%s is no text", o.path, name)
	}
	return s
}

// bytes decodes base64, of the standard alphabet or of that for URLs, with padding or without.
func (o object) bytes(name string) []byte { return o.decode(name, o.text(name)) }

func (o object) decode(name, s string) []byte {
	if s == "" {
		return nil
	}
	encoding := base64.StdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.URLEncoding
	}
	if len(s)%4 != 0 {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	data, err := encoding.DecodeString(s)
	if err != nil {
		o.r.fail("%s%s: %w", o.path, name, err)
	}
	return data
}

// int reads an integer of 64 bits, as a number or, as it is usually written, as text.
func (o object) int(name string) int64 {
	var s string
	switch v := o.take(name).(type) {
	case nil:
		return 0
	case string:
		s = v
	case json.Number:
		s = v.String()
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		o.r.fail("%s%s is no integer of 64 bits", o.path, name)
	}
	return n
}

func (o object) time(name string) time.Time {
	value := o.take(name)
	if value == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, o.asText(name, value))
	if err != nil {
		o.r.fail("%s%s: %w", o.path, name, err)
	}
	return t
}

// object returns the message in a field, and whether it is there. What is not there has no fields.
func (o object) object(name string) (object, bool) {
	value := o.take(name)
	fields, ok := value.(map[string]any)
	if !ok && value != nil {
		o.r.fail("%s%s is no JSON object", o.path, name)
	}
	return object{o.r, o.path + name + ".", fields}, ok
}

func (o object) list(name string) []any {
	value := o.take(name)
	list, ok := value.([]any)
	if !ok && value != nil {
		o.r.fail("%s%s is no list", o.path, name)
	}
	return list
}

func (o object) objects(name string) []object {
	var all []object
	for i, one := range o.list(name) {
		fields, ok := one.(map[string]any)
		if !ok {
			o.r.fail("%s%s[%d] is no JSON object", o.path, name, i)
		}
		all = append(all, object{o.r, fmt.Sprintf("%s%s[%d].", o.path, name, i), fields})
	}
	return all
}

func (o object) manyBytes(name string) [][]byte {
	var all [][]byte
	for i, one := range o.list(name) {
		s, ok := one.(string)
		if !ok {
			o.r.fail("%s%s[%d] is no text", o.path, name, i)
		}
		all = append(all, o.decode(name, s))
	}
	return all
}
