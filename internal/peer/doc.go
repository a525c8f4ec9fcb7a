// Package peer is the one port between brokers: it dials and serves
// connections, lets both sides prove that they mean each other by a first-bytes
// preamble, and hands them out by kind. It knows nothing of what is said after
// the preamble.
package peer
