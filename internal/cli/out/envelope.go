package out

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// envelope is the one object that -o json and -o yaml print.
type envelope struct {
	Schema      string    `json:"schema"`
	ClusterID   *string   `json:"cluster_id"` // null: no broker has said it
	GeneratedAt string    `json:"generated_at"`
	Data        any       `json:"data"`
	Errors      []Failure `json:"errors"`
	Summary     any       `json:"summary"`
}

func newEnvelope(o Options, r *Result) envelope {
	e := envelope{
		Schema:      r.Schema,
		GeneratedAt: o.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		Data:        r.Data,
		Errors:      r.Errors,
		Summary:     r.Summary,
	}
	if r.ClusterID != "" {
		e.ClusterID = &r.ClusterID
	}
	if v := reflect.ValueOf(r.Data); r.Data == nil || (v.Kind() == reflect.Slice && v.IsNil()) {
		e.Data = []struct{}{} // a script may iterate without a check
	}
	if e.Errors == nil {
		e.Errors = []Failure{}
	}
	if e.Summary == nil {
		e.Summary = struct{}{}
	}
	return e
}

func encodeJSON(o Options, v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if !o.Compact {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return buf.Bytes(), nil
}

func printJSON(w io.Writer, o Options, r *Result) error {
	p, err := encodeJSON(o, newEnvelope(o, r))
	if err != nil {
		return err
	}
	_, err = w.Write(p)
	return err
}

// printYAML goes through the JSON form, so that both have the same keys in the
// same order without a second set of struct tags.
func printYAML(w io.Writer, o Options, r *Result) error {
	p, err := encodeJSON(o, newEnvelope(o, r))
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(p, &doc); err != nil {
		return fmt.Errorf("convert result to YAML: %w", err)
	}
	blockStyle(&doc)
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	_, err = w.Write(buf.Bytes())
	return err
}

// blockStyle turns the braces of JSON into YAML's indented form. Empty lists
// and maps keep theirs.
func blockStyle(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode || len(n.Content) > 0 {
		n.Style = 0
	}
	for _, child := range n.Content {
		blockStyle(child)
	}
}

// Fingerprint returns the result without its time stamp, for telling whether
// anything changed between two looks.
func Fingerprint(r *Result) (string, error) {
	o := Options{Compact: true, Now: func() time.Time { return time.Time{} }}
	p, err := encodeJSON(o, newEnvelope(o, r))
	return string(p), err
}
