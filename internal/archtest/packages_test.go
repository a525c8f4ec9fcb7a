package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// emptyNames say nothing about what a package owns, so everything ends up in
// them.
var emptyNames = []string{"base", "common", "core", "helper", "helpers", "lib", "misc", "shared", "types", "util", "utils"}

// docComplaints wants exactly one package comment in each package, in the form
// that go doc prints well. The tests beside a package need none; a package made
// of nothing but tests does.
func docComplaints(t *tree) []string {
	var complaints []string
	for dir, sources := range t.packages() {
		name := ""
		docs := map[string]string{}
		onlyTests := !slices.ContainsFunc(sources, func(s source) bool { return !s.test })
		for _, src := range sources {
			if src.test && !onlyTests {
				continue
			}
			name = src.file.Name.Name
			if src.file.Doc != nil {
				docs[src.name] = src.file.Doc.Text()
			}
		}
		if len(docs) != 1 {
			complaints = append(complaints, fmt.Sprintf("%s has %d package comments, want exactly one", dir, len(docs)))
			continue
		}
		want := "Package " + name + " "
		if name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		for file, text := range docs {
			if !strings.HasPrefix(text, want) {
				complaints = append(complaints, fmt.Sprintf("%s: package comment does not start with %q", file, want))
			}
		}
	}
	return complaints
}

// nameComplaints wants packages that are nouns with a promise.
func nameComplaints(t *tree) []string {
	var complaints []string
	for dir := range t.packages() {
		for part := range strings.SplitSeq(dir, "/") {
			if slices.Contains(emptyNames, part) {
				complaints = append(complaints, fmt.Sprintf("%s: %q says nothing about what the package owns", dir, part))
			}
		}
	}
	return complaints
}

func TestEveryPackageHasOneDoc(t *testing.T) {
	t.Parallel()
	expectNone(t, docComplaints(repository(t)))
}

func TestPackageNamesSayWhatTheyOwn(t *testing.T) {
	t.Parallel()
	expectNone(t, nameComplaints(repository(t)))
}
