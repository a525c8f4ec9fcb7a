// Command chronik is a Kafka-compatible broker and the toolkit to operate it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/chronik-project/chronik/internal/cli"
)

var version, commit, date string // set by the linker; see .goreleaser.yaml

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	build := cli.Build{Version: version, Commit: commit, Date: date}
	os.Exit(int(cli.Main(ctx, os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, build)))
}
