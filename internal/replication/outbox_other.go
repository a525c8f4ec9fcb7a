//go:build !unix

package replication

import "net"

// tryWriter returns nil: the writer goroutine does all writing.
func tryWriter(net.Conn) func([]byte) (int, error) { return nil }
