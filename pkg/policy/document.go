package policy

import (
	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
)

// Document parses one YAML document of a repository within the limits of the language. What is wrong is [fault.Problems]
// with positions in file. It does not look at what the document says.
func Document(file string, data []byte) (*yaml.Node, error) {
	var problems fault.Problems
	r := reader{file: file, problems: &problems}
	n := r.parse(data)
	return n, problems.Err()
}
