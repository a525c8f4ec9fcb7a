package archtest

import (
	"fmt"
	"go/ast"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// queueList is where everything in which something can pile up is written down,
// with its bound.
const queueList = "docs/queues.md"

var (
	// codeFile is a file in backquotes, in any column.
	codeFile = regexp.MustCompile("`([a-z0-9_/.]+\\.go)`")
	// codeTest is a test in backquotes.
	codeTest = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
)

// queueComplaints compares the files below internal/ that make buffered channels
// with the tables of queueList, and looks for the files and tests that it names.
func queueComplaints(t *tree) ([]string, error) {
	text, err := fs.ReadFile(t.files, queueList)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, m := range codeFile.FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = true
	}
	var complaints []string
	tests, files := map[string]bool{}, map[string]bool{}
	for _, src := range t.sources {
		files[src.name] = true
		if src.test {
			for _, decl := range src.file.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
					tests[fn.Name.Name] = true
				}
			}
			continue
		}
		if _, internal := internalPackage(src.name); !internal || listed[src.name] {
			continue
		}
		ast.Inspect(src.file, func(node ast.Node) bool {
			if makesBuffer(node) {
				complaints = append(complaints, fmt.Sprintf("%s makes a buffered channel; %s has no row for the file", t.pos(node), queueList))
			}
			return true
		})
	}
	for file := range listed {
		if !files[file] {
			complaints = append(complaints, fmt.Sprintf("%s names %s, which does not exist", queueList, file))
		}
	}
	for _, m := range codeTest.FindAllStringSubmatch(string(text), -1) {
		if !tests[m[1]] {
			complaints = append(complaints, fmt.Sprintf("%s names %s, which does not exist", queueList, m[1]))
		}
	}
	return complaints, nil
}

// makesBuffer recognises make(chan T, n).
func makesBuffer(node ast.Node) bool {
	call, ok := node.(*ast.CallExpr)
	if !ok || len(call.Args) != 2 {
		return false
	}
	fun, ok := call.Fun.(*ast.Ident)
	if !ok || fun.Name != "make" {
		return false
	}
	_, ok = call.Args[0].(*ast.ChanType)
	return ok
}

func TestEveryQueueIsListed(t *testing.T) {
	t.Parallel()
	complaints, err := queueComplaints(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	expectNone(t, complaints)
}

// leakComplaints wants a leak check in every package below internal/ that starts
// goroutines: one that nobody waits for shows when the tests are over.
func leakComplaints(t *tree) []string {
	var complaints []string
	for dir, sources := range t.packages() {
		if _, internal := internalPackage(dir); !internal {
			continue
		}
		starts, checks := "", false
		for _, src := range sources {
			ast.Inspect(src.file, func(node ast.Node) bool {
				if !src.test && startsGoroutine(node) {
					starts = t.pos(node)
				}
				return true
			})
			for _, imported := range src.imports() {
				checks = checks || src.test && strings.HasPrefix(imported, "go.uber.org/goleak")
			}
		}
		if starts != "" && !checks {
			complaints = append(complaints, fmt.Sprintf("%s starts a goroutine, and no test of the package looks for leaks", starts))
		}
	}
	return complaints
}

func TestEveryPackageLooksForLeaks(t *testing.T) {
	t.Parallel()
	expectNone(t, leakComplaints(repository(t)))
}
