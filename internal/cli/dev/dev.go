// Package dev is the "chronik dev" command: clusters of real brokers on this
// machine, to try things out and to watch them fail.
package dev

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/devcluster"
)

// NewCommand returns the dev command and its verbs. version is chronik's own,
// which the demo's benchmark names.
func NewCommand(g *globals.Globals, version string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev <command>",
		Short: "Run a cluster on this machine to try things out",
		Long: `Run a cluster of real broker processes on this machine: the same executable,
on free loopback ports.`,
		Example: `  chronik dev up
  chronik dev demo`,
	}
	cmd.AddCommand(newUp(g), newDemo(g, version))
	return cmd
}

// parseSeeds reads TOPIC[:PARTITIONS[:REPLICAS]] items.
func parseSeeds(items []string) ([]admin.TopicSpec, error) {
	var specs []admin.TopicSpec
	for _, item := range items {
		fields := strings.Split(item, ":")
		if fields[0] == "" || len(fields) > 3 {
			return nil, exit.Usagef("for example orders:6:3", "--seed-topic: %q is not TOPIC[:PARTITIONS[:REPLICAS]]", item)
		}
		spec := admin.TopicSpec{Name: fields[0]}
		for i, field := range fields[1:] {
			n, err := strconv.ParseInt(field, 10, 16)
			if err != nil || n < 1 {
				return nil, exit.Usagef("for example orders:6:3", "--seed-topic: %q: %q is not a number from 1", item, field)
			}
			if i == 0 {
				spec.Partitions = int32(n)
			} else {
				spec.ReplicationFactor = int16(n)
			}
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// startError adds the end of the broker's log, which has the reason.
func startError(err error) error {
	broker, ok := errors.AsType[*devcluster.BrokerError](err)
	if !ok {
		return err
	}
	e := &exit.Error{Status: exit.Failed, Err: fmt.Errorf("start the cluster: %w", broker)}
	if broker.LogTail != "" {
		e.Details = append([]string{"the end of its log:"}, strings.Split(broker.LogTail, "\n")...)
	}
	return e
}
