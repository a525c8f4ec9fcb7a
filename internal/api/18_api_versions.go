package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

// ApiVersions: v0-4
//
// Behavior:
//   - A version that is not served is answered in version 0 with
//     UNSUPPORTED_VERSION and the list, so that any client can go on (KIP-511).
//   - No features are advertised: clients would switch to what they stand for.
//
// Version notes:
//   - v3: flexible; client software name and version, which must be well formed
//   - v4: features with a minimum of 0 may be listed
func (t *Table) apiVersions(_ context.Context, req *wire.Request) (wire.Reply, error) {
	body := req.Body.(*kmsg.ApiVersionsRequest)
	resp := respond[*kmsg.ApiVersionsResponse](req)
	switch {
	case req.Version != body.Version:
		resp.ErrorCode = int16(codeUnsupportedVersion)
	case body.Version >= 3 && (!softwareName(body.ClientSoftwareName) || !softwareName(body.ClientSoftwareVersion)):
		resp.ErrorCode = int16(codeInvalidRequest)
		return wire.Now(resp), nil
	}
	for _, a := range t.apis {
		resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{
			ApiKey: a.key, MinVersion: a.lowest, MaxVersion: a.highest,
		})
	}
	return wire.Now(resp), nil
}

// softwareName reports whether a client's name or version is one that may be
// logged and counted by: letters, digits, '-' and '.', the latter two not at
// either end (KIP-511).
func softwareName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		inside := i > 0 && i < len(s)-1
		if !letter && (!inside || c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}
