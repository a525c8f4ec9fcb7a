package topic

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/settings"
	"github.com/chronik-project/chronik/internal/cli/spell"
	"github.com/chronik-project/chronik/internal/cluster"
)

// createOptions is the command line of topic create.
type createOptions struct {
	names       []string
	partitions  int32
	replication int16
	configs     []string
	assignment  string
	ifNotExists bool
	waitISR     bool
	dryRun      bool
}

func newCreate(g *globals.Globals) *cobra.Command {
	var o createOptions
	cmd := &cobra.Command{
		Use:   "create NAME...",
		Short: "Create topics, and wait until they can be used",
		Long: `Create topics, and wait until every partition has a leader; with --wait-isr
until every replica is in sync too, so that the first acks=all write already
has all its copies.

Without -p and -r the brokers decide. The settings of a chronik broker (-c):

` + settingsHelp(),
		Example: `  chronik topic create orders -p 6 -r 3
  chronik topic create orders -p 6 -r 3 -c min.insync.replicas=2 --wait-isr
  chronik topic create audit -c retention.ms=-1 --if-not-exists
  chronik topic create pinned --replica-assignment 1:2,2:3,3:1 --dry-run`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return create(cmd.Context(), g, o)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Int32VarP(&o.partitions, "partitions", "p", 0, "`N` partitions; 0 leaves it to the broker")
	fs.Int16VarP(&o.replication, "replication-factor", "r", 0, "`N` replicas of each partition; 0 leaves it to the broker")
	fs.StringArrayVarP(&o.configs, "config", "c", nil, "set a topic `KEY=VALUE`; may be repeated")
	fs.StringVar(&o.assignment, "replica-assignment", "", "brokers of each partition, preferred leader first, as `B:B:B,...`")
	fs.BoolVar(&o.ifNotExists, "if-not-exists", false, "succeed when the topic exists")
	fs.BoolVar(&o.waitISR, "wait-isr", false, "wait until every replica is in sync")
	fs.BoolVar(&o.dryRun, "dry-run", false, "let the broker check the request, create nothing")
	settings.Alias(fs, "replicas", "replication-factor")
	settings.Alias(fs, "topic-config", "config")
	if err := cmd.RegisterFlagCompletionFunc("config", completeConfig); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// settingsHelp lists the topic settings of a chronik broker.
func settingsHelp() string {
	var b strings.Builder
	for _, key := range cluster.TopicConfigKeys() {
		fmt.Fprintf(&b, "  %s\n      %s", key.Name, key.Doc)
		if key.Default != "" {
			fmt.Fprintf(&b, " Default: %s.", key.Default)
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func completeConfig(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var keys []string
	for _, key := range cluster.TopicConfigKeys() {
		keys = append(keys, cobra.CompletionWithDesc(key.Name+"=", key.Doc))
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// specs turns the command line into one specification a topic.
func (o createOptions) specs() ([]admin.TopicSpec, error) {
	configs, err := parseConfigs(o.configs)
	if err != nil {
		return nil, err
	}
	assignment, err := parseAssignment(o.assignment)
	if err != nil {
		return nil, err
	}
	if len(assignment) > 0 && (o.partitions > 0 || o.replication > 0) {
		return nil, exit.Usagef("", "--replica-assignment says both, leave out --partitions and --replication-factor")
	}
	if o.partitions < 0 || o.replication < 0 {
		return nil, exit.Usagef("0 leaves it to the broker", "--partitions and --replication-factor cannot be negative")
	}
	specs := make([]admin.TopicSpec, len(o.names))
	for i, name := range o.names {
		specs[i] = admin.TopicSpec{
			Name: name, Partitions: o.partitions, ReplicationFactor: o.replication,
			Configs: configs, Assignment: assignment,
		}
	}
	return specs, nil
}

func create(ctx context.Context, g *globals.Globals, o createOptions) error {
	specs, err := o.specs()
	if err != nil {
		return err
	}
	var r *out.Result
	err = g.With(ctx, func(ctx context.Context, client *admin.Client) error {
		var created []admin.CreatedTopic
		failed := each(ctx, specs, func(spec admin.TopicSpec) (string, error) {
			t, err := createOne(ctx, g, client, o, spec)
			if err == nil || t.Created {
				created = append(created, t)
			}
			return spec.Name, err
		})
		if err := failed.alone(len(o.names)); err != nil {
			return withCreateHint(ctx, client, o, err)
		}
		clusterID, err := client.ClusterID(ctx)
		r = createdResult(clusterID, created, failed.failures)
		return err
	})
	if err != nil {
		return err
	}
	return g.Print(r)
}

func createOne(ctx context.Context, g *globals.Globals, client *admin.Client, o createOptions, spec admin.TopicSpec) (admin.CreatedTopic, error) {
	t, err := client.CreateTopic(ctx, spec, o.dryRun)
	if o.ifNotExists && errors.Is(err, admin.ErrTopicExists) {
		if t, err = existing(ctx, g, client, spec, o.dryRun); err != nil {
			return t, err
		}
	}
	if err != nil || o.dryRun {
		return t, err
	}
	ready, err := client.WaitTopic(ctx, spec.Name, t.Partitions, o.waitISR)
	t.Partitions, t.Leaders, t.FullISR = max(t.Partitions, ready.Partitions), ready.Leaders, ready.FullISR
	return t, err
}

// existing describes the topic that is there already, and warns when it is not
// the one that was asked for.
func existing(ctx context.Context, g *globals.Globals, client *admin.Client, spec admin.TopicSpec, dryRun bool) (admin.CreatedTopic, error) {
	have, err := client.LookupTopic(ctx, spec.Name)
	if err != nil {
		return admin.CreatedTopic{}, err
	}
	if spec.Partitions > 0 && int(spec.Partitions) != have.Partitions {
		g.Notef("topic %q exists with %d partitions, not %d", spec.Name, have.Partitions, spec.Partitions)
	}
	if spec.ReplicationFactor > 0 && int(spec.ReplicationFactor) != have.ReplicationFactor {
		g.Notef("topic %q exists with %d replicas, not %d", spec.Name, have.ReplicationFactor, spec.ReplicationFactor)
	}
	return admin.CreatedTopic{
		Topic: have.Topic, TopicID: have.TopicID, DryRun: dryRun,
		Partitions: have.Partitions, ReplicationFactor: have.ReplicationFactor,
	}, nil
}

// Codes of CreateTopics that deserve a hint with a number or a name in it.
const (
	codeInvalidReplication = "INVALID_REPLICATION_FACTOR"
	codeInvalidConfig      = "INVALID_CONFIG"
)

// withCreateHint adds what to do next where the answer depends on the cluster
// or on what was typed.
func withCreateHint(ctx context.Context, client *admin.Client, o createOptions, err error) error {
	cause, ok := admin.CauseOf(err)
	if !ok {
		return err
	}
	switch cause.Name {
	case codeInvalidReplication:
		if brokers, brokersErr := client.Brokers(ctx); brokersErr == nil {
			return &exit.Error{
				Status: exit.Failed, Err: err,
				Hint: fmt.Sprintf("the cluster has %d brokers now: -r %d is the most", len(brokers), len(brokers)),
			}
		}
	case codeInvalidConfig:
		if hint := configHint(o.configs); hint != "" {
			return &exit.Error{Status: exit.Failed, Err: err, Hint: hint}
		}
	}
	return err
}

// configHint suggests the key that was meant.
func configHint(configs []string) string {
	var keys []string
	for _, key := range cluster.TopicConfigKeys() {
		keys = append(keys, key.Name)
	}
	for _, config := range configs {
		key, _, _ := strings.Cut(config, "=")
		if near := spell.Nearest(key, keys); near != "" && near != key {
			return fmt.Sprintf("did you mean %s?", near)
		}
	}
	return ""
}
