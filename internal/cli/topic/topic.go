// Package topic is the "chronik topic" command: one file a verb. A verb binds
// flags, calls package admin, and hands one result to the screen.
package topic

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/out"
)

// NewCommand returns the topic command and its verbs.
func NewCommand(g *globals.Globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "topic <command>",
		Aliases: []string{"topics"},
		Short:   "Create, list, describe and delete topics",
		Long:    "Create, list, describe and delete topics, on any Kafka-compatible cluster.",
		Example: `  chronik topic create orders -p 6 -r 3
  chronik topic list
  chronik topic describe orders`,
	}
	cmd.AddCommand(newCreate(g), newList(g), newDescribe(g), newDelete(g))
	return cmd
}

// counter collects what became of each of several topics.
type counter struct {
	failures []out.Failure
	lastErr  error
}

func (c *counter) fail(topic string, err error) {
	c.failures = append(c.failures, globals.FailureOf(topicSubject(topic), err))
	c.lastErr = err
}

// alone returns the error when it is all there is to say: one topic was asked
// for, and failed. It then reads like the failure of the command.
func (c *counter) alone(topics int) error {
	if topics == 1 && len(c.failures) == 1 {
		return c.lastErr
	}
	return nil
}

func topicSubject(name string) string { return "topic \"" + name + "\"" }

// each calls do for every item until ctx ends. do returns the topic's name.
func each[T any](ctx context.Context, items []T, do func(T) (string, error)) counter {
	var c counter
	for _, item := range items {
		name, err := do(item)
		if err != nil {
			c.fail(name, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return c
}

// known returns the topic of that name in a list.
func known(list admin.TopicList, name string) (admin.Topic, bool) {
	for _, t := range list.Topics {
		if t.Topic == name {
			return t, true
		}
	}
	return admin.Topic{}, false
}
