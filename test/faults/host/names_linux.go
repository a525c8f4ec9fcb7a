package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
)

// names answers the hosts' questions for names: a name server on each one, that
// no fault of the network concerns. Files like /etc/hosts would not do: who
// reads them remembers them for seconds.
type names struct {
	files   string // directory of what brokers have in /etc
	sockets []net.PacketConn
	running sync.WaitGroup

	mu    sync.Mutex
	known map[string]netip.Addr // guarded by mu
}

// files for the brokers' /etc, by name.
var etc = map[string]string{
	"hosts":       "127.0.0.1 localhost\n",
	"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
}

func newNames(n *Network) (*names, error) {
	s := &names{files: n.t.TempDir(), known: map[string]netip.Addr{}}
	for name, text := range etc {
		if err := os.WriteFile(filepath.Join(s.files, name), []byte(text), 0o644); err != nil { //nolint:gosec // everybody reads them
			return s, err
		}
	}
	for h := range n.hosts {
		err := n.on(h+1, func() error {
			socket, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp4", "127.0.0.1:53")
			if err == nil {
				s.sockets = append(s.sockets, socket)
			}
			return err
		})
		if err != nil {
			return s, fmt.Errorf("name server on host %d: %w", h+1, err)
		}
		socket := s.sockets[h]
		s.running.Go(func() { s.serve(socket) })
	}
	return s, nil
}

// SetHosts says which names brokers can resolve from now on, and to which IP
// addresses; nothing remembers what was so before. Names are lower-case,
// without a dot at the end. At first there are none.
func (n *Network) SetHosts(addresses map[string]string) {
	n.t.Helper()
	known := map[string]netip.Addr{}
	for name, text := range addresses {
		address, err := netip.ParseAddr(text)
		if err != nil || !address.Is4() {
			n.t.Errorf("address of %s: %q, want IPv4 (%v)", name, text, err)
			return
		}
		known[name] = address
	}
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	n.names.known = maps.Clone(known)
}

func (s *names) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, socket := range s.sockets {
		errs = append(errs, socket.Close())
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// serve answers until the socket is closed.
func (s *names) serve(socket net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := socket.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply, ok := answer(buf[:size], s.lookup); ok {
			_, _ = socket.WriteTo(reply, from) // who asks asks again
		}
	}
}

func (s *names) lookup(name string) (netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	address, ok := s.known[name]
	return address, ok
}

// Parts of DNS messages (RFC 1035, section 4).
const (
	headerSize     = 12
	flagsReply     = 0x8580 // an answer, authoritative, recursion available
	codeNoSuchName = 3
	typeA          = 1
	classInternet  = 1
	pointerToName  = 0xc000 | headerSize
)

// answer answers a question for one name.
func answer(query []byte, lookup func(string) (netip.Addr, bool)) (reply []byte, ok bool) {
	name, rest, ok := question(query)
	if !ok {
		return nil, false
	}
	kind := binary.BigEndian.Uint16(rest)
	asked := query[:len(query)-len(rest)+4]
	address, known := lookup(name)
	flags, answers := uint16(flagsReply), uint16(0)
	if !known {
		flags |= codeNoSuchName
	} else if kind == typeA {
		answers = 1
	}
	reply = append(reply, query[:2]...) // the question's number
	for _, field := range []uint16{flags, 1, answers, 0, 0} {
		reply = binary.BigEndian.AppendUint16(reply, field)
	}
	reply = append(reply, asked[headerSize:]...)
	if answers == 0 {
		return reply, true
	}
	for _, field := range []uint16{pointerToName, typeA, classInternet, 0, 0, 4} { // two of lifetime: none
		reply = binary.BigEndian.AppendUint16(reply, field)
	}
	octets := address.As4()
	return append(reply, octets[:]...), true
}

// question returns the name that is asked for, and what follows it: type and
// class, at least.
func question(query []byte) (name string, rest []byte, ok bool) {
	if len(query) < headerSize || binary.BigEndian.Uint16(query[4:]) != 1 {
		return "", nil, false
	}
	rest = query[headerSize:]
	for len(rest) > 0 && rest[0] != 0 {
		size := int(rest[0])
		if size > 63 || len(rest) < 1+size {
			return "", nil, false
		}
		if name != "" {
			name += "."
		}
		name += string(rest[1 : 1+size])
		rest = rest[1+size:]
	}
	if len(rest) < 1+4 {
		return "", nil, false
	}
	return name, rest[1:], true
}
