// Package compare says whether one set of saved runs is faster than another,
// and does not say it when the runs do not show it. It draws blocks of seconds
// from the histograms of each side again and again (moving-block bootstrap),
// which keeps seconds that depend on each other together, and gives the
// interval in which the difference lies. It prints nothing.
package compare
