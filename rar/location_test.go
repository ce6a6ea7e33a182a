package rar_test

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

func TestForResource(t *testing.T) {
	r := registry(t, fromSchema(t, "c", commonSchema), fromSchema(t, "own", commonSchema, rar.TypeConfig[rar.Detail]{Resources: []string{"https://a.example"}}),
		fromSchema(t, "none", commonSchema, rar.TypeConfig[rar.Detail]{Resources: []string{}}))
	details := append(parse(t, r, `[{"type":"c","identifier":"1","locations":["https://a.example","https://b.example"]},
		{"type":"c","identifier":"2","locations":["https://a.example/payments/sepa"]},{"type":"c","identifier":"3"},{"type":"own","identifier":"4"},
		{"type":"own","identifier":"5","locations":["https://b.example"]},{"type":"none","identifier":"6"},
		{"type":"c","identifier":"7","locations":["https://a.example.evil.example/","https://a.example:8443"]}]`), rar.Detail{})
	for _, tc := range []struct {
		name, resource string
		others         []string
		want           string // identifiers
	}{
		{"the resource itself, those below it, those without locations", "https://a.example", nil, "1234"},
		{"a trailing slash of the resource", "https://a.example/", nil, "23"},
		{"another resource of the same details", "https://b.example", nil, "135"},
		{"case counts", "https://A.example", nil, "3"},
		{"whole segments below a path", "https://a.example/payments", nil, "23"},
		{"a part of a segment is no path", "https://a.example/pay", nil, "3"},
		{"a location above the resource", "https://a.example/payments/sepa/instant", nil, "3"},
		{"the nearest resource has it", "https://a.example", []string{"https://a.example/payments", "https://b.example"}, "134"},
		{"the nearest resource is this one", "https://a.example/payments", []string{"https://a.example", "https://a.example/accounts"}, "23"},
		{"the resource among the others", "https://a.example", []string{"https://a.example"}, "1234"},
		{"no resource", "", []string{"https://a.example"}, "3"},
	} {
		t.Run("RAR-13-1 RAR-9.1-1 "+tc.name, func(t *testing.T) {
			got := ""
			for _, d := range details.ForResource(tc.resource, tc.others...) {
				got += d.Common().Identifier
			}
			require.Equal(t, tc.want, got)
		})
	}
}

// A server that knows all resource servers, and a guard that knows some of them,
// may differ if a detail has several locations. A guard therefore needs all
// resource servers below its own.
func TestNestedResources(t *testing.T) {
	r := registry(t, fromSchema(t, "c", commonSchema))
	all := []string{"https://a.example", "https://a.example/pay", "https://a.example/pay/cards"}
	details := parse(t, r, `[{"type":"c","locations":["https://a.example/pay/sepa","https://a.example/pay/cards/1"]}]`)
	for resource, want := range map[string]int{all[0]: 0, all[1]: 1, all[2]: 1} {
		require.Len(t, details.ForResource(resource, all...), want, resource)
	}
	require.Len(t, details.ForResource(all[0], all[2]), 1, "the audience of one token does not name the resource server between")
	// For a random choice of resource servers, each location is for at most one.
	random := rand.New(rand.NewPCG(1, 3))
	path := func() string {
		made := "https://a.example"
		for range random.IntN(4) {
			made += "/" + string("ab"[random.IntN(2)])
		}
		return made
	}
	for range 2000 {
		resources := []string{path(), path(), path(), path()}
		slices.Sort(resources)
		resources = slices.Compact(resources)
		location := path()
		one := parse(t, r, `[{"type":"c","locations":["`+location+`"]}]`)
		holders := slices.DeleteFunc(slices.Clone(resources), func(resource string) bool { return len(one.ForResource(resource, resources...)) == 0 })
		require.LessOrEqual(t, len(holders), 1, "%s in %v", location, resources)
	}
}

// CASES G2: details for another API do not decide, whatever the locations of the
// order.
func TestForResourceExcludesOtherAPIs(t *testing.T) {
	r := bankRegistry(t)
	token := parse(t, r, payment) // at https://example.com/payments
	order := parse(t, r, payment)
	require.NoError(t, token.Covers(order))
	for _, resource := range []string{"https://example.com/accounts", "https://example.com/payment", "https://other.example"} {
		require.ErrorIs(t, token.ForResource(resource).Covers(order), rar.ErrNotCovered, "G2 %s", resource)
	}
	require.NoError(t, token.ForResource("https://example.com").Covers(order))
	require.ErrorIs(t, token.ForResource("https://example.com", "https://example.com/payments").Covers(order), rar.ErrNotCovered, "G2 an API above the one that is meant")
}

func TestLocations(t *testing.T) {
	open := fromSchema(t, "open", `{"additionalProperties":true}`)
	through := fromSchema(t, "through", `{"properties":{"locations":{"$ref":"#/$defs/l","title":"Where"}},"$defs":{"l":{"type":"array"}}}`)
	r, err := openbanking.NewRegistry(nil, open, through, fromSchema(t, "c", commonSchema))
	require.NoError(t, err)
	withLocations := func(object, locations string) string {
		return "[" + strings.TrimSuffix(object, "}") + `,"locations":` + locations + "}]"
	}
	objects := map[string]string{
		"open": `{"type":"open"}`, "through": `{"type":"through"}`, "c": `{"type":"c"}`,
		"funds_confirmation": `{"type":"funds_confirmation","validUntil":"2027-01-01"}`,
	}
	for _, tc := range []struct {
		name, locations, path string // path: of the culprit, "" is accepted
	}{
		{"https", `["https://a.example"]`, ""},
		{"a port, a path, a query", `["https://a.example:8443/b%20c/;d=e?f=g&h"]`, ""},
		{"an IP address", `["https://[2001:db8::1]/a","http://127.0.0.1:8080/"]`, ""},
		{"a name", `["urn:example:api"]`, ""},
		{"escaped ASCII in JSON", `["https:\/\/a.ex\u0061mple"]`, ""},
		{"dots inside of segments", `["https://a.example/v1..2/.well-known/..."]`, ""},
		{"an empty list", `[]`, ".locations"},
		{"a string", `"https://a.example"`, ".locations"},
		{"null", `null`, ".locations"},
		{"a number in the list", `["https://a.example",1]`, ".locations[1]"},
		{"nothing", `[""]`, ".locations[0]"},
		{"the second one", `["https://a.example","a.example"]`, ".locations[1]"},
		{"a host", `["a.example"]`, ".locations[0]"},
		{"a path", `["/payments"]`, ".locations[0]"},
		{"without scheme", `["//a.example/payments"]`, ".locations[0]"},
		{"without host", `["https:///payments"]`, ".locations[0]"},
		{"without host, with a port", `["https://:443/"]`, ".locations[0]"},
		{"without authority", `["https:payments"]`, ".locations[0]"},
		{"a scheme alone", `["https:"]`, ".locations[0]"},
		{"a fragment", `["https://a.example/#a"]`, ".locations[0]"},
		{"an empty fragment", `["https://a.example/#"]`, ".locations[0]"},
		{"a space", `["https://a.example/a b"]`, ".locations[0]"},
		{"a line break at the end", `["https://a.example\n"]`, ".locations[0]"},
		{"a backslash", `["https://a.example\\b"]`, ".locations[0]"},
		{"a broken percent-encoding", `["https://a.example/%2"]`, ".locations[0]"},
		{"user information", `["https://bank.example@evil.example/"]`, ".locations[0]"},
		{"dot segments", `["https://a.example/payments/../accounts"]`, ".locations[0]"},
		{"encoded dot segments", `["https://a.example/payments/%2E%2e/accounts"]`, ".locations[0]"},
		{"dot segments before an encoded slash", `["https://a.example/payments/..%2faccounts"]`, ".locations[0]"},
		{"dot segments between encoded slashes", `["https://a.example/payments%2F.%2F%2e%2Faccounts"]`, ".locations[0]"},
		{"dot segments before an encoded backslash", `["https://a.example/payments/%2e%2E%5Caccounts"]`, ".locations[0]"},
		{"dot segments with a parameter", `["https://a.example/payments/..;v=1/accounts"]`, ".locations[0]"},
		{"dot segments with an encoded parameter", `["https://a.example/payments/..%3b/accounts"]`, ".locations[0]"},
		{"G9 a slash that is none, U+2044", `["https:\u2044\u2044a.example"]`, ".locations[0]"},
		{"G9 a big solidus, U+29F8", `["https://a.example\u29f8payments"]`, ".locations[0]"},
		{"G9 an ideographic full stop, U+3002", `["https://a\u3002example"]`, ".locations[0]"},
		{"G9 a ratio, U+2236", `["https\u2236//a.example"]`, ".locations[0]"},
		{"G9 a letter of another script", `["https://\u0430.example"]`, ".locations[0]"},
	} {
		t.Run("G3 "+tc.name, func(t *testing.T) {
			for name, object := range objects {
				_, err := r.Parse([]byte(withLocations(object, tc.locations)), r.Types())
				if tc.path == "" {
					require.NoError(t, err, name)
					continue
				}
				var at *rar.Error
				require.ErrorAs(t, err, &at, name)
				require.Equal(t, "[0]"+tc.path, at.Path, name)
				if !strings.Contains(tc.name, "number") && tc.locations[0] == '[' {
					require.ErrorIs(t, err, rar.ErrFieldValue, name)
				} else {
					require.ErrorIs(t, err, rar.ErrFieldType, name)
				}
				requireWire(t, err, "invalid_authorization_details", 400)
			}
		})
	}
	for _, name := range []string{"c", "through", "funds_confirmation"} {
		require.Contains(t, string(r.Type(name).Schema()), `"pattern":"^[A-Za-z][A-Za-z0-9+.-]*:`, "G3 the published schema of %s says it", name)
	}
	require.Contains(t, string(r.Type("through").Schema()), `"title":"Where"`)
}

func TestScopes(t *testing.T) {
	r, err := openbanking.NewRegistry(map[string]string{
		openbanking.AccountInformationType: "accounts", openbanking.PaymentType: "payments", openbanking.RecurringPaymentType: "payments",
	})
	require.NoError(t, err)
	require.Equal(t, "accounts", r.Type(openbanking.AccountInformationType).Scope())
	require.Equal(t, "", r.Type(openbanking.FundsConfirmationType).Scope())
	var one []json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(payment), &one))
	details := parse(t, r, `[`+string(one[0])+`,{"type":"funds_confirmation","validUntil":"2027-01-01"},{"type":"account_information","actions":["list_accounts"]},`+string(one[0])+`]`)
	require.Equal(t, []string{"accounts", "payments"}, details.Scopes())
	require.Empty(t, details[1:2].Scopes())
	require.Empty(t, rar.Details{{}}.Scopes())
	require.Empty(t, rar.Details(nil).Scopes())
	for _, scope := range []string{"a b", " ", "a\n", `a"`, `a\`, "ä"} {
		_, err := openbanking.NewPayment(openbanking.Config{Scope: scope})
		require.ErrorContains(t, err, "Scope", "%q", scope)
	}
	_, err = openbanking.NewRegistry(map[string]string{"payments": "payments"})
	require.ErrorContains(t, err, "payments")
	for _, resource := range []string{"", "a.example", "https://a.example/#b", "https://\u0430.example"} {
		_, err := openbanking.NewPayment(openbanking.Config{Resources: []string{resource}})
		require.ErrorContains(t, err, "Resources", "G3 %q", resource)
	}
	named, err := openbanking.NewFundsConfirmation(openbanking.Config{Name: "https://bank.example/funds", Resources: []string{"https://a.example"}})
	require.NoError(t, err)
	require.Equal(t, "https://bank.example/funds", named.Name())
}

// LocationForm and the published pattern match the same locations.
func FuzzLocationForm(f *testing.F) {
	published := regexp.MustCompile(rar.LocationPattern)
	for _, location := range []string{"", ":", "a:", "a:b", "1:b", "https://a.example/%2f?a#b", "a+.-:%", "a:%2", "a:%zz", "a: ", "ä:b", "a:ä", "a\n:b", "@:a", "`:a", "a:[]{}"} {
		f.Add(location)
	}
	f.Fuzz(func(t *testing.T, location string) {
		require.Equal(t, published.MatchString(location), rar.LocationForm{}.MatchString(location), "%q", location)
	})
}
