//go:build faults && linux

package faults

import (
	"os"
	"testing"

	"github.com/chronik-project/chronik/test/faults/host"
)

func TestMain(m *testing.M) { os.Exit(host.Main(m)) }
