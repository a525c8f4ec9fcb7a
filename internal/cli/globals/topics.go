package globals

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chronik-project/chronik/internal/cli/settings"
)

// A TAB must never feel broken: the cluster has completeBudget to answer, an
// answer is used again for completeFresh, and no answer for completeFailed, so
// that a cluster that is down costs one slow TAB and not one each.
const (
	completeBudget = 700 * time.Millisecond
	completeFresh  = 30 * time.Second
	completeFailed = 60 * time.Second
)

// completion is what the cache remembers of one cluster.
type completion struct {
	At     time.Time `json:"at"`
	Topics []string  `json:"topics"`
	Failed string    `json:"failed,omitempty"` // why the last question got no answer
}

// CompleteTopics completes topic names.
func (g *Globals) CompleteTopics(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	// Completion runs without the hooks of a command.
	if _, err := settings.Apply(cmd.Root().PersistentFlags(), nil); err != nil {
		return cobra.AppendActiveHelp(nil, err.Error()), cobra.ShellCompDirectiveNoFileComp
	}
	c := g.topicNames(cmd.Context())
	var names []string
	for _, name := range c.Topics {
		if strings.HasPrefix(name, toComplete) && !slices.Contains(args, name) {
			names = append(names, name)
		}
	}
	if help := c.help(g.Seeds, g.Clock()); help != "" {
		names = cobra.AppendActiveHelp(names, help)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// help says where the names come from when they are not from just now.
func (c completion) help(seeds []string, now time.Time) string {
	switch {
	case c.Failed != "" && len(c.Topics) > 0:
		return fmt.Sprintf("topic names of %s may be old: %s", strings.Join(seeds, ","), c.Failed)
	case c.Failed != "":
		return fmt.Sprintf("no topic names from %s: %s (asking again in %s)",
			strings.Join(seeds, ","), c.Failed, (completeFailed - now.Sub(c.At)).Round(time.Second))
	default:
		return ""
	}
}

// topicNames returns cached names while they are fresh, else asks.
func (g *Globals) topicNames(ctx context.Context) completion {
	path := g.completionFile()
	cached := readCompletion(path)
	age := g.Clock().Sub(cached.At)
	if cached.Failed == "" && age >= 0 && age < completeFresh {
		return cached
	}
	if cached.Failed != "" && age >= 0 && age < completeFailed {
		return cached
	}
	ctx, cancel := context.WithTimeout(ctx, completeBudget)
	defer cancel()
	fresh := completion{At: g.Clock()}
	client, err := g.Connect(ctx)
	if err == nil {
		defer client.Close()
		fresh.Topics, err = client.TopicNames(ctx)
	}
	if err != nil {
		fresh.Topics = cached.Topics // stale names are better than none
		fresh.Failed = firstLine(err.Error())
	}
	writeCompletion(path, fresh)
	return fresh
}

// completionFile is the cache of the cluster that the flags name; empty when
// there is no place for one.
func (g *Globals) completionFile() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	key := sha256.Sum256([]byte(strings.Join(g.Seeds, ",") + "\x00" + g.Security.User))
	return filepath.Join(dir, "chronik", "topics-"+hex.EncodeToString(key[:8])+".json")
}

// readCompletion returns the zero value when there is no usable cache.
func readCompletion(path string) completion {
	p, err := os.ReadFile(path)
	if err != nil {
		return completion{}
	}
	var c completion
	if json.Unmarshal(p, &c) != nil {
		return completion{}
	}
	return c
}

// writeCompletion does its best: without a cache the next TAB asks again.
func writeCompletion(path string, c completion) {
	p, err := json.Marshal(c)
	if path == "" || err != nil || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	scratch := path + ".tmp"
	if os.WriteFile(scratch, p, 0o600) == nil {
		_ = os.Rename(scratch, path)
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
