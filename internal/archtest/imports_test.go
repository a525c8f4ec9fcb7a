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
	"budget cluster pause record status trace vfs",
	"admin bench isr peer producer segment wal wire",
	"bench/compare bench/page meta partition",
	"replication",
	"api controller",
	"devcluster server",
	"cli/... testcluster",
}

// mayImport says which packages below internal/ a package may import outside
// of its tests. An arrow may only point to a lower layer. Adding a package or
// an arrow means editing this table and docs/architecture.md in one commit.
var mayImport = map[string]string{
	"budget":  "",
	"cluster": "",
	"pause":   "",
	"record":  "",
	"status":  "",
	"trace":   "",
	"vfs":     "",

	"admin":    "pause status",
	"bench":    "pause status trace",
	"isr":      "cluster",
	"peer":     "cluster pause",
	"producer": "record",
	"segment":  "cluster record vfs",
	"wal":      "budget cluster vfs",
	"wire":     "budget pause",

	"bench/compare": "bench",
	"bench/page":    "bench",
	"meta":          "cluster pause peer vfs",
	"partition":     "budget cluster isr pause producer record segment trace vfs wal",

	"replication": "cluster partition pause peer status trace",

	"api":        "budget cluster partition pause producer record status trace wire",
	"controller": "cluster meta pause peer",

	"server": "api cluster controller isr meta partition pause peer replication status trace vfs wal wire",

	"devcluster": "",

	"cli/...":     "admin bench bench/compare bench/page cli/... cluster devcluster server",
	"testcluster": "cluster peer server vfs",
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

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	expectNone(t, layerComplaints(layers, mayImport))
	expectNone(t, importComplaints(repository(t), mayImport))
}
