package admin

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
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

// topicConfigs returns the settings of topics. With an error it returns what
// could be read all the same.
func (c *Client) topicConfigs(ctx context.Context, names []string) (map[string][]Config, error) {
	if len(names) == 0 {
		return nil, nil // nothing asked, nothing known
	}
	answer, err := c.any(ctx, func() kmsg.Request { return configsRequest(names) })
	if err != nil {
		return nil, c.connectError(ctx, err)
	}
	all := make(map[string][]Config, len(names))
	var failed error
	for _, resource := range answer.(*kmsg.DescribeConfigsResponse).Resources {
		if err := codeError(topicSubject(resource.ResourceName), resource.ErrorCode, resource.ErrorMessage); err != nil {
			failed = err
			continue
		}
		all[resource.ResourceName] = configRows(resource.Configs)
	}
	return all, failed
}

func configsRequest(names []string) kmsg.Request {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
		req.Resources = append(req.Resources, resource)
	}
	return req
}

func configRows(configs []kmsg.DescribeConfigsResponseResourceConfig) []Config {
	rows := make([]Config, 0, len(configs))
	for _, config := range configs {
		row := Config{Name: config.Name, Value: config.Value, Source: "default", Default: true}
		switch config.Source {
		case kmsg.ConfigSourceDynamicTopicConfig:
			row.Source, row.Default = "topic", false
		case kmsg.ConfigSourceDynamicBrokerConfig, kmsg.ConfigSourceDynamicDefaultBrokerConfig, kmsg.ConfigSourceStaticBrokerConfig:
			row.Source = "broker"
		default:
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Config) int { return strings.Compare(a.Name, b.Name) })
	return rows
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
