package admin

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// minInsyncKey is the topic setting that says how many replicas must hold a
// record before acks=all is answered.
const minInsyncKey = "min.insync.replicas"

// Config is one setting of a topic.
type Config struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`  // null: the broker keeps it secret
	Source string  `json:"source"` // topic, broker, default
	// Default reports whether nobody has set it for this topic.
	Default bool `json:"default"`
}

// topicConfigs returns the settings of topics, or why they cannot be read.
func (c *Client) topicConfigs(ctx context.Context, names []string) (map[string][]Config, error) {
	if len(names) == 0 {
		return nil, nil // nothing asked, nothing known
	}
	described, err := c.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil && len(described) == 0 {
		return nil, c.connectError(ctx, err)
	}
	all := make(map[string][]Config, len(described))
	var failed error
	for _, resource := range described {
		if resource.Err != nil {
			failed = &Error{Subject: topicSubject(resource.Name), Message: resource.ErrMessage, Err: resource.Err}
			continue
		}
		all[resource.Name] = configRows(resource.Configs)
	}
	return all, failed
}

func configRows(configs []kadm.Config) []Config {
	rows := make([]Config, 0, len(configs))
	for _, config := range configs {
		source, isDefault := configSource(config)
		rows = append(rows, Config{Name: config.Key, Value: config.Value, Source: source, Default: isDefault})
	}
	slices.SortFunc(rows, func(a, b Config) int { return strings.Compare(a.Name, b.Name) })
	return rows
}

func configSource(config kadm.Config) (source string, isDefault bool) {
	switch name := config.Source.String(); name {
	case "DYNAMIC_TOPIC_CONFIG":
		return "topic", false
	case "DYNAMIC_BROKER_CONFIG", "DYNAMIC_DEFAULT_BROKER_CONFIG", "STATIC_BROKER_CONFIG":
		return "broker", true
	default:
		return "default", true
	}
}

// minInsync returns the setting, or nil when it is not among them.
func minInsync(configs []Config) *int {
	for _, config := range configs {
		if config.Name == minInsyncKey && config.Value != nil {
			return parseInt(*config.Value)
		}
	}
	return nil
}

func parseInt(s string) *int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil
	}
	return &n
}
