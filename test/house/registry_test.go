package house

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestRegistryConfigurationsParse(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"../../registry/*/*.json", "../../registry/*/*.yml", "../../.github/workflows/*.yml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: nothing found: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if filepath.Ext(name) == ".json" {
			err = json.Unmarshal(data, &v)
		} else {
			err = yaml.Unmarshal(data, &v)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
