package devcluster

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// fakeBroker makes the test binary behave like "chronik server start": what it
// does instead of serving is the value.
const fakeBroker = "CHRONIK_TEST_FAKE_BROKER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(fakeBroker); mode != "" {
		os.Exit(runFakeBroker(mode, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// runFakeBroker listens where it is told, says so, and waits for SIGTERM.
func runFakeBroker(mode string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fs := flag.NewFlagSet("server start", flag.ContinueOnError)
	listen := fs.String("listen", "", "")
	for _, name := range []string{"node-id", "data-dir", "peer-listen", "http-listen", "peers", "drain-timeout", "mode"} {
		fs.String(name, "", "")
	}
	if len(args) < 2 || args[0] != "server" || args[1] != "start" || fs.Parse(args[2:]) != nil {
		fmt.Fprintln(os.Stderr, "unexpected arguments", args)
		return 2
	}
	if given := fs.Lookup("mode").Value.String(); given != "" {
		mode = given
	}
	switch mode {
	case "dies":
		fmt.Fprintln(os.Stderr, "cannot serve: the disk is on fire")
		return 7
	case "silent":
		<-ctx.Done()
		return 0
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		select {}
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer listener.Close()
	fmt.Println("ready", *listen)
	<-ctx.Done()
	return 0
}
