// Package host is the world in which brokers are put under faults: hosts with
// an address each on a network of their own, and brokers as processes on them.
//
//	[Main]     runs a test program in namespaces of its own, which end with it
//	[Network]  hosts on a bridge: cuts of any shape, loss, rates, delays, names
//	[Cluster]  real brokers on the hosts, to kill, freeze and limit
//
// The test itself is on a host too, [Client], so that a client can be cut from
// brokers like any other. Everything is made anew for a test and is gone after
// it, also when the test program is killed. It needs Linux and root.
package host
