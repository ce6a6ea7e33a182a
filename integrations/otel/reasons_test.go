package fapiotel_test

import (
	"context"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write reasons.txt anew")

// The file has the text of each error variable of the root module that can be
// the reason of an event.
func TestReasons(t *testing.T) {
	want := errorTexts(t, "../..")
	require.Greater(t, len(want), 150)
	if *update {
		require.NoError(t, os.WriteFile("reasons.txt", []byte(strings.Join(want, "\n")+"\n"), 0o644))
	}
	got, err := os.ReadFile("reasons.txt")
	require.NoError(t, err)
	listed := strings.Split(strings.TrimSpace(string(got)), "\n")
	without := func(all, some []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(text string) bool { return slices.Contains(some, text) })
	}
	require.Empty(t, without(want, listed), "not in the list: run go test ./integrations/otel -update")
	require.Empty(t, without(listed, want), "not in the code: run go test ./integrations/otel -update")
}

// Each error code that the root module sends is a value of the attribute.
func TestErrorCodes(t *testing.T) {
	codes := map[string]bool{}
	eachFile(t, "../..", func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isCall(call, "oautherr") {
				codes[textOfArgument(call, 1)] = true
			}
			return true
		})
	})
	delete(codes, "") // no code, or a constant
	require.Greater(t, len(codes), 15)
	for code := range codes {
		r := record(t)
		r.ObserveRequest(context.Background(), profile.Event{Code: code})
		require.Contains(t, r.points()["fapi2.request.rejections"], "fapi2.endpoint=other,fapi2.error="+code+",fapi2.outcome=other")
	}
}

// errorTexts returns the texts of the error variables of a module, sorted. The
// first argument of the function that makes the error is its text, with or
// without the name of the package.
func errorTexts(t *testing.T, root string) (texts []string) {
	eachFile(t, root, func(file *ast.File) {
		for _, text := range errorsOf(file) {
			if !strings.Contains(text, ": ") {
				text = file.Name.Name + ": " + text
			}
			texts = append(texts, text)
		}
	})
	slices.Sort(texts)
	return slices.Compact(texts)
}

// eachFile calls f for each file of a module, without its tests and nested
// modules.
func eachFile(t *testing.T, root string, f func(*ast.File)) {
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (isModule(path) || entry.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(file)
		return nil
	}))
}

// plainReasons are the packages whose plain errors are reasons of a client. In
// other packages, only errors with a wire form are.
var plainReasons = map[string]bool{"client": true, "idtoken": true, "jarm": true, "profile": true}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// errorsOf returns the texts of the errors of a file: of each oautherr.New, and
// of each error variable that a function of the package makes.
func errorsOf(file *ast.File) (texts []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if isCall(n, "oautherr") {
				texts = append(texts, textOfArgument(n, 0))
			}
		case *ast.ValueSpec:
			if len(n.Values) != 1 || !strings.HasPrefix(strings.ToLower(n.Names[0].Name), "err") {
				break
			}
			if call, ok := n.Values[0].(*ast.CallExpr); ok {
				_, own := call.Fun.(*ast.Ident)
				if own || isCall(call, "errors") && plainReasons[file.Name.Name] {
					texts = append(texts, textOfArgument(call, 0))
				}
			}
		}
		return true
	})
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}

// isCall reports whether a call is one of New of a package.
func isCall(call *ast.CallExpr, name string) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && f.Sel.Name == "New" && fmt.Sprint(f.X) == name
}

// textOfArgument returns an argument of a call if it is a string.
func textOfArgument(call *ast.CallExpr, i int) string {
	if len(call.Args) <= i {
		return ""
	}
	literal, ok := call.Args[i].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	text, _ := strconv.Unquote(literal.Value)
	return text
}
