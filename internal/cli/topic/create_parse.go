package topic

import (
	"strconv"
	"strings"

	"github.com/chronik-project/chronik/internal/cli/exit"
)

// parseConfigs reads KEY=VALUE items. The value may hold "=" and may be empty.
func parseConfigs(items []string) (map[string]string, error) {
	configs := make(map[string]string, len(items))
	for _, item := range items {
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, exit.Usagef("for example -c min.insync.replicas=2", "--config: %q is not KEY=VALUE", item)
		}
		if _, twice := configs[key]; twice {
			return nil, exit.Usagef("", "--config: %s is set twice", key)
		}
		configs[key] = value
	}
	return configs, nil
}

// parseAssignment reads Kafka's own form: partitions apart by commas, the
// brokers of each by colons. Every partition has as many replicas.
func parseAssignment(text string) ([][]int32, error) {
	if text == "" {
		return nil, nil // leave it to the brokers
	}
	const hint = "for example 1:2,2:3,3:1 is three partitions of two replicas"
	var assignment [][]int32
	for i, item := range strings.Split(text, ",") {
		seen := make(map[int32]bool)
		var replicas []int32
		for id := range strings.SplitSeq(item, ":") {
			n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
			if err != nil || n < 0 {
				return nil, exit.Usagef(hint, "--replica-assignment: partition %d: %q is not a broker id", i, id)
			}
			if seen[int32(n)] {
				return nil, exit.Usagef(hint, "--replica-assignment: partition %d: broker %d is named twice", i, n)
			}
			seen[int32(n)] = true
			replicas = append(replicas, int32(n))
		}
		if i > 0 && len(replicas) != len(assignment[0]) {
			return nil, exit.Usagef(hint, "--replica-assignment: partition %d has %d replicas, partition 0 has %d", i, len(replicas), len(assignment[0]))
		}
		assignment = append(assignment, replicas)
	}
	return assignment, nil
}
