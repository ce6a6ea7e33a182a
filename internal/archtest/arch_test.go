package archtest_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// rules contains the rules by name. A rule returns its findings about a tree,
// one sentence each.
var rules = map[string]func(*repo) []string{
	"imports":             importRule,
	"direct dependencies": directDependencyRule,
	"signatures":          signatureRule,
	"sizes":               sizeRule,
	"files":               fileRule,
	"surface":             surfaceRule,
	"interfaces":          interfaceRule,
	"documentation":       documentationRule,
	"no init":             initRule,
	"no mutable exports":  mutableRule,
	"no skips":            skipRule,
	"words":               wordRule,
	"prose":               proseRule,
	"links":               linkRule,
	"snippets":            snippetRule,
	"names in pages":      nameRule,
	"commands in pages":   commandRule,
	"forge":               forgeRule,
	"troubleshooting":     troubleRule,
	"duties of hosts":     dutyRule,
}

func TestArchitecture(t *testing.T) {
	if *update {
		lowerLimits(t)
		rewriteSnippets(t)
	}
	r, err := load(os.DirFS("../.."))
	require.NoError(t, err)
	require.NotEmpty(t, r.sources)
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, finding := range rule(r) {
				t.Error(finding)
			}
		})
	}
}

const (
	module     = "example.org/m"
	rootModule = "module " + module + "\n\ngo 1.25.0\n"
)

// goFile returns a sample: a package with imports and a body.
func goFile(pkg, body string, imports ...string) string {
	text := "// Package " + pkg + " is a sample.\npackage " + pkg + "\n\n"
	for _, i := range imports {
		text += "import " + i + "\n"
	}
	return text + body
}

func importing(pkg string, paths ...string) string {
	var specs []string
	for _, p := range paths {
		specs = append(specs, `_ "`+p+`"`)
	}
	return goFile(pkg, "", specs...)
}

func lines(n int) string { return strings.Repeat("\n", n) }

// names returns n documented exported functions.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("// F is.\nfunc F" + strings.Repeat("x", i) + "() {}\n")
	}
	return b.String()
}

type sample struct {
	name  string
	files map[string]string
	want  []string // a part of each finding, in order
}

func one(name, file, text string, want ...string) sample {
	return sample{name, map[string]string{file: text}, want}
}

func nested(name, file, text string, want ...string) sample {
	return sample{name, map[string]string{"store/sql/go.mod": "module " + module + "/store/sql\n", file: text}, want}
}

var samples = map[string][]sample{
	"imports": {
		one("a leaf on the standard library, oauth2 and internal", "dpop/a.go",
			importing("dpop", "net/http", oauth2, oauth2+"/clientcredentials", module+"/internal/jose")),
		one("a leaf on another leaf", "dpop/a.go", importing("dpop", module+"/jarm"), "dpop/a.go:4: imports example.org/m/jarm: a leaf"),
		one("a leaf's test on another leaf", "dpop/a_test.go", importing("dpop_test", module+"/jarm"), "a leaf imports no other leaf"),
		one("a leaf on profile", "dpop/a.go", importing("dpop", module+"/profile"), "not profile"),
		one("a leaf on jwx", "dpop/a.go", importing("dpop", jwx+"v2/jws"), "only importer of jwx"),
		one("a leaf on what is no dependency", "dpop/a.go", importing("dpop", "github.com/google/uuid"), "not a dependency"),
		one("a leaf's kit on its leaf", "dpop/dpoptest/a.go", importing("dpoptest", module+"/dpop")),
		one("a leaf's test on the leaf's kit", "dpop/a_test.go", importing("dpop_test", module+"/dpop/dpoptest", testify+"/require")),
		one("a leaf's kit on another leaf", "dpop/dpoptest/a.go", importing("dpoptest", module+"/par"), "a leaf imports no other leaf"),
		one("a leaf on another's kit", "dpop/a.go", importing("dpop", module+"/par/partest"), "a leaf imports no other leaf"),
		one("a leaf with the name of another as its beginning", "jwksx/a.go", importing("jwksx", module+"/jwks"), "a leaf imports no other leaf"),
		one("testify outside of tests", "dpop/dpoptest/a.go", importing("dpoptest", testify+"/require"), "testify is for _test.go"),
		one("the harness in a test", "dpop/a_test.go", importing("dpop_test", module+"/internal/testkit")),
		one("the harness outside of tests", "dpop/a.go", importing("dpop", module+"/internal/testkit"), "harness is for _test.go"),
		one("the harness in the harness", "internal/testserver/a.go", importing("testserver", module+"/internal/testkit")),
		one("the harness in internal code", "internal/jose/a.go", importing("jose", module+"/internal/testkit"), "harness is for _test.go"),
		one("jose on jwx", "internal/jose/a.go", importing("jose", jwx+"v2/jws", module+"/internal/strictjson")),
		one("jose on a leaf", "internal/jose/a.go", importing("jose", module+"/jwks"), "import no public package"),
		one("internal on jwx", "internal/strictjson/a.go", importing("strictjson", jwx+"v2/jwk"), "only importer of jwx"),
		one("internal on profile", "internal/strictjson/a.go", importing("strictjson", module+"/profile"), "import no public package"),
		one("internal on oauth2", "internal/strictjson/a.go", importing("strictjson", oauth2), "for leaves and profile"),
		one("profile on every leaf", "profile/a.go", importing("profile", module+"/dpop", module+"/dpop/dpoptest", module+"/internal/jose", oauth2)),
		one("a role on profile and what the roles share", "profile/client/a.go", importing("client", module+"/profile", module+"/profile/internal/wire", module+"/dpop", oauth2)),
		one("the authorization server on the resource server", "profile/authserver/a.go", importing("authserver", module+"/profile/resourceserver")),
		one("the resource server on the authorization server", "profile/resourceserver/a.go", importing("resourceserver", module+"/profile/authserver"), "a role imports no other role"),
		one("the authorization server on the client", "profile/authserver/a.go", importing("authserver", module+"/profile/client"), "a role imports no other role"),
		one("a helper of a role on that role", "profile/client/loopback/a.go", importing("loopback", module+"/profile/client", oauth2)),
		one("a helper of a role on another role", "profile/client/loopback/a.go", importing("loopback", module+"/profile/authserver"), "a role imports no other role"),
		one("a role on the rules of ecosystems", "profile/client/a.go", importing("client", module+"/profile/rules", oauth2)),
		one("the rules of ecosystems on a role", "profile/rules/a.go", importing("rules", module+"/profile", module+"/profile/client"), "import no role"),
		one("documents of ecosystems on their rules", "profile/ecosystems/a.go", importing("ecosystems", module+"/profile/rules")),
		one("profile on the rules of ecosystems", "profile/a.go", importing("profile", module+"/profile/rules"), "imports no package below it"),
		one("a role on its helper", "profile/client/a.go", importing("client", module+"/profile/client/loopback"), "a role imports no other role"),
		one("a test of a role on another role", "profile/client/a_test.go", importing("client_test", module+"/profile/authserver")),
		one("profile on a role", "profile/a.go", importing("profile", module+"/profile/client"), "imports no package below it"),
		one("what the roles share on a role", "profile/internal/wire/a.go", importing("wire", module+"/profile/client"), "imports no role"),
		one("the harness of the roles on a role", "profile/internal/roletest/a.go", importing("roletest", module+"/profile/client", module+"/rar", oauth2)),
		one("the harness of the roles in a test", "profile/client/a_test.go", importing("client_test", module+"/profile/internal/roletest")),
		one("the harness of the roles outside of tests", "profile/client/a.go", importing("client", module+"/profile/internal/roletest"), "harness is for _test.go"),
		one("the harness of the roles in a leaf's test", "dpop/a_test.go", importing("dpop_test", module+"/profile/internal/roletest"), "not profile"),
		one("the test kit of the profile on a role", "profile/profiletest/a.go", importing("profiletest", module+"/profile/authserver")),
		one("a command on profile, a role and a leaf", "cmd/m/a.go", importing("main", module+"/profile", module+"/profile/client", module+"/jwks")),
		one("a command on oauth2", "cmd/m/a.go", importing("main", oauth2), "for leaves and profile"),
		one("a leaf on a command", "dpop/a.go", importing("dpop", module+"/cmd/m"), "nothing to import there"),
		one("profile on jwx", "profile/a.go", importing("profile", jwx+"v2/jwk"), "only importer of jwx"),
		one("rar on JSON Schema", "rar/a.go", importing("rar", jsonschema+"/jsonschema")),
		one("another leaf on JSON Schema", "par/a.go", importing("par", jsonschema+"/jsonschema"), "only rar"),
		one("code in the root", "a.go", importing("m", module+"/internal/jose", module+"/dpop"), "the root holds no code", "import no public package"),
		one("anything on the architecture's tests", "dpop/a_test.go", importing("dpop_test", module+"/internal/archtest"), "nothing to import there"),
		nested("a nested module on public packages and drivers", "store/sql/a.go",
			importing("sql", module+"/par", module+"/dpop/dpoptest", module+"/store/sql/internal/x", "github.com/jackc/pgx/v5")),
		nested("a nested module on internal packages", "store/sql/a.go", importing("sql", module+"/internal/jose"), "public packages only"),
		nested("a nested module's test on internal packages", "store/sql/a_test.go", importing("sql_test", module+"/internal/jose"), "public packages only"),
		nested("a nested module's test on the harness", "store/sql/a_test.go", importing("sql_test", module+"/internal/testkit", module+"/internal/testserver")),
		nested("a nested module on the harness", "store/sql/a.go", importing("sql", module+"/internal/testserver"), "public packages only"),
		nested("the root module on a nested one", "profile/a.go", importing("profile", module+"/store/sql"), "must not need a nested one"),
	},
	"direct dependencies": {
		one("those decided on", "go.mod", rootModule+"require "+oauth2+" v0.1.0\nrequire (\n\t"+jwx+"v2 v2.0.0\n\t"+testify+" v1.0.0\n\t"+jsonschema+" v0.1.0\n\tgithub.com/x/y v1.0.0 // indirect\n)\n"),
		one("another one in a block", "go.mod", rootModule+"require (\n\t"+testify+" v1.0.0\n\tgithub.com/x/y v1.0.0\n)\n", "go.mod:6: github.com/x/y"),
		one("another one on a line", "go.mod", rootModule+"require github.com/x/y v1.0.0\n", "go.mod:4: github.com/x/y"),
		one("another version of jwx", "go.mod", rootModule+"require "+jwx+"v3 v3.0.0\n", "jwx/v3"),
		one("a replacement", "go.mod", rootModule+"replace "+oauth2+" => ../oauth2\n", "replace has no effect"),
		one("a replacement in a block", "go.mod", rootModule+"replace (\n\t"+oauth2+" => ../oauth2\n)\n", "replace has no effect"),
	},
	"signatures": {
		one("a parameter", "dpop/a.go", goFile("dpop", "func F(k *jose.Key) {}\n", `"`+module+`/internal/jose"`), "dpop/a.go:5: the exported F mentions jose.Key"),
		one("a result of jwx under a name of its own", "dpop/a.go", goFile("dpop", "func F() (k j.Set, err error) { return nil, nil }\n", `j "`+jwx+`v2/jwk"`), "mentions jwk.Set"),
		one("a method", "dpop/a.go", goFile("dpop", "type T struct{}\nfunc (t *T) M(a, b []jose.Key) {}\n", `"`+module+`/internal/jose"`), "the exported M mentions"),
		one("a field", "dpop/a.go", goFile("dpop", "type T struct { K map[string]*jose.Key }\n", `"`+module+`/internal/jose"`), "the exported T mentions"),
		one("an embedded field", "dpop/a.go", goFile("dpop", "type T struct { *jose.Key }\n", `"`+module+`/internal/jose"`), "the exported T mentions"),
		one("an alias", "dpop/a.go", goFile("dpop", "type T = jose.Key\n", `"`+module+`/internal/jose"`), "the exported T mentions"),
		one("a definition", "dpop/a.go", goFile("dpop", "type T jose.Key\n", `"`+module+`/internal/jose"`), "the exported T mentions"),
		one("an interface's method", "dpop/a.go", goFile("dpop", "type T interface { M(jose.Key) }\n", `"`+module+`/internal/jose"`), "the exported T mentions"),
		one("a function type", "dpop/a.go", goFile("dpop", "type T func(context.Context) ([]jose.Key, error)\n", `"`+module+`/internal/jose"`, `"context"`), "the exported T mentions"),
		one("a constraint", "dpop/a.go", goFile("dpop", "type T[K jose.Key] struct{}\nfunc F[K jose.Key]() {}\n", `"`+module+`/internal/jose"`), "the exported T mentions", "the exported F mentions"),
		one("an alias that is not exported, in another file", "dpop/a.go", goFile("dpop", "type key = jose.Key\nfunc F(key) {}\n", `"`+module+`/internal/jose"`), "the exported key mentions"),
		one("a variable's type", "dpop/a.go", goFile("dpop", "var V jose.Key\nvar W = &jose.Key{}\n", `"`+module+`/internal/jose"`), "the exported V", "the exported W"),
		one("what is not exported", "dpop/a.go", goFile("dpop", "type T struct { k *jose.Key; jose.key }\ntype t jose.Key\nfunc f(jose.Key) {}\nfunc (t) M(jose.Key) {}\nfunc F(jose string) { jose.Use() }\nvar v jose.Key\n", `"`+module+`/internal/jose"`)),
		one("an unexported struct with a hidden field", "dpop/a.go", goFile("dpop", "type t struct { k jose.Key }\nfunc F() *t { return nil }\n", `"`+module+`/internal/jose"`)),
		one("internal packages among themselves", "internal/jose/a.go", goFile("jose", "func F(s jws.Set) {}\n", `"`+jwx+`v2/jws"`)),
		one("the standard library's types", "dpop/a.go", goFile("dpop", "func F(k crypto.Signer, r *http.Request) {}\n", `"crypto"`, `"net/http"`)),
	},
	"files": {
		one("an ELF program", "bank", "\x7fELF\x02", "bank: an executable"),
		one("a PE program", "examples/bank/bank.exe", "MZ\x90\x00", "bank.exe: an executable"),
		one("a Mach-O program", "examples/bank/bank", "\xcf\xfa\xed\xfe", "bank: an executable"),
		one("a Mach-O program for several architectures", "a", "\xca\xfe\xba\xbe", "a: an executable"),
		one("a program among test data", "dpop/testdata/a", "\x7fELF", "dpop/testdata/a: an executable"),
		one("a large text", "spec/a.md", strings.Repeat("a", maxFileBytes+1), "spec/a.md: 262145 bytes"),
		one("a text that just fits", "spec/a.md", strings.Repeat("a", maxFileBytes)),
		one("a large picture", "docs/a.png", "\x89PNG"+strings.Repeat("a", maxFileBytes)),
		one("an empty file", "docs/a", ""),
		one("what npm installs", "interop/node_modules/esbuild/bin", "\x7fELF"),
	},
	"sizes": {
		one("a long function", "dpop/a.go", goFile("dpop", "func f() {"+lines(maxFunctionLines)+"}\n"), "dpop/a.go:4: f has 71 lines"),
		one("a function that just fits", "dpop/a.go", goFile("dpop", "func f() {"+lines(maxFunctionLines-1)+"}\n")),
	},
	"surface": {
		one("a leaf that just fits", "dpop/a.go", goFile("dpop", names(maxLeafNames)+"func f() {}\n")),
		one("a wide leaf", "dpop/a.go", goFile("dpop", names(maxLeafNames+1)), "dpop: 31 exported names, more than 30"),
		one("methods and fields do not count", "dpop/a.go", goFile("dpop", names(maxLeafNames-1)+"type T struct { A, B int }\nfunc (T) M() {}\n")),
		{"a kit is counted apart", map[string]string{"dpop/a.go": goFile("dpop", names(20)), "dpop/dpoptest/a.go": goFile("dpoptest", names(20))}, nil},
		one("a wide authorization server", "profile/authserver/a.go", goFile("authserver", names(maxLeafNames+1)), "profile/authserver: 31 exported names, more than 30"),
	},
	"interfaces": {
		one("three methods", "par/a.go", goFile("par", "type S interface { A(); B(); C() }\n")),
		one("four methods", "par/a.go", goFile("par", "type S interface { A(); B(); C(); D() }\n"), "S has 4 methods"),
	},
	"documentation": {
		one("all documented", "dpop/a.go", goFile("dpop", "// F does.\nfunc F() {}\n\n// T is.\ntype T struct {\n\t// A is, and B.\n\tA int\n\tB int\n\tC int // C is.\n\td int\n}\n\n// M does.\nfunc (T) M() {}\n\n// Errors.\nvar (\n\tErrA = errors.New(\"\")\n)\n")),
		one("a function", "dpop/a.go", goFile("dpop", "func F() {}\n"), "dpop/a.go:4: F has no comment"),
		one("a method", "dpop/a.go", goFile("dpop", "// T is.\ntype T struct{}\nfunc (t *T) M() {}\n"), "T.M has no comment"),
		one("a type, a constant, a variable", "dpop/a.go", goFile("dpop", "type T int\nconst C = 1\nvar V = 1\n"), "T has no", "C has no", "V has no"),
		one("a field", "dpop/a.go", goFile("dpop", "// T is.\ntype T struct {\n\t// A is.\n\tA int\n\n\tB int\n}\n"), "T.B has no comment"),
		one("an interface's method", "dpop/a.go", goFile("dpop", "// T is.\ntype T interface {\n\tA()\n}\n"), "T.A has no comment"),
		one("a package", "dpop/a.go", "package dpop\n", "dpop: no file of the package"),
		one("a package with a comment about something else", "dpop/a.go", "// DPoP.\npackage dpop\n", "dpop: no file of the package"),
		{"one file is enough for the package", map[string]string{"dpop/a.go": "package dpop\n", "dpop/b.go": "// Package dpop is.\npackage dpop\n"}, nil},
		one("a field and a method of an internal type", "internal/a/a.go", goFile("a", "// T is.\ntype T struct {\n\tA int\n}\n\nfunc (T) M() {}\n")),
		one("an internal function", "internal/a/a.go", goFile("a", "func F() {}\n"), "F has no comment"),
		one("tests and programs need none", "examples/a.go", "package main\n\nfunc F() {}\n"),
	},
	"no init": {
		one("an init function", "dpop/a.go", goFile("dpop", "func init() {}\n"), "dpop/a.go:4: an init function"),
		one("a method called init", "dpop/a.go", goFile("dpop", "type t int\nfunc (t) init() {}\n")),
	},
	"no mutable exports": {
		one("sentinels", "dpop/a.go", goFile("dpop", "var (\n\tErrA = errors.New(\"a\")\n\tErrB = oautherr.New(\"b\", \"\", 400, \"\")\n\tErrC error = wrap(ErrA)\n\tErrD = fmt.Errorf(\"%w\", ErrA)\n)\nvar hidden = 1\nconst C = 1\nvar _ I = T{}\n",
			`"errors"`, `"fmt"`, `"`+module+`/internal/oautherr"`)),
		one("a map", "dpop/a.go", goFile("dpop", "var M = map[string]int{}\n"), "M is not an error sentinel"),
		one("a sentinel with another name", "dpop/a.go", goFile("dpop", "var Replayed = errors.New(\"\")\n", `"errors"`), "Replayed is not"),
		one("another thing with a sentinel's name", "dpop/a.go", goFile("dpop", "var ErrMap = map[string]error{}\nvar ErrCount int\nvar ErrX = errs.New()\n", `"example.org/errs"`), "ErrMap is not", "ErrCount is not", "ErrX is not"),
	},
	"no skips": {
		one("a skip", "dpop/a_test.go", goFile("dpop", "func TestX(t *testing.T) { t.Skip() }\n", `"testing"`), "Skip outside of"),
		one("skips of all kinds", "dpop/a_test.go", goFile("dpop", "func TestX(t *testing.T) { t.Skipf(\"\"); t.Run(\"\", func(t *testing.T) { t.SkipNow() }) }\n", `"testing"`), "Skipf outside", "SkipNow outside"),
		one("a skip in a kit", "dpop/dpoptest/a.go", goFile("dpoptest", "func TestStore(t *testing.T) { t.Skip() }\n", `"testing"`), "Skip outside of"),
		one("the harness's Require", "internal/testkit/a.go", goFile("testkit", "func Require(t testing.TB) { t.Skipf(\"\") }\n", `"testing"`)),
		one("another function of the harness", "internal/testkit/a.go", goFile("testkit", "func Maybe(t testing.TB) { t.Skipf(\"\") }\n", `"testing"`), "Skipf outside"),
		one("a Require elsewhere", "dpop/a_test.go", goFile("dpop", "func RequireX(t testing.TB) { t.Skipf(\"\") }\n", `"testing"`), "Skipf outside"),
		one("the kit for users' servers", "conformance/a.go", goFile("conformance", "func Server(t *testing.T) { t.Skip() }\n", `"testing"`)),
		one("a test of that kit", "conformance/a_test.go", goFile("conformance", "func Server(t *testing.T) { t.Skip() }\n", `"testing"`), "Skip outside of"),
		one("another thing's Skip", "internal/strictjson/a.go", goFile("strictjson", "func f(s *scanner) { s.Skip() }\n")),
	},
	"words": {
		one("a path of one machine", "README.md", "see /wo"+"rk/main\n", "README.md:1"),
		one("a home directory", "dpop/a.go", goFile("dpop", "const c = \"/ho"+"me/me/key\"\n"), "dpop/a.go:4"),
		one("an address that looks like one", "README.md", "https://example.org/wo"+"rk/x and go.work and ./wo"+"rk/\n"),
		one("an open end without a clause", ".ci/run", "# TO"+"DO: later\n", ".ci/run:1"),
		one("an open end with one", "dpop/a.go", goFile("dpop", "// TO"+"DO(GM-8.1-1): later\n// TO"+"DO(GM-8.1-1, GM-8.1-2): later\n")),
		one("an open end with something else", "dpop/a.go", goFile("dpop", "// TO"+"DO(me): later\n"), "dpop/a.go:4"),
		one("a registry's host", "package.json", "https://registry."+"npmjs.org/x\n", "registry's host"),
		one("what is not ours", "interop/node_modules/a.js", "// TO"+"DO\n"),
		one("binary files", "x.bin", "\x00 /wo"+"rk/\n"),
	},
	"prose": {
		one("plain sentences", "dpop/a.go", goFile("dpop", "// F is.\nfunc F() {}\n")),
		one("odd turns in comments", "dpop/a.go", goFile("dpop", oddComments), "dpop: 4 odd turns"),
		one("odd turns in the texts of errors", "dpop/a.go", goFile("dpop", "var err = errors.New(\"a: the peer is no client, nobody is, which is refused\" +\n\t\", say\")\n"), "dpop: 4 odd turns"),
		one("odd turns in other strings", "dpop/a.go", goFile("dpop", "var s = \"is no client, nobody is, refused, say\"\n")),
		one("odd turns in tests", "dpop/a_test.go", goFile("dpop", oddComments)),
		one("odd turns in code blocks", "dpop/a.go", goFile("dpop", "// For example:\n//\n"+strings.ReplaceAll(oddComments, "// ", "//\t"))),
		one("odd turns in Markdown", "README.md", strings.ReplaceAll(oddComments, "// ", "- "), "README.md: 4 odd turns"),
		one("odd turns in code blocks of Markdown", "README.md", "```\n"+oddComments+"```\n\n    "+strings.ReplaceAll(oddComments, "\n", "\n    ")),
		one("odd turns in a generated page", "spec/coverage/dpop.md", oddComments),
		one("long sentences", "dpop/a.go", goFile("dpop", strings.Repeat("// F"+strings.Repeat("\n// is", maxSentenceWords)+".\n", 4)), "dpop: 4 long sentences"),
		one("sentences that just fit", "dpop/a.go", goFile("dpop", strings.Repeat("// F"+strings.Repeat("\n// is", maxSentenceWords-1)+".\n", 4))),
		one("a wide comment", "dpop/a.go", goFile("dpop", "// F "+strings.Repeat("a", 76)+"\n"), "dpop: 1 comment lines over 80"),
		one("a comment that just fits", "dpop/a.go", goFile("dpop", "// F "+strings.Repeat("a", 75)+"\n")),
		one("a long address", "dpop/a.go", goFile("dpop", "// https://"+strings.Repeat("a", 80)+"\n")),
		one("wide code", "dpop/a.go", goFile("dpop", "func f() {\n\tf() // "+strings.Repeat("a", 110)+"\n}\n"), "dpop: 1 code lines over 120"),
		one("code that just fits", "dpop/a.go", goFile("dpop", "func f() {\n\tf() // "+strings.Repeat("a", 109)+"\n}\n")),
		{"a limit of its own", map[string]string{"dpop/a.go": goFile("dpop", oddComments), proseTable: "dpop\t5\t3\t0\t0\n"}, nil},
		{"a limit that is too high", map[string]string{"dpop/a.go": goFile("dpop", oddComments), proseTable: "dpop\t6.1\t3\t10\t11\n"},
			[]string{"4 odd turns per 1,000 words, and the limit is still 6.1", "0 code lines over 120 columns, and the limit is still 11"}},
		one("a limit of a package that does not exist", proseTable, "dpop\t6\t3\t0\t0\n", "prose.tsv:dpop: no such package"),
		one("a table that cannot be read", proseTable, "dpop\n", "prose.tsv:1"),
	},
	"links": {
		tree("links that lead somewhere", "a", "docs/b.md", "# A `B`, c_d!\n\n# A B c_d\n\n<a id=\"own\"></a>\n"),
		tree("a missing file", "[a](docs/c.md)\n", "docs/b.md", "", "README.md:1: docs/c.md does not exist"),
		tree("a file from another directory", "", "docs/b.md", "\n[a](README.md) [b](../README.md) [c](../docs) [d](../docs/)\n", "docs/b.md:2: README.md does not exist"),
		tree("headings", "[a](docs/b.md#a-b-c_d) [b](docs/b.md#a-b-c_d-1) [c](docs/b.md#own) [d](#here)\n\n## Here\n", "docs/b.md",
			"# A `B`, c_d!\n\n# A B c_d\n\n<a id=\"own\"></a>\n"),
		tree("missing headings", "[a](docs/b.md#a) [b](#b)\n\n# C\n", "docs/b.md", "    # a\n", "docs/b.md#a: no such heading", "#b: no such heading"),
		tree("a picture", "<img src=\"a.png\" alt=\"\"> ![b](docs/b.md)\n", "docs/b.md", "", "a.png does not exist"),
		tree("other sites", "[a](https://example.org/a) [b](http://example.org/b) [c](mailto:a@example.org)\n", "docs/b.md", "", "http://example.org/b: want https"),
		tree("links in code", "`[a](b.md)`\n\n```\n[a](b.md)\n```\n\n    [a](b.md)\n", "docs/b.md", ""),
	},
	"snippets": {
		tree("a region", "<!-- code: dpop/a_test.go part -->\n```go\ng()\n```\n", "dpop/a_test.go", region),
		tree("the body of a function", "<!-- code: dpop/a_test.go f -->\n```go\ng()\n```\n", "dpop/a_test.go", goFile("dpop_test", "func f() {\n\tg()\n}\n")),
		tree("code that differs", "<!-- code: dpop/a_test.go part -->\n```go\nh()\n```\n", "dpop/a_test.go", region, "README.md:3: differs from dpop/a_test.go part"),
		tree("Go code of its own", "```go\ng()\n```\n", "dpop/a_test.go", region, "README.md:2: Go code without"),
		tree("a marker that is not on the line above", "<!-- code: dpop/a_test.go part -->\n\n```go\ng()\n```\n", "dpop/a_test.go", region, "README.md:4: Go code without"),
		tree("a missing file", "<!-- code: dpop/b_test.go part -->\n```go\ng()\n```\n", "dpop/a_test.go", region, "dpop/b_test.go does not exist"),
		tree("a missing region", "<!-- code: dpop/a_test.go other -->\n```go\ng()\n```\n", "dpop/a_test.go", region, "neither a region nor a function other"),
		tree("a region without an end", "<!-- code: dpop/a_test.go part -->\n```go\ng()\n```\n", "dpop/a_test.go", strings.ReplaceAll(region, "//docs:end", "//"), "region part has no end"),
		tree("a region in a region", "<!-- code: dpop/a_test.go part -->\n```go\ng()\n```\n", "dpop/a_test.go",
			strings.ReplaceAll(region, "\tg()", "\t//docs:begin inner\n\tg()"), "region part contains another"),
		tree("code in other languages", "```sql\nSELECT 1\n```\n\n```\ng()\n```\n", "dpop/a_test.go", region),
	},
	"names in pages": {
		tree("names that exist", "`dpop.Config`, `dpop.Config.Inner.Deep`, `Config.Do()`, `dpop.New(dpop.Config{Inner: nil})`, `v.Config`, `ExampleNew`\n", "dpop/a.go", nameSample),
		tree("a missing name", "`dpop.Nothing`\n", "dpop/a.go", nameSample, "README.md:1: `dpop.Nothing` does not exist"),
		tree("a missing field", "`dpop.Config.Outer` `dpop.Config.Inner.Flat`\n", "dpop/a.go", nameSample, "`dpop.Config.Outer`", "`dpop.Config.Inner.Flat`"),
		tree("a missing field in a literal", "`c := dpop.Config{Inner: nil, Outer: 1}`\n", "dpop/a.go", nameSample, "`dpop.Config.Outer`"),
		tree("a missing method", "`Config.Undo`\n", "dpop/a.go", nameSample, "`Config.Undo` does not exist"),
		tree("a missing test", "`ExampleOld`\n", "dpop/a.go", nameSample, "`ExampleOld` does not exist"),
		tree("names of other modules", "`oauth2.Nothing` `dpop.example.org` `http.Client`\n", "dpop/a.go", nameSample),
		tree("names outside of code", "dpop.Nothing\n\n    dpop.Nothing\n", "dpop/a.go", nameSample),
	},
	"commands in pages": {
		tree("commands that work", "    go test work\n    go test ./cmd -run 'TestA$' -own=3 x\n    go run -race ./cmd -own x # now\n    go get "+module+"\n    go run example.org/x@v1\n    .ci/run\n\n"+
			"`go test ./...` and `A=1 go run "+module+"/cmd@latest`\n\n```sh\n$ cd cmd\n$ go run .\n```\n", "cmd/a.go", program),
		tree("a missing directory", "`go run ./b` and `go test ./b/...`\n", "cmd/a.go", program, "README.md:1: go run ./b: no such package", "no such directory"),
		tree("a package that is not a program", "`go run ./dpop`\n", "dpop/a.go", goFile("dpop", ""), "not a program"),
		tree("a directory without a dot", "`go run cmd`\n", "cmd/a.go", program, "write ./cmd"),
		tree("a missing flag", "    go run ./cmd -other\n", "cmd/a.go", program, "README.md:1: go run ./cmd -other: no flag -other"),
		tree("a missing test", "`go test ./cmd -run TestB`\n", "cmd/a.go", program, "no test matches TestB"),
		tree("a test in another package", "`go test ./dpop -run TestA`\n", "dpop/a.go", goFile("dpop", ""), "no test matches TestA"),
		tree("a missing script", "`.ci/walk`\n", "cmd/a.go", program, "no such script"),
	},
	"forge": {
		{"a workflow", map[string]string{workflow: "      - uses: a/b/c@" + strings.Repeat("0a", 20) + " # v1.2.3\n      - run: set -e; go vet work | tee log\n", dependabot: updates}, nil},
		{"an action by its tag", map[string]string{workflow: "      - uses: a/b@v1\n", dependabot: updates}, []string{workflow + ":1: a/b@v1: want a commit"}},
		{"an action without its version", map[string]string{workflow: "        uses: a/b@" + strings.Repeat("0a", 20) + "\n", dependabot: updates}, []string{"want a commit"}},
		{"a missing script", map[string]string{workflow: "      - run: .ci/walk x\n", dependabot: updates}, []string{workflow + ":1: .ci/walk x: no such script"}},
		{"a module that is not updated", map[string]string{workflow: "", dependabot: updates, "store/sql/go.mod": "module " + module + "/store/sql\n"}, []string{"no entry for gomod /store/sql"}},
		{"a package of npm that is not updated", map[string]string{workflow: "", dependabot: updates, "interop/package.json": "{}\n"}, []string{"no entry for npm /interop"}},
		{"a module that is gone", map[string]string{workflow: "", dependabot: updates + updateOf("/gone")}, []string{"nothing to update for gomod /gone"}},
		{"modules that are released and that are not", map[string]string{workflow: "", dependabot: updates + updateOf("/store/sql") + updateOf("/interop"),
			"store/sql/go.mod": "", "interop/go.mod": "", releasing: "`" + module + "/store/sql` is, `interop` is not\n"}, nil},
		{"a module that is not mentioned", map[string]string{workflow: "", dependabot: updates + updateOf("/interop"), "interop/go.mod": "", releasing: "interop\n"},
			[]string{"does not say whether interop is released"}},
		{"no updates", map[string]string{workflow: ""}, []string{"no entry for github-actions /", "no entry for gomod /"}},
	},
	"troubleshooting": {
		{"a row for each sentinel", trouble("| `dpop: late` | `dpop.ErrLate` | It is late. | Hurry. |\n| `dpop: odd` | `dpop.ErrOdd` | It is odd. | Add 1. |\n"), nil},
		{"a sentinel without a row", trouble("| `dpop: late` | `dpop.ErrLate` | It is late. | Hurry. |\n"), []string{"dpop/a.go:9: dpop.ErrOdd has no row"}},
		{"another text", trouble("| `dpop: early` | `dpop.ErrLate` | It is late. | Hurry. |\n| `dpop: odd` | `dpop.ErrOdd` | a | b |\n"), []string{"the text of dpop.ErrLate is \"dpop: late\""}},
		{"a row of no sentinel, one that is repeated, and one without a remedy",
			trouble("| `dpop: late` | `dpop.ErrLate` | a | b |\n| `dpop: odd` | `dpop.ErrOdd` | a | b |\n| `dpop: odd` | `dpop.ErrOdd` | a | b |\n| `x` | `dpop.ErrX` | a | b |\n| `x` | `dpop.ErrY` | a |\n"),
			[]string{":3: dpop.ErrOdd has two rows", ":4: dpop.ErrX does not exist", ":5: want | `text`"}},
		{"errors that users do not see", map[string]string{
			troubleshooting: "", "internal/jose/a.go": goFile("jose", "var ErrA = errors.New(\"a\")\n", `"errors"`), "dpop/a_test.go": goFile("dpop_test", "var ErrA = errors.New(\"a\")\n", `"errors"`),
		}, nil},
	},
	"duties of hosts": {
		{"a duty in the checklist", map[string]string{requirements: dutyRow, checklist: "| `SP-1-2` | a |\n"}, nil},
		{"a duty that is missing", map[string]string{requirements: dutyRow, checklist: "SP-1-2\n"}, []string{"no row for SP-1-2"}},
		{"a clause that does not exist", map[string]string{requirements: dutyRow, checklist: "`SP-1-2` `SP-1-3`\n"}, []string{"SP-1-3 is not in"}},
	},
}

// updateOf returns an entry of Dependabot for a module.
func updateOf(dir string) string { return "  - package-ecosystem: gomod\n    directory: " + dir + "\n" }

// tree returns a sample with a README, a second file and some others.
func tree(name, readme, file, text string, want ...string) sample {
	return sample{name, map[string]string{
		"README.md": readme, ".ci/run": "", "cmd/a_test.go": goFile("main_test", "func TestA() {}\n"), "dpop/example_test.go": goFile("dpop_test", "func ExampleNew() {}\n"), file: text,
	}, want}
}

// trouble returns a package with two sentinels and a page about them.
func trouble(rows string) map[string]string {
	return map[string]string{troubleshooting: rows, "dpop/a.go": goFile("dpop",
		"var (\n\tErrLate = errors.New(\"dpop: late\")\n\tErrOdd = fmt.Errorf(\"%w: %w\", oautherr.New(\"dpop: odd\"), ErrLate)\n)\n",
		`"errors"`, `"fmt"`, `"example.org/m/internal/oautherr"`)}
}

const dutyRow = "SP-1-1\tSP\t1\tall\tMUST\tprofile\tdone\tA\nSP-1-2\tSP\t1\tall\tMUST\tprofile\thost\tB\n"

const nameSample = "// Package dpop is.\npackage dpop\n\ntype Config struct { Inner *Inner }\ntype Inner struct { Deep int }\nfunc (c *Config) Do() {}\nfunc New(Config) {}\n"

const (
	workflow = ".github/workflows/ci.yml"
	updates  = "  - package-ecosystem: gomod\n    directory: /\n  - package-ecosystem: github-actions\n    directory: /\n"
)

var (
	region  = goFile("dpop_test", "func f() {\n\t//docs:begin part\n\tg()\n\t//docs:end\n}\n")
	program = goFile("main", "func main() { flag.Int(\"own\", 0, \"\") }\n", `"flag"`)
)

// oddComments has an odd turn on each line.
const oddComments = "// What is next is code.\n// It reaches nobody.\n// The store refuses.\n// The header, say.\n"

func TestEachRuleCanFail(t *testing.T) {
	for name, rule := range rules {
		fails := false
		for _, s := range samples[name] {
			fails = fails || len(s.want) > 0
			t.Run(name+"/"+s.name, func(t *testing.T) {
				tree := fstest.MapFS{"go.mod": {Data: []byte(rootModule)}}
				for file, text := range s.files {
					tree[file] = &fstest.MapFile{Data: []byte(text)}
				}
				r, err := load(tree)
				require.NoError(t, err)
				got := rule(r)
				require.Len(t, got, len(s.want), "%q", got)
				for i, want := range s.want {
					require.Contains(t, got[i], want)
				}
			})
		}
		require.True(t, fails, "no bad sample for the rule about %s", name)
	}
}

func TestLoadFails(t *testing.T) {
	_, err := load(fstest.MapFS{"a.go": {Data: []byte("package a\n")}})
	require.ErrorContains(t, err, "no module line")
	_, err = load(fstest.MapFS{"go.mod": {Data: []byte(rootModule)}, "a.go": {Data: []byte("no Go\n")}})
	require.Error(t, err)
}
