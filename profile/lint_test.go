package profile_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

// lintable is the metadata of a server about which Lint has nothing to say under a profile.
func lintable(p profile.Profile) *profile.ServerMetadata {
	m := publishable(issuer)
	m.IntrospectionEndpointAuthMethodsSupported = []string{"private_key_jwt"}
	m.IntrospectionEndpointAuthSigningAlgValuesSupported = []string{"PS256"}
	m.RequireSignedRequestObject = p&profile.SignedRequests != 0
	if p&profile.SignedResponses != 0 {
		m.ResponseModesSupported = []string{"jwt", "query.jwt"}
	}
	return m
}

// lintableClient is a registration about which Lint has nothing to say.
func lintableClient(t testing.TB, p profile.Profile) *profile.ClientMetadata {
	c := registration(t)
	c.RedirectURIs = c.RedirectURIs[:2]
	c.JWKS, c.JWKSURI = nil, "https://client.example/jwks"
	c.IDTokenSignedResponseAlg = "PS256"
	if p&profile.SignedRequests != 0 {
		c.RequireSignedRequestObject, c.RequestObjectSigningAlg = true, "ES256"
	}
	if p&profile.SignedResponses != 0 {
		c.ResponseModes, c.AuthorizationSignedResponseAlg = []string{"jwt"}, "ES256"
	}
	if p&profile.SignedIntrospection != 0 {
		c.IntrospectionSignedResponseAlg = "ES256"
	}
	return c
}

func lintableResource() *profile.ResourceMetadata {
	return &profile.ResourceMetadata{
		Resource: "https://api.example/v1", AuthorizationServers: []string{issuer}, JWKSURI: "https://api.example/jwks",
		ScopesSupported: []string{"accounts"}, BearerMethodsSupported: []string{"header"}, ResourceSigningAlgValuesSupported: []string{"ES256"},
		DPoPSigningAlgValuesSupported: []string{"ES256", "PS256"}, DPoPBoundAccessTokensRequired: true,
		ResourceName: "Accounts", ResourceDocumentation: "https://api.example/docs#v1",
	}
}

const everyProfile = profile.Advanced + 1

func TestLintHasNothingToSayAboutGoodDocuments(t *testing.T) {
	for p := range everyProfile {
		require.Empty(t, lintable(p).Lint(p))
		require.Empty(t, lintableClient(t, p).Lint(p))
		require.Empty(t, lintableResource().Lint(p))
	}
}

func short(findings []profile.Finding) (out []string) {
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s %s %s", f.Severity, f.Clause, f.Member))
	}
	return out
}

func errorsIn(findings []profile.Finding) (n int) {
	for _, f := range findings {
		if f.Severity == "error" {
			n++
		}
	}
	return n
}

// lintOf runs every bad sample and returns what was found.
func lintOf(t *testing.T) (all []profile.Finding) {
	for _, tc := range slices.Concat(lintServerSamples, lintServerSamplesOfProfiles) {
		m := lintable(tc.profile)
		tc.edit(m)
		all = append(all, m.Lint(tc.profile)...)
	}
	for _, tc := range lintClientSamples(t) {
		c := lintableClient(t, tc.profile)
		tc.edit(c)
		all = append(all, c.Lint(tc.profile)...)
	}
	for _, tc := range lintResourceSamples {
		m := lintableResource()
		tc.edit(m)
		all = append(all, m.Lint(profile.Baseline)...)
	}
	m := new(profile.ResourceMetadata)
	require.NoError(t, m.UnmarshalJSON([]byte(`{"scopes_supported":1}`)))
	return append(all, m.Lint(profile.Baseline)...)
}

func TestLintServer(t *testing.T) {
	for _, tc := range slices.Concat(lintServerSamples, lintServerSamplesOfProfiles) {
		t.Run(tc.name, func(t *testing.T) {
			m := lintable(tc.profile)
			tc.edit(m)
			require.Equal(t, tc.want, short(m.Lint(tc.profile)))
			if err := m.CheckPublished(); m.Issuer == issuer {
				require.Len(t, causes(err), errorsIn(m.Lint(profile.Baseline)), "%v", err)
			} else {
				require.Equal(t, errorsIn(m.Lint(profile.Baseline)) > 0, err != nil)
			}
			if m.Validate(m.Issuer) != nil || m.CheckBaseline() != nil {
				require.NotZero(t, errorsIn(m.Lint(profile.Baseline)), "whatever a client refuses is an error")
			}
		})
	}
}

func TestLintClient(t *testing.T) {
	for _, tc := range lintClientSamples(t) {
		t.Run(tc.name, func(t *testing.T) {
			c := lintableClient(t, tc.profile)
			tc.edit(c)
			require.Equal(t, tc.want, short(c.Lint(tc.profile)))
			require.Len(t, causes(c.Validate()), errorsIn(c.Lint(profile.Baseline)))
		})
	}
}

func TestLintResource(t *testing.T) {
	for _, tc := range lintResourceSamples {
		t.Run(tc.name, func(t *testing.T) {
			m := lintableResource()
			tc.edit(m)
			require.Equal(t, tc.want, short(m.Lint(profile.Baseline)))
			require.Len(t, causes(m.CheckPublished()), errorsIn(m.Lint(profile.Baseline)))
			if m.Validate(m.Resource) != nil {
				require.NotZero(t, errorsIn(m.Lint(profile.Baseline)))
			}
		})
	}
}

func TestLintNamesClausesOfTheTable(t *testing.T) {
	table, err := os.ReadFile("../spec/requirements.tsv")
	require.NoError(t, err)
	known := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		id, _, _ := strings.Cut(line, "\t")
		known[id] = true
	}
	require.Greater(t, len(known), 600)
	for _, f := range lintOf(t) {
		require.True(t, known[f.Clause], "%v", f)
		require.NotEmpty(t, f.Member)
		require.NotEmpty(t, f.Problem)
		require.Regexp(t, `^[A-Z].*\.$`, f.Remedy)
		require.Contains(t, f.String(), f.Problem)
	}
}

// Every rule in the source is broken by a sample.
func TestLintHasASampleForEveryRule(t *testing.T) {
	files, err := filepath.Glob("lint*.go")
	require.NoError(t, err)
	produced := map[string]bool{}
	for _, f := range lintOf(t) {
		produced[f.Remedy] = true
	}
	rules := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		check := func(row *ast.CompositeLit) {
			rules++
			text, ok := row.Elts[len(row.Elts)-1].(*ast.BasicLit)
			require.True(t, ok, "%s: the remedy is not a constant", file)
			remedy, err := strconv.Unquote(text.Value)
			require.NoError(t, err)
			require.True(t, produced[remedy], "%s: no sample for %q", file, remedy)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if list, ok := literal.Type.(*ast.ArrayType); ok && isRule(list.Elt) {
				for _, row := range literal.Elts {
					if row, ok := row.(*ast.CompositeLit); ok {
						check(row)
					}
				}
			}
			if isRule(literal.Type) {
				check(literal)
			}
			return true
		})
	}
	require.Greater(t, rules, 90)
}

func isRule(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "rule"
}

func TestLintReport(t *testing.T) {
	t.Run("what matters most comes first", func(t *testing.T) {
		findings := new(profile.ServerMetadata).Lint(profile.Advanced)
		order := []string{"error", "warning", "advice"}
		require.True(t, slices.IsSortedFunc(findings, func(a, b profile.Finding) int {
			return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
		}))
		require.Greater(t, len(findings), 10)
	})
	t.Run("JSON and text", func(t *testing.T) {
		m := lintable(profile.Baseline)
		m.GrantTypesSupported = nil
		data, err := json.Marshal(m.Lint(profile.Baseline))
		require.NoError(t, err)
		require.JSONEq(t, `[{"clause":"MD-2-5","severity":"error","member":"grant_types_supported",
			"problem":"missing grant_types_supported, whose default includes implicit",
			"remedy":"Publish the grant types that the server supports, for example authorization_code and refresh_token."}]`, string(data))
		require.Equal(t, "error: grant_types_supported: missing grant_types_supported, whose default includes implicit (MD-2-5): "+
			"Publish the grant types that the server supports, for example authorization_code and refresh_token.", m.Lint(profile.Baseline)[0].String())
	})
	t.Run("what is quoted is escaped and cut", func(t *testing.T) {
		m := lintable(profile.Baseline)
		m.TokenEndpoint = "http://as.example/\x1b[31m\n" + strings.Repeat("x", 1000)
		f := m.Lint(profile.Baseline)[0]
		require.NotContains(t, f.Problem, "\n")
		require.NotContains(t, f.Problem, "\x1b")
		require.Less(t, len(f.Problem), 400)
	})
	t.Run("MD-3.2-1, PRM-3.2-1 lists without an element are seen in a document that was read", func(t *testing.T) {
		m := new(profile.ServerMetadata)
		require.NoError(t, json.Unmarshal([]byte(`{"issuer":"https://as.example","acr_values_supported":[]}`), m))
		require.Contains(t, short(m.Lint(profile.Baseline)), "advice MD-3.2-1 acr_values_supported")
		again, err := json.Marshal(m)
		require.NoError(t, err)
		require.NotContains(t, string(again), "acr_values_supported")
	})
	t.Run("the document is as it was", func(t *testing.T) {
		m, before := publishable(issuer), publishable(issuer)
		m.Lint(profile.Advanced)
		require.Equal(t, before, m)
	})
}

func FuzzLint(f *testing.F) {
	for _, document := range []any{publishable(issuer), registration(f), lintableResource(), map[string]any{}} {
		data, err := json.Marshal(document)
		require.NoError(f, err)
		for p := range everyProfile {
			f.Add(data, uint8(p))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, p uint8) {
		server, client := new(profile.ServerMetadata), new(profile.ClientMetadata)
		if server.UnmarshalJSON(data) == nil {
			require.Equal(t, errorsIn(server.Lint(profile.Baseline)) > 0, server.CheckPublished() != nil)
			require.GreaterOrEqual(t, errorsIn(server.Lint(profile.Profile(p))), errorsIn(server.Lint(profile.Baseline)), "a profile adds demands")
		}
		if client.UnmarshalJSON(data) == nil {
			require.Len(t, causes(client.Validate()), errorsIn(client.Lint(profile.Baseline)))
			require.GreaterOrEqual(t, errorsIn(client.Lint(profile.Profile(p))), errorsIn(client.Lint(profile.Baseline)), "a profile adds demands")
		}
	})
}
