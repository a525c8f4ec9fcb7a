package archtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// layers lists every package below internal/, lowest layer first, as the
// diagram in docs/architecture.md draws them. "cli/..." is cli and everything
// below it.
var layers = []string{
	"cluster record status vfs",
	"admin bench isr peer producer segment wal wire",
	"meta partition",
	"replication",
	"api controller",
	"devcluster server",
	"cli/...",
}

// mayImport says which packages below internal/ a package may import outside
// of its tests. An arrow may only point to a lower layer. Adding a package or
// an arrow means editing this table and docs/architecture.md in one commit.
var mayImport = map[string]string{
	"cluster": "",
	"record":  "",
	"status":  "",
	"vfs":     "",

	"admin":    "status",
	"bench":    "",
	"isr":      "cluster",
	"peer":     "cluster",
	"producer": "record",
	"segment":  "cluster record vfs",
	"wal":      "cluster record vfs",
	"wire":     "",

	"meta":      "cluster peer vfs",
	"partition": "cluster isr producer record segment status vfs wal",

	"replication": "cluster partition peer record status",

	"api":        "cluster partition producer record status wire",
	"controller": "cluster meta peer",

	"server": "api cluster controller meta partition peer record replication segment status vfs wal wire",

	"devcluster": "",

	"cli/...": "admin bench cli/... cluster devcluster record segment server status vfs wal",
}

// onlyIn says which packages may import a third-party module, in tests too
// where tests is set. A module that is not listed may be imported nowhere: a
// new dependency is a decision, and this table is where it is written down.
var onlyIn = []struct {
	prefix   string // of the import path; the longest match decides
	packages string
	tests    string
}{
	{prefix: "github.com/HdrHistogram/hdrhistogram-go", packages: "bench cli/..."},
	{prefix: "github.com/hashicorp/go-hclog", packages: "meta"},
	{prefix: "github.com/hashicorp/raft", packages: "meta"},
	{prefix: "github.com/hashicorp/raft-wal", packages: "meta"},
	{prefix: "github.com/klauspost/compress", packages: "api record cli/..."},
	{prefix: "github.com/olekukonko/tablewriter", packages: "cli/..."},
	{prefix: "github.com/prometheus/client_golang", packages: "server"},
	{prefix: "github.com/spf13/cobra", packages: "cli/..."},
	{prefix: "github.com/spf13/pflag", packages: "cli/..."},
	{prefix: "github.com/spf13/viper", packages: "cli/..."},
	{prefix: "github.com/twmb/franz-go", packages: "admin bench cli/...", tests: "..."},
	{prefix: "github.com/twmb/franz-go/pkg/kmsg", packages: "admin api bench cli/... wire", tests: "..."},
	{prefix: "go.yaml.in/yaml/v3", packages: "cli/..."},
	{prefix: "golang.org/x/sys", packages: "vfs"},
	{prefix: "golang.org/x/term", packages: "cli/..."},
}

// matches reports whether pkg is one of the space-separated patterns.
func matches(patterns, pkg string) bool {
	for _, pattern := range strings.Fields(patterns) {
		if stem, ok := strings.CutSuffix(pattern, "..."); ok {
			stem = strings.TrimSuffix(stem, "/")
			if stem == "" || pkg == stem || strings.HasPrefix(pkg, stem+"/") {
				return true
			}
		} else if pattern == pkg {
			return true
		}
	}
	return false
}

// ruleFor returns the key of the table that covers pkg.
func ruleFor(table map[string]string, pkg string) (key string, ok bool) {
	for k := range table {
		if matches(k, pkg) && len(k) > len(key) {
			key, ok = k, true
		}
	}
	return key, ok
}

// importComplaints checks the production files of every internal package
// against table, and that every package has an entry.
func importComplaints(t *tree, table map[string]string) []string {
	var complaints []string
	for dir, sources := range t.packages() {
		pkg, ok := internalPackage(dir)
		if !ok || testsOnly(sources) {
			continue
		}
		key, ok := ruleFor(table, pkg)
		if !ok {
			complaints = append(complaints, fmt.Sprintf("package %s is in no row of mayImport", pkg))
			continue
		}
		for _, src := range sources {
			for _, imported := range src.imports() {
				target, ok := internalPackage(imported)
				if ok && !src.test && !matches(table[key], target) {
					complaints = append(complaints, fmt.Sprintf("%s imports %s: not an arrow of mayImport", src.name, target))
				}
			}
		}
	}
	return complaints
}

// testsOnly reports whether a package has nothing that another could import:
// no files but tests and a doc.go.
func testsOnly(sources []source) bool {
	return !slices.ContainsFunc(sources, func(s source) bool {
		return !s.test && path.Base(s.name) != "doc.go"
	})
}

// layerComplaints checks the table itself: every package in exactly one layer,
// every arrow downwards.
func layerComplaints(layers []string, table map[string]string) []string {
	var complaints []string
	height := map[string]int{}
	for i, layer := range layers {
		for _, pkg := range strings.Fields(layer) {
			if _, twice := height[pkg]; twice {
				complaints = append(complaints, fmt.Sprintf("%s is in two layers", pkg))
			}
			height[pkg] = i
			if _, ok := table[pkg]; !ok {
				complaints = append(complaints, fmt.Sprintf("%s has a layer and no row in mayImport", pkg))
			}
		}
	}
	for from, targets := range table {
		if _, ok := height[from]; !ok {
			complaints = append(complaints, fmt.Sprintf("%s has a row in mayImport and no layer", from))
			continue
		}
		for _, to := range strings.Fields(targets) {
			if to != from && height[to] >= height[from] {
				complaints = append(complaints, fmt.Sprintf("%s -> %s does not point down", from, to))
			}
		}
	}
	return complaints
}

// unusedComplaints finds rows and arrows that no source needs any more: a
// table that allows more than the code does is not a picture of the code.
func unusedComplaints(t *tree, table map[string]string) []string {
	used := map[string]map[string]bool{}
	for dir, sources := range t.packages() {
		pkg, ok := internalPackage(dir)
		if !ok {
			continue
		}
		key, ok := ruleFor(table, pkg)
		if !ok {
			continue
		}
		if used[key] == nil {
			used[key] = map[string]bool{}
		}
		for _, src := range sources {
			for _, imported := range src.imports() {
				if target, ok := internalPackage(imported); ok && !src.test {
					used[key][target] = true
				}
			}
		}
	}
	var complaints []string
	for from, targets := range table {
		if used[from] == nil {
			complaints = append(complaints, fmt.Sprintf("mayImport has a row for %s, which does not exist", from))
			continue
		}
		for _, to := range strings.Fields(targets) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(used[from])), func(pkg string) bool { return matches(to, pkg) }) {
				complaints = append(complaints, fmt.Sprintf("mayImport allows %s -> %s, which nothing uses", from, to))
			}
		}
	}
	return complaints
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

func allowedIn(imported string, test bool) (packages string) {
	longest := 0
	for _, row := range onlyIn {
		if matches(row.prefix+"/...", imported) && len(row.prefix) > longest {
			longest, packages = len(row.prefix), row.packages
			if test {
				packages += " " + row.tests
			}
		}
	}
	return packages
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	expectNone(t, layerComplaints(layers, mayImport))
	expectNone(t, importComplaints(repository(t), mayImport))
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
