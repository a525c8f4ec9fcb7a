//go:build e2e

// Package e2e drives three brokers with clients that others wrote: kcat, which
// is librdkafka, and the command line tools of Apache Kafka, which are its Java
// client. What they print is compared byte for byte. A client that is missing
// fails the tests: scripts/clients.sh installs both.
package e2e

import (
	"os"
	"testing"

	"github.com/chronik-project/chronik/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
