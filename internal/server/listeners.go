package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// listeners are the broker's ports, bound before anything is created on disk.
type listeners struct {
	client, peer net.Listener
	http         net.Listener // nil when turned off
}

func (c Config) bind() (l listeners, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.client, err = c.listen("client", "--listen", c.Listen); err != nil {
		return l, err
	}
	if l.peer, err = c.listen("peer", "--peer-listen", c.PeerListen); err != nil {
		return l, err
	}
	if c.HTTPListen == HTTPOff {
		return l, nil
	}
	l.http, err = c.listen("HTTP", "--http-listen", c.HTTPListen)
	return l, err
}

func (c Config) listen(what, flag, addr string) (net.Listener, error) {
	ln, err := c.Network.Listen(addr)
	if err == nil {
		return ln, nil
	}
	hint := fmt.Sprintf("choose another address with %s", flag)
	if strings.Contains(err.Error(), "address already in use") {
		hint = fmt.Sprintf("another process listens there (ss -ltnp shows it); stop it, or %s", hint)
	}
	return nil, &StartError{fmt.Errorf("listen on %s address %s: %w", what, addr, err), hint}
}

func (l listeners) close() error {
	var errs []error
	for _, ln := range []net.Listener{l.client, l.peer, l.http} {
		if ln != nil {
			if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// httpAddr is the address of the HTTP listener; empty when there is none.
func (l listeners) httpAddr(configured string) string {
	if l.http == nil {
		return ""
	}
	return advertised(configured, l.http)
}

// advertised is the address that others are told. A port that the system chose
// replaces port 0.
func advertised(configured string, ln net.Listener) string {
	host, port, err := net.SplitHostPort(configured)
	if err != nil || port != "0" {
		return configured
	}
	if _, bound, err := net.SplitHostPort(ln.Addr().String()); err == nil {
		return net.JoinHostPort(host, bound)
	}
	return configured
}
