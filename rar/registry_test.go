package rar_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// commonSchema has only the members of RFC 9396 §2.2.
const commonSchema = `{"type":"object","properties":{
	"locations":{"type":"array","items":{"type":"string"}},"actions":{"type":"array","items":{"type":"string"}},
	"datatypes":{"type":"array","items":{"type":"string"}},"privileges":{"type":"array","items":{"type":"string"}},
	"identifier":{"type":"string"}}}`

func fromSchema(t testing.TB, name, schema string, cfg ...rar.TypeConfig[rar.Detail]) *rar.Type {
	t.Helper()
	typ, err := rar.TypeFromSchema(name, []byte(schema), append(cfg, rar.TypeConfig[rar.Detail]{})[0])
	require.NoError(t, err)
	return typ
}

func registry(t testing.TB, types ...*rar.Type) *rar.Registry {
	t.Helper()
	r, err := rar.NewRegistry(rar.RegistryConfig{Types: types})
	require.NoError(t, err)
	return r
}

func bankRegistry(t testing.TB) *rar.Registry {
	t.Helper()
	r, err := openbanking.NewRegistry(nil, fromSchema(t, "c", commonSchema), fromSchema(t, "secret", `{}`),
		fromSchema(t, "n", `{"properties":{"n":{"type":"number"}}}`))
	require.NoError(t, err)
	return r
}

func allowed(r *rar.Registry) (names []string) {
	for _, name := range r.Types() {
		if name != "secret" {
			names = append(names, name)
		}
	}
	return names
}

func parse(t testing.TB, r *rar.Registry, text string) rar.Details {
	t.Helper()
	details, err := r.Parse([]byte(text), r.Types())
	require.NoError(t, err)
	return details
}

var classes = map[string]error{
	"malformed": rar.ErrMalformed, "too large": rar.ErrTooLarge, "unknown type": rar.ErrUnknownType, "not allowed": rar.ErrTypeNotAllowed,
	"unknown field": rar.ErrUnknownField, "type": rar.ErrFieldType, "value": rar.ErrFieldValue, "missing": rar.ErrMissingField,
}

// requireClass requires that err matches one class and no other.
func requireClass(t testing.TB, err error, class string) *rar.Error {
	t.Helper()
	require.Error(t, err)
	for name, sentinel := range classes {
		require.Equal(t, name == class, errors.Is(err, sentinel), "%s: %v", name, err)
	}
	var at *rar.Error
	require.ErrorAs(t, err, &at)
	return at
}

func requireWire(t testing.TB, err error, code string, status int) string {
	t.Helper()
	got, description, gotStatus := testkit.Wire(t, err)
	require.Equal(t, code, got)
	require.Equal(t, status, gotStatus)
	for _, c := range description { // RFC 6749 §5.2
		require.True(t, c >= ' ' && c <= '~' && c != '"' && c != '\\', "%q", description)
	}
	return description
}

type rejectedVector struct {
	Name string `json:"name"`
	JSON string `json:"json"`
	Kind string `json:"kind"`
	Path string `json:"path"`
}

func TestParseRejects(t *testing.T) {
	r := bankRegistry(t)
	for _, v := range testkit.LoadVectors[rejectedVector](t, "testdata/rejected.json") {
		t.Run("RAR-8-1 "+v.Name, func(t *testing.T) {
			details, err := r.Parse([]byte(v.JSON), allowed(r))
			require.Nil(t, details)
			at := requireClass(t, err, v.Kind)
			require.Equal(t, v.Path, at.Path)
			index := -1
			if v.Path != "" {
				_, err := fmt.Sscanf(v.Path, "[%d]", &index)
				require.NoError(t, err)
			}
			require.Equal(t, index, at.Index)
			description := requireWire(t, err, "invalid_authorization_details", 400)
			require.NotEmpty(t, description)
			if v.Path != "" {
				require.Contains(t, description, v.Path)
			}
		})
	}
}

type publishedVector struct {
	ID      string          `json:"id"`
	Spec    string          `json:"spec"`
	Details json.RawMessage `json:"details"`
	Want    string          `json:"want"`
}

// The examples of RFC 9396. It does not define most of their types.
func TestParsePublished(t *testing.T) {
	for _, v := range testkit.LoadVectors[publishedVector](t, "testdata/published.json") {
		t.Run("RAR-2-1 RAR-2-2 RAR-2-3 "+v.Spec, func(t *testing.T) {
			require.Equal(t, "accepted", v.Want)
			var objects []struct {
				Type string `json:"type"`
			}
			require.NoError(t, json.Unmarshal(v.Details, &objects))
			var types []*rar.Type
			known := make(map[string]bool)
			for _, o := range objects {
				if !known[o.Type] {
					types = append(types, fromSchema(t, o.Type, `{"additionalProperties":true}`))
				}
				known[o.Type] = true
			}
			r := registry(t, types...)
			details := parse(t, r, string(v.Details))
			require.Len(t, details, len(objects))
			made, err := json.Marshal(details)
			require.NoError(t, err)
			require.JSONEq(t, string(v.Details), string(made))
			require.NoError(t, details.Covers(details))
			for _, d := range details {
				require.NotEmpty(t, d.Describe().Fields)
			}
		})
	}
}

func TestParsePublishedPayments(t *testing.T) {
	r := bankRegistry(t)
	for _, v := range testkit.LoadVectors[publishedVector](t, "testdata/published.json") {
		if !strings.Contains(string(v.Details), "payment_initiation") {
			continue
		}
		var objects []json.RawMessage
		require.NoError(t, json.Unmarshal(v.Details, &objects))
		for _, o := range objects {
			_, err := r.Parse([]byte("["+string(o)+"]"), r.Types())
			if strings.Contains(string(o), "payment_initiation") && !strings.Contains(string(o), "instructedAmount") { // an excerpt
				require.Equal(t, "[0].instructedAmount", requireClass(t, err, "missing").Path, v.Spec)
				continue
			}
			require.NoError(t, err, v.Spec)
		}
	}
}

func TestParseAllowed(t *testing.T) {
	r := bankRegistry(t)
	one := []byte(`[{"type":"c"}]`)
	for _, tc := range []struct {
		name    string
		allowed []string
		ok      bool
	}{
		{"RAR-10-2 nil allows nothing", nil, false},
		{"RAR-10-2 an empty list allows nothing", []string{}, false},
		{"RAR-10-2 another type", []string{"secret", "n"}, false},
		{"RAR-10-2 letter by letter", []string{"C", "c ", ""}, false},
		{"RAR-10-2 this type", []string{"secret", "c"}, true},
		{"RAR-10-2 all types", r.Types(), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			details, err := r.Parse(one, tc.allowed)
			if tc.ok {
				require.NoError(t, err)
				require.Len(t, details, 1)
				return
			}
			require.Equal(t, "c", requireClass(t, err, "not allowed").Type)
		})
	}
	none, err := r.Parse([]byte(" [ ] "), nil)
	require.NoError(t, err)
	require.Empty(t, none)
	made, err := json.Marshal(none)
	require.NoError(t, err)
	require.Equal(t, "[]", string(made))
}

func TestParseBounds(t *testing.T) {
	c := fromSchema(t, "c", `{"additionalProperties":true}`)
	r, err := openbanking.NewRegistry(nil, c)
	require.NoError(t, err)
	big, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{c}, MaxBytes: 1 << 20, MaxEntries: 10001})
	require.NoError(t, err)
	few, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{c}, MaxBytes: 1 << 20})
	require.NoError(t, err)
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(`{"type":"c"},`, n), ",") + "]" }
	nested := func(n int) string {
		return `[{"type":"c","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}]"
	}
	text := func(n int) string { return `[{"type":"c","x":"` + strings.Repeat("x", n-21) + `"}]` }
	for _, tc := range []struct {
		name string
		r    *rar.Registry
		json string
		want string
	}{
		{"16 KiB", r, text(16 << 10), ""},
		{"16 KiB and a byte", r, text(16<<10 + 1), "too large"},
		{"64 KiB", r, text(64 << 10), "too large"},
		{"64 KiB of one payment", r, "[" + strings.TrimSuffix(strings.Repeat(payment[1:len(payment)-1]+",", 200), ",") + "]", "too large"},
		{"100 entries", r, list(100), ""},
		{"101 entries", r, list(101), "too large"},
		{"10,000 entries", r, list(10000), "too large"},
		{"10,000 entries where there is room for the bytes", few, list(10000), "too large"},
		{"10,000 entries where there is room for all", big, list(10000), ""},
		{"10,000 empty objects", few, "[" + strings.TrimSuffix(strings.Repeat("{},", 10000), ",") + "]", "too large"},
		{"nested 30 deep", r, nested(30), ""},
		{"nested 31 deep", r, nested(31), "malformed"},
		{"nested without end", r, strings.Repeat("[", 16<<10), "malformed"},
		{"nested objects without end", r, "[" + strings.Repeat(`{"a":`, 3000), "malformed"},
		{"spaces", r, list(1) + strings.Repeat(" ", 16<<10), "too large"},
		{"what would be too large after encoding/json has escaped it", r, text(16 << 9)[:16<<9-3] + strings.Repeat("<", 16<<9) + `"}]`, "too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			details, err := tc.r.Parse([]byte(tc.json), tc.r.Types())
			if tc.want != "" {
				require.Nil(t, details)
				requireClass(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			require.NotEmpty(t, details)
		})
	}
	// Text that is too large is not parsed.
	many := []byte(list(10000))
	require.Less(t, testing.AllocsPerRun(10, func() { _, _ = r.Parse(many, r.Types()) }), 20.0)
}

func TestNew(t *testing.T) {
	r := bankRegistry(t)
	granted := parse(t, r, payment)
	want := openbanking.Payment{Locations: []string{"https://example.com/payments"}, Actions: []openbanking.PaymentAction{"initiate"},
		InstructedAmount: openbanking.Amount{Currency: "EUR", Amount: "123.5"}, CreditorName: "Merchant A",
		CreditorAccount: openbanking.Account{IBAN: "DE02100100109307118603"}, RemittanceInformationUnstructured: "Ref Number Merchant"}
	made, err := r.New(openbanking.PaymentType, want)
	require.NoError(t, err)
	require.NoError(t, granted.Covers(made))

	for _, tc := range []struct {
		name  string
		typ   string
		value any
		class string
	}{
		{"RAR-5-1 an unknown type", "d", map[string]any{}, "unknown type"},
		{"RAR-5-4 an empty struct", openbanking.PaymentType, openbanking.Payment{}, "value"},
		{"RAR-5-2 another struct", openbanking.FundsConfirmationType, map[string]any{"validUntil": "2027-01-01", "x": 1}, "unknown field"},
		{"another type's name", "c", map[string]any{"type": "d"}, "value"},
		{"no object", "c", []string{"x"}, "malformed"},
		{"no JSON", "c", func() {}, "malformed"},
		{"a name twice in raw JSON", "c", json.RawMessage(`{"identifier":"a","identifier":"b"}`), "malformed"},
		{"a detail of another type", "c", granted[0], "unknown type"},
		{"the zero Detail", "c", rar.Detail{}, "unknown type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			made, err := r.New(tc.typ, tc.value)
			require.Nil(t, made)
			requireClass(t, err, tc.class)
		})
	}
	two, err := r.New("c", map[string]any{}, json.RawMessage(`{ "type" : "c" }`), struct {
		Type       string `json:"type"`
		Identifier string `json:"identifier"`
	}{Identifier: "<&>"}, granted.ForResource("x"))
	require.Nil(t, two)
	require.Equal(t, 3, requireClass(t, err, "malformed").Index)
	two, err = r.New("c", map[string]any{}, json.RawMessage(`{ "type" : "c" }`), struct {
		Type       string `json:"type"`
		Identifier string `json:"identifier"`
	}{Identifier: "<&>"})
	require.NoError(t, err)
	text, err := json.Marshal(two)
	require.NoError(t, err)
	require.JSONEq(t, `[{"type":"c"},{"type":"c"},{"type":"c","identifier":"<&>"}]`, string(text))
	_, err = r.New("c", map[string]any{"identifier": strings.Repeat("x", 20000)})
	requireClass(t, err, "too large")
}

func TestNewRegistry(t *testing.T) {
	c := fromSchema(t, "c", `{}`)
	for _, cfg := range []rar.RegistryConfig{
		{}, {Types: []*rar.Type{c, fromSchema(t, "c", `{}`)}}, {Types: []*rar.Type{nil}}, {Types: []*rar.Type{{}}},
		{Types: []*rar.Type{c}, MaxBytes: -1}, {Types: []*rar.Type{c}, MaxEntries: -1},
	} {
		_, err := rar.NewRegistry(cfg)
		require.Error(t, err)
	}
	r := registry(t, c)
	require.Same(t, c, r.Type("c"))
	require.Nil(t, r.Type("d"))
	names := r.Types()
	names[0] = "x"
	require.Equal(t, []string{"c"}, r.Types())
}

// An API parses the order of a client with New.
func TestNewIsAsStrictAsParse(t *testing.T) {
	r := registry(t, fromSchema(t, "c", `{"additionalProperties":true}`))
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for name, text := range map[string]string{
		"nothing": ``, "null": `null`, "an array": `[{}]`, "a string": `"x"`, "a part": `{"a":1`, "two objects": `{"a":1}{"a":1}`,
		"a member twice": `{"a":1,"a":1}`, "a member in two cases": `{"a":1,"A":1}`, "an escaped member twice": `{"a":1,"\u0061":2}`,
		"a member twice inside": `{"o":{"a":1,"a":2}}`, "invalid UTF-8": "{\"a\":\"\xff\"}", "a lone surrogate": `{"a":"\ud800"}`,
		"a number that is rounded": `{"a":0.1000000000000000055}`, "nesting": `{"a":` + deep + `}`, "another type": `{"type":"d"}`,
		"a type of another form": `{"type":null}`, "the type twice": `{"type":"","type":"c"}`, "an invalid location": `{"locations":["here"]}`,
		"too many bytes": `{"a":"` + strings.Repeat("x", 16<<10) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			details, err := r.New("c", json.RawMessage(text))
			require.Error(t, err)
			require.Nil(t, details)
		})
	}
}

func TestSchemaHandler(t *testing.T) {
	r := bankRegistry(t)
	odd := fromSchema(t, "https://a.example/types?x=1&y=2#z", `{"title":"Odd"}`)
	handler := registry(t, odd, fromSchema(t, "c", commonSchema)).SchemaHandler()
	get := func(method, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		return w
	}
	w := get("GET", "/types")
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var index struct{ Types map[string]string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &index))
	require.Len(t, index.Types, 2)
	for name, query := range index.Types {
		w := get("GET", "/types"+query)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "application/schema+json", w.Header().Get("Content-Type"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.Contains(t, w.Body.String(), `"const":`)
		_, err := rar.TypeFromSchema(name, w.Body.Bytes(), rar.TypeConfig[rar.Detail]{})
		require.NoError(t, err, "what is published can be read again")
	}
	require.Equal(t, 404, get("GET", "/types?type=nothing").Code)
	require.Equal(t, 404, get("GET", "/types?type=").Code)
	require.Equal(t, 404, get("GET", "/types?type=c&type=c").Code)
	require.Equal(t, 405, get("POST", "/types?type=c").Code)
	require.Equal(t, 200, get("HEAD", "/types?type=c").Code)
	for _, name := range r.Types() { // and means the same
		again := registry(t, fromSchema(t, name, string(r.Type(name).Schema())))
		for _, text := range []string{payment, `[{"type":"c","actions":["a"]}]`, `[{"type":"c","b":1}]`, `[{"type":"n","n":1}]`, `[{"type":"n","n":""}]`} {
			if !strings.Contains(text, `"type":"`+name+`"`) {
				continue
			}
			_, err1 := r.Parse([]byte(text), r.Types())
			_, err2 := again.Parse([]byte(text), again.Types())
			require.Equal(t, err1 == nil, err2 == nil, "%v %v", err1, err2)
		}
	}
}

// Accepted details survive marshalling, cover themselves and have a description.
// Rejected details return only an error with a path.
func FuzzParse(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text)
	}
	r := bankRegistry(f)
	f.Fuzz(func(t *testing.T, text string) {
		details, err := r.Parse([]byte(text), r.Types())
		if err != nil {
			require.Nil(t, details)
			var at *rar.Error
			require.ErrorAs(t, err, &at)
			require.True(t, at.Index < 0 == !strings.HasPrefix(at.Path, "["), "%d %q", at.Index, at.Path)
			require.NotEmpty(t, requireWire(t, err, "invalid_authorization_details", 400))
			return
		}
		once, err := json.Marshal(details)
		require.NoError(t, err)
		again, err := r.Parse(once, r.Types())
		require.NoError(t, err, "%s", once)
		require.True(t, slices.EqualFunc(details, again, rar.Detail.Equal))
		twice, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
		if len(details) > 0 {
			require.NoError(t, details.Covers(again))
			require.NoError(t, r.CheckGrant(details, again))
		}
		for _, d := range details {
			require.NotEmpty(t, d.Describe("de").Title)
		}
		// encoding/json sees the same values as this package does.
		var objects []map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &objects))
		require.Len(t, objects, len(details))
		for i, d := range details {
			require.Equal(t, objects[i]["type"], d.Type())
		}
	})
}

func seeds(f *testing.F) (texts []string) {
	for _, v := range testkit.LoadVectors[rejectedVector](f, "testdata/rejected.json") {
		texts = append(texts, v.JSON)
	}
	for _, v := range testkit.LoadVectors[publishedVector](f, "testdata/published.json") {
		texts = append(texts, string(v.Details))
	}
	return append(texts, payment, `[{"type":"c","actions":["a","b"],"locations":["https://a.example"]},{"type":"n","n":1.50e1}]`,
		`[{"type":"account_information","actions":["list_accounts"],"accounts":[{"iban":"GB33BUKB20201555555555"}],"validUntil":"2027-01-01"},
		{"type":"recurring_payment","creditorName":"Gym","creditorAccount":{"scheme":"a","identification":"b"},"maximumAmount":{"currency":"EUR","amount":"30"},"maximumCount":12,"validUntil":"2027-12-31"}]`)
}
