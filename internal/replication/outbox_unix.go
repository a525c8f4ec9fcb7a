//go:build unix

package replication

import (
	"errors"
	"net"
	"syscall"
)

// tryWriter returns a function that writes to a TCP connection without ever
// waiting for it, or nil for other connections.
func tryWriter(conn net.Conn) func([]byte) (int, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return func(b []byte) (n int, err error) {
		rawErr := raw.Write(func(fd uintptr) bool {
			for {
				n, err = syscall.Write(int(fd), b)
				if !errors.Is(err, syscall.EINTR) {
					return true // done either way: never wait for the socket
				}
			}
		})
		n = max(n, 0)
		switch {
		case rawErr != nil:
			return n, rawErr
		case errors.Is(err, syscall.EAGAIN):
			return n, nil
		default:
			return n, err
		}
	}
}
