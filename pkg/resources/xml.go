package resources

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// XML is the text or an attribute of an element in an XML file, or an element as a whole. White space, comments, order and
// everything else in the file are kept.
//
// The path names elements from the root down: /server/connector[@port='8443']/@scheme. A step is the name of an element, as
// it is written with its prefix, and may say which one: [@attribute='value'], [child='text'] or its number among those of the
// name, [1] being the first. A last step @name is an attribute. The path must not lead to more than one place. Elements on
// the way that are missing are made, with what their brackets say, but not the root.
//
//	resources:
//	  - xml: shutdown port
//	    path: /etc/tomcat10/server.xml
//	    at: /Server/@port
//	    value: "-1"
//	  - xml: cache size
//	    path: /etc/app/config.xml
//	    at: /config/cache[@name='pages']/size
//	    value: 64m
type XML struct {
	// Name of the value in the policy, free to choose.
	Name string `vigo:"identity"`

	// Path of the file, absolute. It must be there and not be a symbolic link.
	Path string `yaml:"path" vigo:"required"`

	// At is the path of the element or attribute.
	At string `yaml:"at" vigo:"required"`

	// Value is the text of the element or attribute. An element that holds other elements is not given a text. Without it
	// the element must be there, whatever it holds.
	Value *string `yaml:"value"`

	// Ensure says whether the element or attribute should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Validation is a command that checks the new file before it takes the place of the old: {} stands for its path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*XML)(nil)
	_ resource.Requirer  = (*XML)(nil)
)

// Validate implements [resource.Validator].
func (x *XML) Validate() error {
	if err := checkPath(x.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	steps, err := parseXMLPath(x.At)
	if err != nil {
		return fault.WithHint(fmt.Errorf("at: %w", err), "such as /server/connector[@port='8443']/@scheme")
	}
	last := steps[len(steps)-1]
	switch {
	case x.Ensure == "absent" && x.Value != nil:
		return errors.New("what is to be absent has no value")
	case x.Ensure == "absent" && len(steps) == 1:
		return errors.New("at: the root element cannot be removed")
	case x.Ensure == "absent" && last.number > 0:
		return fault.WithHint(fmt.Errorf("at: another element will have the number %d once this one is removed", last.number),
			"name it by an attribute or the text of a child")
	case x.Ensure != "absent" && last.attr && x.Value == nil:
		return errors.New("an attribute needs a value")
	case x.Value != nil && last.child == "." && *x.Value != last.is:
		return errors.New("value: the element is looked for by another text, and would not be found again")
	case x.Value != nil && !isXMLText(*x.Value):
		return errors.New("value: it begins or ends with white space, or holds a character that XML cannot hold")
	}
	return checkValidation(x.Validation)
}

// Requires implements [resource.Requirer].
func (x *XML) Requires() []resource.ID {
	return append(above(x.Path), resource.ID{Type: "file", Name: x.Path})
}

// Plan implements [resource.Resource].
func (x *XML) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	steps, err := parseXMLPath(x.At)
	if err != nil {
		return resource.Plan{}, err
	}
	if x.Ensure != "absent" {
		err = mustBeThere(h, x.Path)
	} else if is, errLook := look(h, x.Path); errLook != nil || is == nil {
		return resource.Plan{}, errLook
	}
	if err != nil {
		return resource.Plan{}, err
	}
	return textEdit{Path: x.Path, Validation: x.Validation, Edit: wholeText(func(text string) (string, error) {
		edited, err := x.edit(text, steps)
		if err != nil || edited == text {
			return edited, err
		}
		if again, err := x.edit(edited, steps); err != nil || again != edited {
			return "", fmt.Errorf("%s: the file has a form that cannot be edited in place", x.At)
		}
		return edited, nil
	})}.plan(h)
}

// edit returns the document as it should be.
func (x *XML) edit(text string, steps []xmlStep) (string, error) {
	root, err := readXML(text)
	if err != nil {
		return "", fault.WithHint(err, "repair the file by hand: it is not edited while it cannot be read")
	}
	e, rest, err := root.find(steps)
	if err != nil {
		return "", fmt.Errorf("%s: %w", x.At, err)
	}
	switch {
	case x.Ensure == "absent" && len(rest) == 0:
		return e.without(text), nil
	case x.Ensure == "absent" && len(rest) == 1 && rest[0].attr:
		return e.withoutAttr(text, rest[0].name), nil
	case x.Ensure == "absent":
		return text, nil
	case len(rest) == 1 && rest[0].attr:
		return e.withAttr(text, rest[0].name, *x.Value), nil
	case len(rest) > 0:
		return e.withChild(text, rest, x.Value)
	case x.Value == nil || e.text == *x.Value && len(e.children) == 0:
		return text, nil
	case len(e.children) > 0:
		return "", fmt.Errorf("%s: it holds other elements, and is not given a text", x.At)
	}
	return e.withText(text, *x.Value), nil
}
