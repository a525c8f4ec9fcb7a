package api

import (
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/chronik-project/chronik/internal/wire"
)

// What clients are told is what they will use: this table is the contract.
func TestAPIVersionsListsWhatIsServed(t *testing.T) {
	t.Parallel()
	want := []kmsg.ApiVersionsResponseApiKey{
		{ApiKey: 0, MinVersion: 0, MaxVersion: 12},
		{ApiKey: 1, MinVersion: 4, MaxVersion: 17},
		{ApiKey: 2, MinVersion: 1, MaxVersion: 10},
		{ApiKey: 3, MinVersion: 0, MaxVersion: 13},
		{ApiKey: 18, MinVersion: 0, MaxVersion: 4},
		{ApiKey: 19, MinVersion: 2, MaxVersion: 7},
		{ApiKey: 20, MinVersion: 1, MaxVersion: 6},
		{ApiKey: 22, MinVersion: 0, MaxVersion: 5},
		{ApiKey: 23, MinVersion: 2, MaxVersion: 4},
		{ApiKey: 32, MinVersion: 1, MaxVersion: 4},
		{ApiKey: 35, MinVersion: 1, MaxVersion: 4},
		{ApiKey: 55, MinVersion: 0, MaxVersion: 2},
		{ApiKey: 60, MinVersion: 0, MaxVersion: 2},
		{ApiKey: 75, MinVersion: 0, MaxVersion: 0},
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		for _, version := range versions(t, 18, 0) {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = "kgo", "1.0"
			resp := ask[*kmsg.ApiVersionsResponse](b, req, version)
			wantCode(t, "api versions", resp.ErrorCode, codeNone)
			if len(resp.ApiKeys) != len(want) {
				t.Fatalf("v%d: %d keys, want %d", version, len(resp.ApiKeys), len(want))
			}
			for i, got := range resp.ApiKeys {
				if got.ApiKey != want[i].ApiKey || got.MinVersion != want[i].MinVersion || got.MaxVersion != want[i].MaxVersion {
					t.Errorf("v%d: %+v, want %+v", version, got, want[i])
				}
			}
			if len(resp.SupportedFeatures)+len(resp.FinalizedFeatures) > 0 {
				t.Errorf("v%d: features %v are advertised", version, resp.FinalizedFeatures)
			}
		}
	})
}

func TestAPIVersionsOfTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		reply, err := b.api.Handle(t.Context(), &wire.Request{
			Header: wire.Header{Key: 18, Version: 99}, Body: kmsg.NewPtrApiVersionsRequest(), // as wire hands it over
		})
		if err != nil {
			t.Fatal(err)
		}
		resp := b.finish(reply, kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse)
		wantCode(t, "v99", resp.ErrorCode, codeUnsupportedVersion)
		if resp.Version != 0 || len(resp.ApiKeys) == 0 {
			t.Errorf("answered in v%d with %d keys, want v0 and the list", resp.Version, len(resp.ApiKeys))
		}
	})
}

func TestSoftwareNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"kgo": true, "apache-kafka-java": true, "3.9.1": true, "a": true, "7": true,
		"": false, "-kgo": false, "kgo-": false, ".": false, "a b": false, "a/b": false, "käfka": false, "a\n": false,
	} {
		if got := softwareName(name); got != want {
			t.Errorf("softwareName(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestMalformedSoftwareNamesAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "kgo", "<script>"
		resp := ask[*kmsg.ApiVersionsResponse](b, req, 3)
		wantCode(t, "v3", resp.ErrorCode, codeInvalidRequest)
		resp = ask[*kmsg.ApiVersionsResponse](b, req, 2) // has no such field
		wantCode(t, "v2", resp.ErrorCode, codeNone)
	})
}

// Every key that is listed can be decoded, and every version of it handled.
func TestEveryServedKeyHasAHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.run(b.api.Run)
		for _, a := range apis() {
			for version := a.lowest; version <= a.highest; version++ {
				req := kmsg.RequestForKey(a.key)
				if req.MaxVersion() < version {
					t.Errorf("key %d v%d is listed and cannot be decoded", a.key, version)
					continue
				}
				if lowest, highest, ok := b.api.Versions(a.key); !ok || version < lowest || version > highest {
					t.Errorf("key %d v%d is listed and not taken", a.key, version)
				}
				reply, err := b.begin(req, version)
				if err != nil {
					t.Errorf("key %d v%d: an empty request closes the connection: %v", a.key, version, err)
					continue
				}
				if resp, err := reply.Wait(t.Context()); err != nil || resp != nil && resp.Key() != a.key {
					t.Errorf("key %d v%d: response %T, error %v", a.key, version, resp, err)
				}
			}
		}
	})
}
