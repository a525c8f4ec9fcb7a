package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// place says where a third-party module may be imported.
type place struct {
	prefix   string // of the import path; the longest match decides
	packages string
	tests    string
}

// onlyIn says which packages may import a third-party module, in tests too
// where tests is set. A module that is not listed may be imported nowhere: a
// new dependency is a decision, and this table is where it is written down.
var onlyIn = []place{
	{prefix: "github.com/HdrHistogram/hdrhistogram-go", packages: "bench test/peers/nats", tests: "bench/compare bench/page cli/..."},
	{prefix: "github.com/hanwen/go-fuse/v2", packages: "test/faults/disk"},
	{prefix: "github.com/anishathalye/porcupine", tests: "test/metadata"},
	{prefix: "github.com/hashicorp/go-hclog", packages: "meta"},
	{prefix: "github.com/hashicorp/raft", packages: "meta"},
	{prefix: "github.com/hashicorp/raft-wal", packages: "meta"},
	{prefix: "github.com/nats-io/nats.go", packages: "test/peers/nats"}, // a module of its own
	{prefix: "github.com/olekukonko/tablewriter", packages: "cli/..."},
	{prefix: "github.com/prometheus/client_golang", packages: "server"},
	{prefix: "github.com/spf13/cobra", packages: "cli/..."},
	{prefix: "github.com/spf13/pflag", packages: "cli/..."},
	{prefix: "github.com/spf13/viper", packages: "cli/..."},
	{prefix: "github.com/twmb/franz-go", packages: "admin bench cli/... test/faults/load", tests: "..."},
	{prefix: "github.com/twmb/franz-go/pkg/kmsg", packages: "admin api bench test/faults/load wire", tests: "..."},
	{prefix: "go.yaml.in/yaml/v3", packages: "cli/..."},
	{prefix: "golang.org/x/sys", packages: "test/faults/disk test/faults/host"},
	{prefix: "go.uber.org/goleak", tests: "..."},
	{prefix: "golang.org/x/term", packages: "cli/..."},
}

// thirdPartyComplaints checks every import that is neither the standard
// library nor this module.
func thirdPartyComplaints(t *tree) []string {
	var complaints []string
	for _, src := range t.sources {
		pkg, ok := internalPackage(path.Dir(src.name))
		if !ok {
			pkg = path.Dir(src.name)
		}
		for _, imported := range src.imports() {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") || imported == module || strings.HasPrefix(imported, module+"/") {
				continue
			}
			if allowed := allowedIn(imported, src.test); !matches(allowed, pkg) {
				complaints = append(complaints, fmt.Sprintf("%s imports %s, which belongs in: %s", src.name, imported, allowed))
			}
		}
	}
	return complaints
}

// decidingRow returns the row of onlyIn with the longest prefix of an import
// path, or nil.
func decidingRow(imported string) *place {
	var longest *place
	for i, row := range onlyIn {
		if matches(row.prefix+"/...", imported) && (longest == nil || len(row.prefix) > len(longest.prefix)) {
			longest = &onlyIn[i]
		}
	}
	return longest
}

func allowedIn(imported string, test bool) (packages string) {
	row := decidingRow(imported)
	switch {
	case row == nil:
		return ""
	case test:
		return row.packages + " " + row.tests
	default:
		return row.packages
	}
}

// unusedThirdParty finds places that onlyIn gives to a module and that do not
// import it.
func unusedThirdParty(t *tree) []string {
	used := map[string][]string{} // prefix of the row that decides, to packages
	for _, src := range t.sources {
		if src.test {
			continue
		}
		pkg, ok := internalPackage(path.Dir(src.name))
		if !ok {
			pkg = path.Dir(src.name)
		}
		for _, imported := range src.imports() {
			if row := decidingRow(imported); row != nil {
				used[row.prefix] = append(used[row.prefix], pkg)
			}
		}
	}
	var complaints []string
	for _, row := range onlyIn {
		for _, place := range strings.Fields(row.packages) {
			if !slices.ContainsFunc(used[row.prefix], func(pkg string) bool { return matches(place, pkg) }) {
				complaints = append(complaints, fmt.Sprintf("onlyIn allows %s in %s, which does not import it", row.prefix, place))
			}
		}
	}
	return complaints
}

func TestThirdPartyStaysInItsPlace(t *testing.T) {
	t.Parallel()
	expectNone(t, thirdPartyComplaints(repository(t)))
}

// raftFree are the packages that a Produce or Fetch request runs through.
var raftFree = []string{"api", "partition", "replication", "wire"}

// raftComplaints follows the imports of the request path, however long, and
// complains of every way that ends in raft: a request that waits for consensus,
// which may itself need the request, is the deadlock this broker exists to not
// have.
func raftComplaints(t *tree, from []string) []string {
	arrows := map[string][]string{}
	for _, src := range t.sources {
		if !src.test {
			dir := path.Dir(src.name)
			arrows[dir] = append(arrows[dir], src.imports()...)
		}
	}
	var complaints []string
	var walk func(trail []string, dir string, seen map[string]bool)
	walk = func(trail []string, dir string, seen map[string]bool) {
		for _, imported := range arrows[dir] {
			if matches("github.com/hashicorp/raft/... github.com/hashicorp/raft-wal/...", imported) {
				complaints = append(complaints, fmt.Sprintf("%s reaches %s", strings.Join(trail, " -> "), imported))
			}
			next, ok := strings.CutPrefix(imported, module+"/")
			if ok && !seen[next] {
				seen[next] = true
				walk(append(slices.Clone(trail), path.Base(next)), next, seen)
			}
		}
	}
	for _, pkg := range from {
		walk([]string{pkg}, "internal/"+pkg, map[string]bool{})
	}
	return complaints
}

func TestNoRequestPathReachesRaft(t *testing.T) {
	t.Parallel()
	expectNone(t, raftComplaints(repository(t), raftFree))
}
