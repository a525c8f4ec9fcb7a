// Package page lays a run of acks-all out as one HTML file: what was measured,
// its percentile spectrum, latency over time with events, and where the time
// went. The file needs nothing else, no network and no script; it follows the
// reader's light or dark scheme, and its charts come in a wide and a narrow
// drawing, so that their text can be read on a phone.
package page
