package archtest

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// link is the target of a Markdown link, without its fragment.
var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

// linkComplaints checks that what a document links to within the repository is
// there.
func linkComplaints(t *tree, document string) ([]string, error) {
	text, err := fs.ReadFile(t.files, document)
	if err != nil {
		return nil, err
	}
	var complaints []string
	for _, m := range link.FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		target := path.Join(path.Dir(document), m[1])
		if _, err := fs.Stat(t.files, target); err != nil {
			complaints = append(complaints, fmt.Sprintf("%s links to %s, which does not exist", document, m[1]))
		}
	}
	return complaints, nil
}

// documents returns every Markdown file of the repository that people read.
func documents(t *testing.T, repo *tree) []string {
	t.Helper()
	found, err := fs.Glob(repo.files, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(repo.files, "docs", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(name, ".md") {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLinksResolve(t *testing.T) {
	t.Parallel()
	repo := repository(t)
	for _, document := range documents(t, repo) {
		complaints, err := linkComplaints(repo, document)
		if err != nil {
			t.Fatal(err)
		}
		expectNone(t, complaints)
	}
}
