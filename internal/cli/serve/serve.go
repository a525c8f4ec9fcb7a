// Package serve is the "chronik server" command: flags, environment and file
// become a server.Config, which package server runs.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/settings"
	"github.com/chronik-project/chronik/internal/cli/size"
	"github.com/chronik-project/chronik/internal/cluster"
	"github.com/chronik-project/chronik/internal/server"
)

// Runner runs a broker until ctx ends: server.Run, or a test's own.
type Runner func(ctx context.Context, c server.Config) error

// NewCommand returns the server command and its verbs. version is what the
// broker says of itself.
func NewCommand(g *globals.Globals, version string, run Runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "server <command>",
		Short:   "Run a broker, and explain its configuration",
		Long:    "Run a broker, and explain its configuration.",
		Example: "  chronik server start",
	}
	cmd.AddCommand(newStart(g, version, run), newConfig(g, version))
	return cmd
}

// startOptions is the command line of server start.
type startOptions struct {
	nodeID       int32
	dataDir      string
	listen       string
	advertise    string
	peerListen   string
	httpListen   string
	peers        []string
	rack         string
	insecure     bool
	autoCreate   string
	memory       size.Bytes
	walFile      size.Bytes
	scrubRate    size.Bytes
	drainTimeout time.Duration
	logFormat    string
	logLevel     string
}

const startLong = `Run a broker until SIGINT or SIGTERM. Without a flag it is a cluster of its
own, ready in a moment; with --peers it is one of several, started in any order.

One line on standard output says when the broker serves; the log goes to
standard error.

Every flag can be set in the environment, as CHRONIK_ and its name in capitals
with _ for -, and in the YAML file that --config names, with _ for -. A flag
wins over the environment, the environment over the file. Unknown keys are
errors. "chronik server config" shows every value and where it comes from.`

const startExample = `  chronik server start
  chronik server start --config /etc/chronik/broker.yaml
  chronik server start --node-id 2 --data-dir d2 \
    --listen 127.0.0.1:9093 --peer-listen 127.0.0.1:9193 --http-listen 127.0.0.1:9293 \
    --peers 1@127.0.0.1:9192,2@127.0.0.1:9193,3@127.0.0.1:9194`

func newStart(g *globals.Globals, version string, run Runner) *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use:               "start",
		Short:             "Run a broker",
		Long:              startLong,
		Example:           startExample,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return start(cmd.Context(), g, o, version, run)
		},
	}
	o.bind(cmd.Flags())
	completeValues(cmd)
	return cmd
}

// bind adds the flags of a broker. Their defaults are those of server.Config.
func (o *startOptions) bind(fs *pflag.FlagSet) {
	d := server.Config{}.WithDefaults()
	o.memory, o.walFile, o.scrubRate = size.Bytes(d.MemoryBytes), size.Bytes(d.WALFileBytes), size.Bytes(d.ScrubBytesPerSecond)
	fs.SortFlags = false
	settings.BindFile(fs)
	fs.Int32Var(&o.nodeID, "node-id", int32(d.NodeID), "this broker's `ID` in the cluster")
	fs.StringVar(&o.dataDir, "data-dir", d.DataDir, "keep everything in `DIR`")
	fs.StringVar(&o.listen, "listen", d.Listen, "`HOST:PORT` that clients connect to")
	fs.StringVar(&o.advertise, "advertise", "", "`HOST:PORT` that clients are told (default --listen)")
	fs.StringVar(&o.peerListen, "peer-listen", "", "`HOST:PORT` that other brokers connect to (default port 9192 on the host of --listen)")
	fs.StringVar(&o.httpListen, "http-listen", d.HTTPListen, "`HOST:PORT` of health, readiness and metrics; none turns it off")
	fs.StringSliceVar(&o.peers, "peers", nil, "all brokers, this one too, by peer port: `ID@HOST:PORT,...`")
	fs.StringVar(&o.rack, "rack", "", "`NAME` of the place of this broker; replicas are spread over racks")
	fs.BoolVar(&o.insecure, "insecure-peers", false, "allow a peer port that other machines can reach, without authentication")
	fs.StringVar(&o.autoCreate, "auto-create-topics", "auto", "`WHEN` to create topics that clients ask for: true, false, or auto, which is only without --peers")
	fs.Var(&o.memory, "memory", "`SIZE` of the memory for recent batches, write buffers, requests and fetch responses, such as 512MiB")
	fs.Var(&o.walFile, "wal-file-size", "`SIZE` of a file of the write-ahead log")
	fs.Var(&o.scrubRate, "scrub-rate", "check at most `SIZE` of the stored records for damage per second, in the background; 0 turns it off")
	fs.DurationVar(&o.drainTimeout, "drain-timeout", d.DrainTimeout, "longest `DURATION` that a stop waits for leaderships to move")
	fs.StringVar(&o.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
	fs.StringVar(&o.logLevel, "log-level", "info", "log from this `LEVEL` on: debug, info, warn or error")
}

// completeValues completes flags with a fixed choice, and says which flags
// name files.
func completeValues(cmd *cobra.Command) {
	choice := func(values ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
	}
	complete := map[string]cobra.CompletionFunc{
		"log-format":         choice("text", "json"),
		"log-level":          choice("debug", "info", "warn", "error"),
		"auto-create-topics": choice("auto", "true", "false"),
		"config": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		"data-dir": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		fn := complete[flag.Name]
		if fn == nil {
			fn = cobra.NoFileCompletions
		}
		if err := cmd.RegisterFlagCompletionFunc(flag.Name, fn); err != nil {
			panic(err) // the flag exists: it was visited
		}
	})
}

// config turns the options into what the server takes, with its defaults, and
// checks it.
func (o startOptions) config() (server.Config, error) {
	peers, err := server.ParsePeers(strings.Join(o.peers, ","))
	if err != nil {
		return server.Config{}, exit.Usagef("list every broker: 1@host1:9192,2@host2:9192,3@host3:9192", "--peers: %w", err)
	}
	if o.nodeID < 0 {
		return server.Config{}, exit.Usagef("use 1, 2, 3, …", "--node-id: %d is negative", o.nodeID)
	}
	autoCreate, err := o.autoCreateTopics()
	if err != nil {
		return server.Config{}, err
	}
	c := server.Config{
		NodeID: cluster.BrokerID(o.nodeID), DataDir: o.dataDir, Listen: o.listen, Advertise: o.advertise,
		PeerListen: o.peerListen, HTTPListen: o.httpListen, Peers: peers, Rack: o.rack, InsecurePeers: o.insecure,
		AutoCreateTopics: autoCreate, MemoryBytes: int64(o.memory), WALFileBytes: int64(o.walFile), ScrubBytesPerSecond: int64(o.scrubRate), DrainTimeout: o.drainTimeout,
	}.WithDefaults()
	if o.scrubRate == 0 {
		c.ScrubBytesPerSecond = -1
	}
	return c, usage(c.Validate())
}

// autoCreateTopics returns nil for auto.
func (o startOptions) autoCreateTopics() (*bool, error) {
	yes := o.autoCreate == "true"
	switch o.autoCreate {
	case "auto", "":
		return nil, nil // the server decides
	case "true", "false":
		return &yes, nil
	default:
		return nil, exit.Usagef("", "--auto-create-topics: %q is not true, false or auto", o.autoCreate)
	}
}

// usage names the flag of a configuration error and adds its hint.
func usage(err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*server.ConfigError](err); ok {
		return exit.Usagef(own.Hint, "--%w", own)
	}
	return exit.Usagef("", "%w", err)
}

func start(ctx context.Context, g *globals.Globals, o startOptions, version string, run Runner) error {
	c, err := o.config()
	if err != nil {
		return err
	}
	if c.Logger, err = o.logger(g.Err); err != nil {
		return err
	}
	c.Version, c.Ready = version, g.Out
	err = run(ctx, c)
	if own, ok := errors.AsType[*server.StartError](err); ok {
		return &exit.Error{Status: exit.Failed, Err: fmt.Errorf("broker %d: %w", c.NodeID, err), Hint: own.Hint}
	}
	if _, ok := errors.AsType[*server.ConfigError](err); ok {
		return usage(err)
	}
	if err != nil {
		return fmt.Errorf("broker %d: %w", c.NodeID, err)
	}
	return nil
}

func (o startOptions) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, exit.Usagef("", "--log-level: %q is not debug, info, warn or error", o.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, exit.Usagef("", "--log-format: %q is not text or json", o.logFormat)
	}
}
