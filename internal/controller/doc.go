// Package controller decides when the cluster's metadata has to change: it
// holds the brokers' sessions, fences who is gone, lifts fences, places new
// topics and moves leaderships. It acts only where the metadata log is led, and
// what it remembers is soft: whether a change is still allowed is decided by
// cluster.Apply when the command's turn in the log comes.
//
// Every broker has a [Client], which carries requests to the broker that leads
// the metadata log, wherever that is at the moment.
package controller
