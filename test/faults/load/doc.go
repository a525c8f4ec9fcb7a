// Package load puts a cluster to use while others break it, and writes down all
// that happens in a history: producers of every guarantee, consumers, samplers
// that ask every broker how things stand, and, at the end, what each replica
// holds. It judges nothing; package check does.
package load
