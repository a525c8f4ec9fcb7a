package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/wire"
)

// DescribeConfigs: v1-4
//
// Behavior:
//   - Topics show what was set on them, and the default of everything else. The
//     default of min.insync.replicas follows the replication factor.
//   - This broker shows the settings it was started with, read-only. A broker
//     answers for itself only; the empty name, the cluster's default, has none.
//
// Version notes:
//   - v1: source and synonyms
//   - v3: type and documentation
//   - v4: flexible
func (t *Table) describeConfigs(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.DescribeConfigsRequest)
	resp := respond[*kmsg.DescribeConfigsResponse](req)
	for i := range body.Resources {
		asked := &body.Resources[i]
		configs, err := t.resourceConfigs(asked)
		answer := kmsg.DescribeConfigsResponseResource{
			ErrorCode: int16(codeOf(err)), ErrorMessage: message(err),
			ResourceType: asked.ResourceType, ResourceName: asked.ResourceName,
		}
		for _, c := range configs {
			if asked.ConfigNames == nil || slices.Contains(asked.ConfigNames, c.name) {
				answer.Configs = append(answer.Configs, c.response(body))
			}
		}
		resp.Resources = append(resp.Resources, answer)
	}
	return wire.Now(resp), nil
}

// described is one configuration of one resource.
type described struct {
	name, value string
	set         bool // on the resource itself; else the value is the default
	readOnly    bool
	setSource   kmsg.ConfigSource // of a value that is set
	kind        kmsg.ConfigType
	doc         string
	fallback    string // the default, for synonyms
}

func (t *Table) resourceConfigs(asked *kmsg.DescribeConfigsRequestResource) ([]described, error) {
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		return topicConfigs(t.o.Metadata.Image(), asked.ResourceName)
	case kmsg.ConfigResourceTypeBroker:
		return t.brokerConfigs(asked.ResourceName)
	default:
		return nil, fmt.Errorf("resource type %d has no configurations: %w", asked.ResourceType, cluster.ErrInvalidRequest)
	}
}

func topicConfigs(img *cluster.Image, name string) ([]described, error) {
	if err := cluster.ValidateTopicName(name); err != nil {
		return nil, err
	}
	topic := topicByName(img, name)
	if topic == nil {
		return nil, fmt.Errorf("topic %q: %w", name, cluster.ErrUnknownTopic)
	}
	unset := &cluster.Topic{Partitions: topic.Partitions}
	var configs []described
	for _, key := range cluster.TopicConfigKeys() {
		value, set := topic.ConfigValue(key.Name)
		fallback, _ := unset.ConfigValue(key.Name)
		configs = append(configs, described{
			name: key.Name, value: value, set: set, fallback: fallback,
			setSource: kmsg.ConfigSourceDynamicTopicConfig, kind: configType(key.Kind), doc: key.Doc,
		})
	}
	return configs, nil
}

func (t *Table) brokerConfigs(name string) ([]described, error) {
	if name == "" {
		return nil, nil
	}
	if id, err := strconv.Atoi(name); err != nil || cluster.BrokerID(id) != t.o.Self {
		return nil, fmt.Errorf("broker %q: this is broker %d, which answers for itself only: %w",
			name, t.o.Self, cluster.ErrInvalidRequest)
	}
	var configs []described
	for _, c := range t.o.BrokerConfigs() {
		configs = append(configs, described{
			name: c.Name, value: c.Value, set: !c.Default, readOnly: true, fallback: c.Value,
			setSource: kmsg.ConfigSourceStaticBrokerConfig, kind: kmsg.ConfigTypeString, doc: c.Doc,
		})
	}
	return configs, nil
}

func (d *described) response(body *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.DescribeConfigsResponseResourceConfig{
		Name: d.name, Value: &d.value, ReadOnly: d.readOnly, IsDefault: !d.set,
		Source: kmsg.ConfigSourceDefaultConfig, ConfigType: d.kind,
	}
	if d.set {
		c.Source = d.setSource
	}
	if body.IncludeDocumentation {
		c.Documentation = &d.doc
	}
	if body.IncludeSynonyms {
		if d.set {
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(d.name, d.value, d.setSource))
		}
		c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(d.name, d.fallback, kmsg.ConfigSourceDefaultConfig))
	}
	return c
}

func synonym(name, value string, source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	return kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{Name: name, Value: &value, Source: source}
}

// configSource is the source of a topic's configuration.
func configSource(set bool) kmsg.ConfigSource {
	if set {
		return kmsg.ConfigSourceDynamicTopicConfig
	}
	return kmsg.ConfigSourceDefaultConfig
}

func configType(kind cluster.ConfigKind) kmsg.ConfigType {
	switch kind {
	case cluster.KindBoolean:
		return kmsg.ConfigTypeBoolean
	case cluster.KindInt:
		return kmsg.ConfigTypeInt
	case cluster.KindLong:
		return kmsg.ConfigTypeLong
	case cluster.KindList:
		return kmsg.ConfigTypeList
	case cluster.KindString:
		return kmsg.ConfigTypeString
	default:
		return kmsg.ConfigTypeString
	}
}
