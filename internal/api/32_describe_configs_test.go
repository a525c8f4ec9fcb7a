package api

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/cluster"
)

func describeConfigs(b *bed, version int16, kind kmsg.ConfigResourceType, name string, keys ...string) kmsg.DescribeConfigsResponseResource {
	b.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	return only(b.t, ask[*kmsg.DescribeConfigsResponse](b, req, version).Resources)
}

func TestDescribeTopicConfigs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.topic("orders", map[string]string{cluster.ConfigRetentionMillis: "1000"}, []cluster.BrokerID{1, 2, 3})
		for _, version := range versions(t, 32, 0) {
			got := describeConfigs(b, version, kmsg.ConfigResourceTypeTopic, "orders")
			wantCode(t, fmt.Sprintf("v%d", version), got.ErrorCode, codeNone)
			if len(got.Configs) != len(cluster.TopicConfigKeys()) {
				t.Errorf("v%d: %d configurations, want all %d", version, len(got.Configs), len(cluster.TopicConfigKeys()))
			}
			for _, c := range got.Configs {
				switch c.Name {
				case cluster.ConfigRetentionMillis:
					if text(c.Value) != "1000" || c.Source != kmsg.ConfigSourceDynamicTopicConfig || len(c.ConfigSynonyms) != 2 ||
						text(c.ConfigSynonyms[1].Value) != "604800000" || version >= 3 && c.ConfigType != kmsg.ConfigTypeLong {
						t.Errorf("v%d: %s: %+v", version, c.Name, c)
					}
				case cluster.ConfigMinInsyncReplicas:
					if text(c.Value) != "2" || c.Source != kmsg.ConfigSourceDefaultConfig || len(c.ConfigSynonyms) != 1 {
						t.Errorf("v%d: %s: %+v, want the default for three replicas", version, c.Name, c)
					}
				}
				if hasDoc := text(c.Documentation) != ""; hasDoc != (version >= 3) {
					t.Errorf("v%d: %s has documentation: %v", version, c.Name, hasDoc)
				}
			}
		}
	})
}

func TestDescribeConfigsSelects(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		kind     kmsg.ConfigResourceType
		resource string
		keys     []string
		want     code
		configs  int
	}{
		{name: "one key of a topic", kind: kmsg.ConfigResourceTypeTopic, resource: "orders", keys: []string{cluster.ConfigFlush}, configs: 1},
		{name: "no key of a topic", kind: kmsg.ConfigResourceTypeTopic, resource: "orders", keys: []string{}},
		{name: "unknown topic", kind: kmsg.ConfigResourceTypeTopic, resource: "nowhere", want: codeUnknownTopicOrPartition},
		{name: "invalid topic", kind: kmsg.ConfigResourceTypeTopic, resource: "", want: codeInvalidTopic},
		{name: "this broker", kind: kmsg.ConfigResourceTypeBroker, resource: "1", configs: 2},
		{name: "defaults of all brokers", kind: kmsg.ConfigResourceTypeBroker, resource: ""},
		{name: "another broker", kind: kmsg.ConfigResourceTypeBroker, resource: "2", want: codeInvalidRequest},
		{name: "no broker", kind: kmsg.ConfigResourceTypeBroker, resource: "x", want: codeInvalidRequest},
		{name: "loggers", kind: kmsg.ConfigResourceTypeBrokerLogger, resource: "1", want: codeInvalidRequest},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, func(o *Options) {
			o.BrokerConfigs = func() []BrokerConfig {
				return []BrokerConfig{{Name: "listen", Value: "x:1", Doc: "Where."}, {Name: "rack", Default: true}}
			}
		})
		b.topic("orders", nil, []cluster.BrokerID{1})
		for _, tt := range tests {
			got := describeConfigs(b, 4, tt.kind, tt.resource, tt.keys...)
			if tt.keys != nil && len(tt.keys) == 0 {
				req := kmsg.NewPtrDescribeConfigsRequest()
				req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: tt.kind, ResourceName: tt.resource, ConfigNames: tt.keys}}
				got = only(t, ask[*kmsg.DescribeConfigsResponse](b, req, 4).Resources)
			}
			wantCode(t, tt.name, got.ErrorCode, tt.want)
			if len(got.Configs) != tt.configs {
				t.Errorf("%s: %d configurations, want %d", tt.name, len(got.Configs), tt.configs)
			}
			if (got.ErrorMessage != nil) != (tt.want != codeNone) {
				t.Errorf("%s: message %q", tt.name, text(got.ErrorMessage))
			}
		}
		broker := describeConfigs(b, 4, kmsg.ConfigResourceTypeBroker, "1")
		if c := broker.Configs[0]; !c.ReadOnly || text(c.Value) != "x:1" || c.Source != kmsg.ConfigSourceStaticBrokerConfig {
			t.Errorf("listen: %+v, want it read-only and static", c)
		}
	})
}
