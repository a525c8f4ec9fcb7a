package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/chronik-project/chronik/internal/admin"
	"github.com/chronik-project/chronik/internal/cli/globals"
	"github.com/chronik-project/chronik/internal/cli/settings"
)

// explainUnreachable returns the message, and one line for each address tried.
func explainUnreachable(e *admin.UnreachableError) (string, []string) {
	if len(e.Attempts) == 0 {
		return fmt.Sprintf("cannot connect to %s: %v", strings.Join(e.Seeds, ", "), e.Err), nil
	}
	var details []string
	answered := false
	for _, a := range e.Attempts {
		switch {
		case a.Err != nil:
			details = append(details, a.Address+"  "+dialReason(a.Err))
		case a.Answer != nil:
			answered = true
			details = append(details, a.Address+"  connected, then: "+a.Answer.Error())
		default:
			answered = true
			details = append(details, a.Address+"  connected")
		}
	}
	switch {
	case len(details) == 1 && !answered:
		return fmt.Sprintf("cannot connect to %s: %s", e.Attempts[0].Address, dialReason(e.Attempts[0].Err)), nil
	case len(details) == 1:
		return fmt.Sprintf("no Kafka broker answered at %s: %v", e.Attempts[0].Address, e.Err), nil
	case answered:
		return "no broker answered a Kafka request", details
	default:
		return "cannot connect to any of " + strings.Join(e.Seeds, ", "), details
	}
}

// dialReason shortens a dial error to its cause: the address is said already.
func dialReason(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var sys *os.SyscallError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("host %q: %s", dns.Name, dns.Err)
	case errors.As(err, &sys):
		return sys.Err.Error()
	case errors.As(err, &op):
		return op.Err.Error()
	default:
		return err.Error()
	}
}

func unreachableHints(g *globals.Globals, e *admin.UnreachableError) []string {
	if strangers := e.Advertised(); len(strangers) > 0 {
		return []string{fmt.Sprintf("a broker answered and named %s as its address, which cannot be reached from here; "+
			"start it with --advertise HOST:PORT that clients can reach", strangers[0].Address)}
	}
	for _, a := range e.Attempts {
		if a.Err == nil && g.Security.User != "" {
			return []string{"the broker closed the connection: check --user, --password and --sasl-mechanism; if the listener is encrypted, add --tls"}
		}
		if a.Err == nil && !g.Security.TLS {
			return []string{"something listens there but does not answer like a Kafka broker; if the listener is encrypted, add --tls"}
		}
	}
	if errors.Is(e.Err, syscall.ECONNREFUSED) && len(e.Seeds) == 1 && e.Seeds[0] == admin.DefaultSeed {
		return []string{fmt.Sprintf("nothing listens there: start a broker (chronik server start, or chronik dev up), "+
			"or name another with -B HOST:PORT or %s", settings.EnvName("bootstrap-server"))}
	}
	return []string{fmt.Sprintf("check -B (now %s) or %s, and that the broker runs", strings.Join(e.Seeds, ","), settings.EnvName("bootstrap-server"))}
}
