package compare

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Difference is a setting or a fact that is not the same on every side.
type Difference struct {
	Field string `json:"field"`
	// Values has one entry for each side; runs of a side that differ have theirs
	// with " | " between.
	Values []string `json:"values"`
}

// ownOfARun are facts that differ between any two runs.
var ownOfARun = []string{
	"settings.seed", "client.load_start", "client.load_end", "client.gc_count", "client.gc_pause_us",
	"cluster.controller", "topic.name", "topic.id",
}

// ownOfABroker are facts of single brokers that two clusters on the same machine
// differ in, and that say nothing about speed.
var ownOfABroker = []string{"port", "data_dir"}

// alike are the facts that are worth saying when they do not differ.
var alike = []struct {
	name   string
	fields []string
}{
	{"host", []string{"client.cpu_model", "client.cpus", "client.memory_bytes", "client.os", "client.arch"}},
	{"kernel", []string{"client.kernel"}},
	{"cluster", []string{"cluster.id"}},
	{"brokers' APIs", []string{"cluster.brokers"}},
	{"topic layout", []string{"topic.partitions", "topic.replication_factor", "topic.min_insync_replicas", "topic.flush", "topic.configs"}},
	{"load", []string{"settings."}},
}

// configDiff compares settings and environments.
func configDiff(sides []Side) (differences []Difference, same []string) {
	differences, same = []Difference{}, []string{}
	var facts []map[string]string // by side
	fields := map[string]bool{}
	for _, side := range sides {
		of := factsOf(side)
		facts = append(facts, of)
		for field := range of {
			fields[field] = true
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		d := Difference{Field: field}
		for _, of := range facts {
			value, ok := of[field]
			if !ok {
				value = "-"
			}
			d.Values = append(d.Values, value)
		}
		if slices.ContainsFunc(d.Values, func(v string) bool { return v != d.Values[0] }) {
			differences = append(differences, d)
		}
	}
	for _, group := range alike {
		if !slices.ContainsFunc(differences, func(d Difference) bool {
			return slices.ContainsFunc(group.fields, func(prefix string) bool { return strings.HasPrefix(d.Field, prefix) })
		}) {
			same = append(same, group.name)
		}
	}
	return differences, same
}

// factsOf flattens what is known of a side's runs.
func factsOf(side Side) map[string]string {
	var all map[string]string
	for i, run := range side.Runs {
		env := run.Report.Environment
		facts := map[string]string{}
		for prefix, v := range map[string]any{
			"settings": run.Report.Settings, "client": env.Client, "cluster": env.Cluster, "topic": env.Topic,
		} {
			flatten(facts, prefix, tree(v))
		}
		facts["load"] = run.Report.Load
		for field := range facts {
			if slices.Contains(ownOfARun, field) {
				delete(facts, field)
			}
		}
		if i == 0 {
			all = facts
			continue
		}
		for field, value := range facts {
			if before, ok := all[field]; !ok {
				all[field] = "- | " + value
			} else if !slices.Contains(strings.Split(before, " | "), value) {
				all[field] = before + " | " + value
			}
		}
	}
	return all
}

// tree is v as JSON has it.
func tree(v any) any {
	p, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a report does not encode: %v", err)) // it came out of JSON
	}
	var t any
	if err := json.Unmarshal(p, &t); err != nil {
		panic(fmt.Sprintf("a report does not decode: %v", err))
	}
	return t
}

func flatten(into map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if strings.HasPrefix(path, "cluster.brokers") && slices.Contains(ownOfABroker, key) {
				continue
			}
			flatten(into, path+"."+key, value)
		}
	case []any:
		into[path+".count"] = strconv.Itoa(len(v))
		for i, value := range v {
			flatten(into, path+"."+strconv.Itoa(i), value)
		}
	case float64:
		into[path] = strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		into[path] = "unknown"
	default:
		into[path] = fmt.Sprint(v)
	}
}
