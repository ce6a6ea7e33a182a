package ecosystems_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
)

// widenings has values for each member of rules.Set that FAPI 2.0 does not
// permit or that do not narrow it. A member without values can only narrow: any
// value of its type adds a rule. Names of maps are "*".
var widenings = map[string][]string{
	"message_signing":       {`["none"]`, `["requests","none"]`, `[""]`},
	"client_authentication": {`["client_secret_basic"]`, `["private_key_jwt","none"]`, `["client_secret_jwt"]`, `["attest_jwt_client_auth"]`},
	"bindings":              {`["Bearer"]`, `["mTLS","none"]`, `["dpop"]`},
	"mutual_tls":            {`["authorization"]`, `["Token"]`},
	"response_modes":        {`["fragment"]`, `["query","form_post"]`, `["fragment.jwt"]`},
	"subject_types":         {`["ephemeral"]`, `["pairwise",""]`},
	"interaction_ids":       {`"ignore"`, `"none"`},

	"algorithms.signing":        {`["RS256"]`, `["PS256","none"]`, `["HS256"]`, `["ps256"]`},
	"algorithms.assertion":      {`["RS256"]`, `["HS256"]`, `["none"]`},
	"algorithms.request_object": {`["RS256"]`, `["none"]`},
	"algorithms.id_token":       {`["RS256"]`, `["none"]`},
	"algorithms.userinfo":       {`["RS256"]`, `["none"]`},
	"algorithms.rsa_bits":       {`1024`, `2047`, `-2048`},

	"encryption.*.required": nil,
	"encryption.*.alg":      {`["RSA1_5"]`, `["dir"]`, `["PBES2-HS256+A128KW"]`},
	"encryption.*.enc":      {`["A128CBC"]`, `["none"]`},

	"lifetimes.request_object":     {`"61m"`, `"1h1s"`, `"-1m"`, `["1m","61m"]`},
	"lifetimes.request_object_age": {`"61m"`, `["","61m"]`},
	"lifetimes.request_uri":        {`"600s"`, `["10s","10m"]`, `["11m",""]`},
	"lifetimes.code":               {`"61s"`, `["2m",""]`},
	"lifetimes.access_token":       {`"8760h"`, `["-1s",""]`},
	"lifetimes.assertion":          {`"61m"`, `"24h"`},

	"refresh_tokens.required":         nil,
	"refresh_tokens.end_with_consent": nil,
	"refresh_tokens.lifetime":         {`"1000000h"`, `"-1s"`},

	"request.front_channel":                  {`["client_id"]`, `["request_uri","scope"]`},
	"request.push_form":                      {`["scope"]`, `["client_id"]`},
	"request.parameters.*.required":          nil,
	"request.parameters.*.forbidden":         nil, // the table of parameters below
	"request.parameters.*.min_length":        {`-1`},
	"request.parameters.*.max_length":        {`-1`},
	"request.parameters.*.values":            {`[""]`},
	"request.parameters.*.error":             {`"Bad Request"`, `"\n"`},
	"request.scopes":                         {`[""]`, `["a b"]`},
	"request.authorization_details.required": nil,
	"request.authorization_details.types":    {`[""]`},
	"request.authorization_details.max":      {`-1`},

	"claims.supported":      {`[""]`},
	"claims.required":       {`[""]`},
	"claims.only_requested": nil,
	"claims.essential":      {`[""]`},
	"claims.top.*.required": nil,
	"claims.top.*.min":      {`9007199254740992`},
	"claims.top.*.max":      {`-1`},

	"acr.supported":   {`[""]`, `["a b"]`},
	"acr.request":     {`"optional"`, `"essential "`},
	"acr.in_id_token": nil,
	"acr.unmet":       {`"server_error"`, `"ignore"`},

	"intent.scope":    {`"a b"`},
	"intent.claim":    {`"sub"`, `"iss"`},
	"intent.detail":   {`"."`, `"a..b"`},
	"intent.required": nil,

	"token_members": {`["access_token"]`, `["token_type"]`},
	"metadata":      {`{"issuer":"https://attacker.example"}`, `{"token_endpoint":"https://attacker.example"}`, `{"TOKEN_endpoint":1}`},
}

// forbiddenRequests are rules for parameters with which no FAPI 2.0 request
// would be left, or one that FAPI 2.0 forbids.
var forbiddenRequests = []string{
	`{"code_challenge":{"forbidden":true}}`,
	`{"redirect_uri":{"forbidden":true}}`,
	`{"code_challenge_method":{"values":["plain"]}}`,
	`{"response_type":{"values":["code","code id_token"]}}`,
}

// memberPaths returns the path of each member of a type, without the members
// that describe the document.
func memberPaths(t reflect.Type) (paths []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct {
		for _, path := range memberPaths(t.Elem()) {
			paths = append(paths, "*."+path)
		}
		return paths
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[rules.Span]() {
		return []string{""}
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if t == reflect.TypeFor[rules.Set]() && slices.Contains([]string{"name", "title", "version", "sources", "host", "open"}, name) {
			continue
		}
		if t == reflect.TypeFor[rules.Encryption]() { // its members are alike
			name = "*"
		}
		for _, path := range memberPaths(t.Field(i).Type) {
			paths = append(paths, strings.TrimSuffix(name+"."+path, "."))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// tree returns a document as a tree of maps.
func tree(t testing.TB, name string) map[string]any {
	t.Helper()
	document, err := ecosystems.Document(name)
	require.NoError(t, err)
	var root map[string]any
	require.NoError(t, json.Unmarshal(document, &root))
	return root
}

// replace sets the member at a path. Names of maps are the given ones.
func replace(root map[string]any, path, value string) {
	parts, at := strings.Split(path, "."), root
	for _, part := range parts[:len(parts)-1] {
		next, ok := at[part].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[part] = next
		}
		at = next
	}
	at[parts[len(parts)-1]] = json.RawMessage(value)
	sources := root["sources"].(map[string]any)
	if parts[0] == "intent" && len(parts) == 2 { // one place only
		root["intent"] = map[string]any{parts[1]: json.RawMessage(value)}
	}
	maps.DeleteFunc(sources, func(source string, _ any) bool {
		return source == parts[0] || strings.HasPrefix(source, parts[0]+".")
	})
	sources[parts[0]] = "test" // covers all members below it
}

func TestNoMemberWidens(t *testing.T) {
	require.ElementsMatch(t, memberPaths(reflect.TypeFor[rules.Set]()), slices.Collect(maps.Keys(widenings)),
		"each member of the type has a row")
	for _, name := range ecosystems.Names() {
		for path, values := range widenings {
			for _, value := range values {
				for _, at := range places(path) {
					rejected(t, name, at, value)
				}
			}
		}
		for _, value := range forbiddenRequests {
			rejected(t, name, "request.parameters", value)
		}
	}
}

// places returns the paths for which a path with a "*" stands.
func places(path string) (list []string) {
	names := []string{"x"}
	if strings.HasPrefix(path, "encryption.") {
		names = []string{"id_token", "userinfo", "introspection"}
	}
	for _, name := range names {
		list = append(list, strings.Replace(path, "*", name, 1))
	}
	return slices.Compact(list)
}

func rejected(t testing.TB, name, path, value string) {
	t.Helper()
	root := tree(t, name)
	replace(root, path, value)
	document, err := json.Marshal(root)
	require.NoError(t, err)
	set, err := rules.Parse(document)
	require.ErrorIs(t, err, rules.ErrRules, "%s: %s %s", name, path, value)
	require.ErrorContains(t, err, strings.Split(path, ".")[0], "%s: %s %s", name, path, value)
	require.Nil(t, set)
}

// write returns v as JSON. The function edit may replace an object, or return
// an empty string.
func write(v any, path string, edit func(path string, members []string) string) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			members = append(members, fmt.Sprintf("%q:%s", name, write(v[name], strings.TrimPrefix(path+"."+name, "."), edit)))
		}
		if edited := edit(path, members); edited != "" {
			return edited
		}
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		var elements []string
		for _, element := range v {
			elements = append(elements, write(element, path+"[]", edit))
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	text, _ := json.Marshal(v) // a string, a number, or a boolean
	return string(text)
}

// TestDamagedDocuments damages each object of each document in ways that an
// editor could miss.
func TestDamagedDocuments(t *testing.T) {
	damages := map[string]func(members []string) string{
		"an unknown member": func(m []string) string {
			return "{" + strings.Join(append(m, `"unknown":"x"`), ",") + "}"
		},
		"a repeated member": func(m []string) string {
			return "{" + strings.Join(append(m, m[0]), ",") + "}"
		},
		"a member in capitals": func(m []string) string {
			name, value, _ := strings.Cut(m[0], ":")
			return "{" + strings.Join(append([]string{strings.ToUpper(name) + ":" + value}, m[1:]...), ",") + "}"
		},
		"an array for the object": func(m []string) string { return "[{" + strings.Join(m, ",") + "}]" },
		"text for the object":     func([]string) string { return `"x"` },
	}
	for _, name := range ecosystems.Names() {
		root := tree(t, name)
		var objects []string
		write(root, "", func(path string, _ []string) string {
			objects = append(objects, path)
			return ""
		})
		require.Contains(t, objects, "sources")
		for _, object := range objects {
			for kind, damage := range damages {
				if kind == "a member in capitals" && (object == "claims.top" || object == "request.parameters") {
					continue // any name is permitted there
				}
				document := write(root, "", func(path string, members []string) string {
					if path == object && len(members) > 0 {
						return damage(members)
					}
					return ""
				})
				_, err := rules.Parse([]byte(document))
				require.ErrorIs(t, err, rules.ErrRules, "%s: %s at %q", name, kind, object)
			}
		}
	}
}

// TestEachRuleStandsAlone removes each rule of each document, with its source
// and without.
func TestEachRuleStandsAlone(t *testing.T) {
	describe := []string{"name", "title", "version", "sources", "host", "open"}
	for _, name := range ecosystems.Names() {
		for member := range tree(t, name) {
			if slices.Contains(describe, member) {
				continue
			}
			root := tree(t, name)
			delete(root, member)
			document, err := json.Marshal(root)
			require.NoError(t, err)
			_, err = rules.Parse(document)
			require.ErrorIs(t, err, rules.ErrRules, "%s: a source without %s", name, member)

			alone := map[string]any{"name": "alone", "sources": map[string]any{member: "test"}, member: tree(t, name)[member]}
			document, err = json.Marshal(alone)
			require.NoError(t, err)
			_, err = rules.Parse(document)
			require.NoError(t, err, "%s: %s alone", name, member)

			delete(alone, "sources")
			document, err = json.Marshal(alone)
			require.NoError(t, err)
			_, err = rules.Parse(document)
			require.ErrorContains(t, err, "no source", "%s: %s without a source", name, member)
		}
	}
}

// FuzzMutations replaces one value of a document. A document that is accepted
// is one that is written and read again without a change.
func FuzzMutations(f *testing.F) {
	f.Add(uint(0), "algorithms.signing", `["RS256"]`)
	f.Add(uint(3), "lifetimes.request_uri", `["","599s"]`)
	f.Add(uint(5), "request.parameters.x", `{"values":["a"]}`)
	f.Add(uint(6), "metadata", `{"x_supported":true}`)
	f.Fuzz(func(t *testing.T, which uint, path, value string) {
		if !json.Valid([]byte(value)) || path == "" || strings.HasPrefix(path, "sources") {
			return
		}
		names := ecosystems.Names()
		root := tree(t, names[which%uint(len(names))])
		replace(root, path, value)
		document, err := json.Marshal(root)
		if err != nil {
			return
		}
		set, err := rules.Parse(document)
		if err != nil {
			require.Nil(t, set)
			require.ErrorIs(t, err, rules.ErrRules)
			return
		}
		require.NoError(t, set.Validate())
		require.Subset(t, []string{"PS256", "ES256", "EdDSA", "Ed25519"}, set.Algorithms.Signing)
		require.Subset(t, []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}, set.ClientAuthentication)
		written, err := json.Marshal(set)
		require.NoError(t, err)
		again, err := rules.Parse(written)
		require.NoError(t, err)
		require.Equal(t, set, again)
	})
}
