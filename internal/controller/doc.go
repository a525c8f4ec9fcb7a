// Package controller is the part of a broker that decides when the cluster's
// metadata has to change: it holds the brokers' sessions, fences who is gone,
// lifts fences, places new topics and hands leaderships back. Its loop runs only
// where the metadata log is led. What a change is, and whether it is still
// allowed, is decided by cluster.Apply when the command's turn comes.
//
// Every broker has a [Client], which carries requests to the broker that leads
// the metadata log, wherever that is at the moment.
package controller
