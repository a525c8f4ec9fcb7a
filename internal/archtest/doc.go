// Package archtest holds the tests that keep the shape of this repository:
// imports point down, third-party modules stay where they belong, every package
// says what it owns, every goroutine is accounted for, and what the documents
// name exists. It reads sources and documents as text and runs none of them.
//
// Each rule is a function from a tree of sources to a list of complaints, so
// that the same rule runs over the repository, where it must find nothing, and
// over a few lines written to break it, where it must find exactly that.
package archtest
