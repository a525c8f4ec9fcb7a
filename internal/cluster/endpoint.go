package cluster

import (
	"fmt"
	"net"
	"strconv"
)

// Endpoint is an address that others dial: a host name or IP and a port.
type Endpoint struct {
	Host string `json:"host"`
	Port int32  `json:"port"`
}

// String is "host:port", with brackets around an IPv6 host; it is what
// net.Dial takes.
func (e Endpoint) String() string {
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// IsZero reports whether e names no address.
func (e Endpoint) IsZero() bool { return e == Endpoint{} }

// ParseEndpoint is the inverse of [Endpoint.String]. The host must not be
// empty, because an endpoint is for others to dial, and the port is a number.
func ParseEndpoint(s string) (Endpoint, error) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %q: want host:port: %w", s, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return Endpoint{}, fmt.Errorf("endpoint %q: port must be a number from 1 to 65535", s)
	}
	if host == "" {
		return Endpoint{}, fmt.Errorf("endpoint %q: host must not be empty", s)
	}
	return Endpoint{Host: host, Port: int32(port)}, nil
}
