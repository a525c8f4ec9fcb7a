// Package server is the composition root of a broker: it checks the
// configuration, opens the data directory, starts every part in order and stops
// them in the reverse one. It is the only package that knows all parts, and it
// holds no protocol logic of its own.
package server
