package archtest

import (
	"fmt"
	"go/ast"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// goroutineList is where every goroutine of the broker is written down, with
// who waits for it.
const goroutineList = "docs/goroutines.md"

// listedFile is a file named in the first column of goroutineList's table.
var listedFile = regexp.MustCompile("^\\| *`([a-z0-9_/.]+\\.go)` *\\|")

// goroutineComplaints compares the files that start goroutines with the table
// of goroutineList, both ways.
func goroutineComplaints(t *tree) ([]string, error) {
	text, err := fs.ReadFile(t.files, goroutineList)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if m := listedFile.FindStringSubmatch(line); m != nil {
			listed[m[1]] = false
		}
	}
	var complaints []string
	for _, src := range t.sources {
		if src.test {
			continue
		}
		ast.Inspect(src.file, func(node ast.Node) bool {
			if !startsGoroutine(node) {
				return true
			}
			if _, ok := listed[src.name]; ok {
				listed[src.name] = true
			} else {
				complaints = append(complaints, fmt.Sprintf("%s starts a goroutine; %s has no row for the file", t.pos(node), goroutineList))
			}
			return true
		})
	}
	for file, used := range listed {
		if !used {
			complaints = append(complaints, fmt.Sprintf("%s lists %s, which starts no goroutine", goroutineList, file))
		}
	}
	return complaints, nil
}

// startsGoroutine recognises the go statement and the methods that hide one:
// (*sync.WaitGroup).Go and errgroup's Go take a single function.
func startsGoroutine(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Go" && len(n.Args) == 1
	default:
		return false
	}
}

func TestEveryGoroutineIsListed(t *testing.T) {
	t.Parallel()
	complaints, err := goroutineComplaints(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	expectNone(t, complaints)
}
