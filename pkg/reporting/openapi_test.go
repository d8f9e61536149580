package reporting

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trait"
)

// TestAnswersAreAsDescribed: what the service answers to whoever reads is what its OpenAPI document says, key by key.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, note())
	r.join(t, "web-1")
	os := facet(t, "os", map[string]string{"family": "debian"})
	r.checkIn(t, report.CheckIn{Node: "web-1", Traits: "sha256:x", Facets: map[string]string{"os": os.Digest}, Run: report.Summary{ID: "1", Counts: report.Counts{Failed: 1}},
		Refusals: []report.Refusal{{Name: "rollback", Detail: "x", First: noon, Count: 1}}})
	must(t, r.PutFacets(t.Context(), "web-1", report.Facets{Node: "web-1", Facets: []trait.Facet{os}}))
	must(t, r.PutRuns(t.Context(), "web-1", []report.Run{{ID: "1", Node: "web-1", Started: noon, Results: []report.Result{{ID: "a/file:/b", Outcome: report.Failed, Reason: "x"}}}}))
	newer := facet(t, "os", map[string]string{"family": "suse"})
	settle(t, r)
	r.checkIn(t, report.CheckIn{Node: "web-1", Seq: 9, Traits: "sha256:y", Facets: map[string]string{"os": newer.Digest}})
	must(t, r.PutFacets(t.Context(), "web-1", report.Facets{Node: "web-1", Facets: []trait.Facet{newer}}))
	settle(t, r)
	must(t, r.PutQuestion(t.Context(), report.SavedQuestion{Name: "all", Where: "true", By: "jane"}))
	_, err := r.PutMute(t.Context(), report.Mute{Rule: "*", Reason: "x", Until: noon.Add(time.Hour)})
	must(t, err)
	admin, err := r.AddOperator(t.Context(), api.Operator{Name: "admin", Role: identity.RoleAdmin})
	must(t, err)
	_, err = r.Roll(t.Context(), api.RolloutPlan{Channel: "stable", Spec: rollout.Spec{Channel: "stable"}.WithDefaults(),
		Stable: bundle.Target{Digest: "sha256:a", Size: 1}, Candidate: bundle.Target{Digest: "sha256:b", Size: 1}})
	must(t, err)
	r.Examine = func(context.Context) report.Diagnosis {
		return report.Diagnosis{Data: "/srv", At: noon, Done: true, Checks: []report.Check{{Name: "room", State: report.Warning, Text: "little", Hint: "make more"}}, Tables: []report.Table{{Name: "run", Rows: 1, Bytes: 2}}}
	}
	go r.keepExamining(t.Context())
	server := r.listen(t)

	text, err := json.Marshal(api.OpenAPI())
	must(t, err)
	var doc map[string]any
	must(t, json.Unmarshal(text, &doc))
	asked := 0
	for path, methods := range doc["paths"].(map[string]any) {
		get, ok := methods.(map[string]any)["get"].(map[string]any)
		if !ok || path == "/v1/login" { // there is no identity provider
			continue
		}
		url := server.URL + strings.NewReplacer("{name}", "web-1", "{channel}", "stable").Replace(path)
		if path == "/v1/inventory" {
			url += "?show=os.family"
		}
		if path == "/v1/changes" {
			url += "?since=2026-01-01T00:00:00Z"
		}
		answer := ask(t, server, url, admin)
		schema := get["responses"].(map[string]any)["200"].(map[string]any)["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
		if problem := conforms(doc, schema.(map[string]any), answer); problem != "" {
			t.Errorf("GET %s: %s", path, problem)
		}
		asked++
	}
	if asked < 10 {
		t.Errorf("only %d routes were asked", asked)
	}
}

func ask(t *testing.T, server *httptest.Server, url, token string) (answer any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true // who it is does not matter here
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s", url, resp.Status, data)
	}
	must(t, json.Unmarshal(data, &answer))
	return answer
}

// conforms says where a value is not as its schema says; a key that the schema does not know is a fault, too.
func conforms(doc, schema map[string]any, v any) string {
	if ref, ok := schema["$ref"].(string); ok {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		return conforms(doc, doc["components"].(map[string]any)["schemas"].(map[string]any)[name].(map[string]any), v)
	}
	var types []string
	switch want := schema["type"].(type) {
	case string:
		types = []string{want}
	case []any:
		for _, w := range want {
			types = append(types, w.(string))
		}
	default:
		return "" // anything
	}
	if got := kindOf(v); !slices.Contains(types, got) && !(got == "integer" && slices.Contains(types, "number")) {
		return fmt.Sprintf("is %s, described as %v", got, types)
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if problem := conforms(doc, schema["items"].(map[string]any), item); problem != "" {
				return fmt.Sprintf("[%d]%s", i, problem)
			}
		}
	case map[string]any:
		return object(doc, schema, v)
	}
	return ""
}

func object(doc, schema, v map[string]any) string {
	if required, ok := schema["required"].([]any); ok {
		for _, key := range required {
			if _, there := v[key.(string)]; !there {
				return fmt.Sprintf(" lacks %s", key)
			}
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, value := range v {
		of, known := properties[key].(map[string]any)
		if !known {
			if of, known = schema["additionalProperties"].(map[string]any); !known {
				return fmt.Sprintf(" has %s, which is not described", key)
			}
		}
		if problem := conforms(doc, of, value); problem != "" {
			return "." + key + problem
		}
	}
	return ""
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
