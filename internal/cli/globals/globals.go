// Package globals is what every command shares: the streams, the flags that
// say which cluster and which format, and the way from them to a client and to
// the screen. Commands get one *Globals and bind nothing of their own twice.
package globals

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/exit"
	"github.com/chronik-project/chronik/internal/cli/out"
	"github.com/chronik-project/chronik/internal/cli/settings"
)

// IO is the three streams of a process.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// Globals are the global flags after parsing, and the streams. The flags are
// owned by the command line parser until the command runs, and constant after.
type Globals struct {
	IO

	// Seeds are the addresses of -B.
	Seeds []string
	// Timeout bounds one operation against the cluster.
	Timeout time.Duration
	// Security is how connections are made and who makes them.
	Security Security
	// View is how the result is shown.
	View View
	// Verbose sends the protocol log to stderr.
	Verbose bool
	// Settings is where each flag's value came from.
	Settings []settings.Setting

	// Dial opens connections to brokers; nil means the network. Tests set it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock; nil means time.Now. Tests set it.
	Now func() time.Time
}

// View is the part of the flags that says how a result is shown.
type View struct {
	Output    string
	Columns   []string
	NoHeaders bool
	Color     string
	Watch     time.Duration
}

// New returns globals on the given streams, with the defaults of every flag.
func New(stdio IO) *Globals {
	return &Globals{IO: stdio, Timeout: 30 * time.Second, View: View{Output: string(out.Table), Color: "auto"}}
}

// Bind adds the global flags to fs.
func (g *Globals) Bind(fs *pflag.FlagSet) {
	fs.StringSliceVarP(&g.Seeds, "bootstrap-server", "B", []string{admin.DefaultSeed}, "`HOST:PORT,...` of brokers to ask first")
	fs.StringVarP(&g.View.Output, "output", "o", g.View.Output, "output `FORMAT`: table, wide, json, yaml, tsv or name")
	fs.StringSliceVar(&g.View.Columns, "columns", nil, "print these `FIELDS`, comma-separated, in this order")
	fs.BoolVar(&g.View.NoHeaders, "no-headers", false, "leave out the header line of tables")
	fs.StringVar(&g.View.Color, "color", g.View.Color, "`WHEN` to use colours: auto, always or never")
	fs.DurationVar(&g.Timeout, "timeout", g.Timeout, "give up after this `DURATION`, with exit status 124")
	fs.BoolVarP(&g.Verbose, "verbose", "v", false, "log the requests to the brokers on stderr")
	g.Security.bind(fs)
	// What users of kafka-*.sh, rpk and kcl type without thinking.
	for alias, target := range map[string]string{
		"brokers": "bootstrap-server", "bootstrap-servers": "bootstrap-server", "format": "output",
	} {
		settings.Alias(fs, alias, target)
	}
}

// Validate checks what the parser could not.
func (g *Globals) Validate() error {
	if _, err := out.ParseFormat(g.View.Output); err != nil {
		return exit.Usagef("", "--output: %w", err)
	}
	switch g.View.Color {
	case "auto", "always", "never":
	default:
		return exit.Usagef("", "--color: %q is not auto, always or never", g.View.Color)
	}
	if g.Timeout <= 0 {
		return exit.Usagef("try --timeout 30s", "--timeout: %s is not a positive duration", g.Timeout)
	}
	return nil
}

// Format returns the output format. Validate has checked it.
func (g *Globals) Format() out.Format {
	f, err := out.ParseFormat(g.View.Output)
	if err != nil {
		return out.Table
	}
	return f
}

// Color reports whether colours belong on stdout.
func (g *Globals) Color() bool {
	switch g.View.Color {
	case "always":
		return true
	case "never":
		return false
	default:
		return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && IsTerminal(g.Out)
	}
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// AdminOptions returns how to reach the cluster the flags name.
func (g *Globals) AdminOptions() (admin.Options, error) {
	tlsConfig, err := g.Security.tlsConfig()
	if err != nil {
		return admin.Options{}, err
	}
	o := admin.Options{
		Seeds: g.Seeds,
		TLS:   tlsConfig,
		SASL:  admin.SASL{Mechanism: g.Security.Mechanism, User: g.Security.User, Password: g.Security.Password},
		Dial:  g.Dial,
	}
	if g.Verbose {
		o.Logger = slog.New(slog.NewTextHandler(g.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return o, nil
}

// Connect opens a client to the cluster. The caller closes it.
func (g *Globals) Connect(ctx context.Context) (*admin.Client, error) {
	o, err := g.AdminOptions()
	if err != nil {
		return nil, err
	}
	return admin.Open(ctx, o)
}

// WithTimeout bounds ctx by --timeout.
func (g *Globals) WithTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, g.Timeout)
}

// Clock returns the current time.
func (g *Globals) Clock() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}
