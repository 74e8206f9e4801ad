// Package codes tests that every fault that ends, parks or stops something has
// a code, and that docs/errors.md is what the codes say.
package codes_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
)

const root = "../.."

// page returns docs/errors.md.
func page() string {
	var b strings.Builder
	b.WriteString("# Error codes\n\n" +
		"Generated from replicator/change/code.go. The codes stand at the beginning of messages, in the reasons of stopped tables and in `/status`; " +
		"`walshift explain CODE` prints the same.\n")
	for _, c := range change.Codes() {
		fmt.Fprintf(&b, "\n## %s: %s\n\n%s\n\n- **Remedy**: %s\n- **Data at risk**: %s\n", c.Code, c.Title, c.Cause, c.Remedy, c.Risk)
	}
	return b.String()
}

// TestPage: UPDATE_GOLDEN=1 writes the page.
func TestPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root, "docs/errors.md")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(page()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page() {
		t.Error("docs/errors.md is not what the codes say: run `make generate`")
	}
}

// TestCatalogue: codes are well-formed, unique and told in full.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^WS[12349]\d{3}$`)
	last := change.Code("")
	for _, c := range change.Codes() {
		if !form.MatchString(string(c.Code)) || c.Code <= last {
			t.Errorf("code %q after %q", c.Code, last)
		}
		last = c.Code
		for _, text := range []string{c.Cause, c.Remedy, c.Risk} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is no sentence", c.Code, text)
			}
		}
	}
}

// TestNoFaultWithoutCode reads the program: each fault that is made with
// another scope than ScopeRetry says its code, and each code is used.
func TestNoFaultWithoutCode(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	faults := 0
	for _, folder := range []string{"replicator", "sink", "checkpoint", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			declares := filepath.Base(path) == "code.go"
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Ident:
					if !declares && strings.HasPrefix(n.Name, "Code") { // inside of package change
						used[n.Name] = true
					}
				case *ast.SelectorExpr:
					if strings.HasPrefix(n.Sel.Name, "Code") {
						used[n.Sel.Name] = true
					}
				case *ast.CompositeLit:
					if !isFault(n.Type) || declares {
						break
					}
					faults++
					if fields := fieldsOf(n); fields["Code"] == "" && fields["Scope"] != "ScopeRetry" {
						t.Errorf("%s: a fault without a code", set.Position(n.Pos()))
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if faults < 50 {
		t.Errorf("only %d faults found: does the test still read the program?", faults)
	}
	for _, name := range constants(t) {
		if !used[name] {
			t.Errorf("code %s is used nowhere", name)
		}
	}
}

func isFault(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Fault"
}

func fieldsOf(lit *ast.CompositeLit) map[string]string {
	fields := make(map[string]string)
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, ok := kv.Key.(*ast.Ident)
		if !ok {
			continue
		}
		fields[key.Name] = "set"
		if s, ok := kv.Value.(*ast.SelectorExpr); ok {
			fields[key.Name] = s.Sel.Name
		}
	}
	return fields
}

// constants returns the names of the codes' constants.
func constants(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "replicator/change/code.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for _, name := range v.Names {
				if strings.HasPrefix(name.Name, "Code") {
					names = append(names, name.Name)
				}
			}
		}
		return true
	})
	if len(names) != len(change.Codes()) {
		t.Errorf("%d constants, %d texts", len(names), len(change.Codes()))
	}
	return names
}
