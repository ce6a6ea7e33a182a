package rar_test

import (
	"html/template"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
)

type nfcVector struct {
	Name   string    `json:"name"`
	Ranges [][2]rune `json:"ranges"`
	Pairs  [][2]rune `json:"pairs"`
}

func TestDescribeByDefault(t *testing.T) {
	typ := fromSchema(t, "c", `{"title":"A thing","properties":{"a":{"title":"First"},"b":{"$ref":"#/$defs/b"},"l":{},"e":{},"f":{},"n":{},"t":{},"u":{}},
		"$defs":{"b":{"title":"Inner","type":"object","properties":{"c":{"title":"Leaf"},"d":{}}}}}`)
	r := registry(t, typ)
	d := parse(t, r, `[{"type":"c","a":"x, y","b":{"d":1.50,"c":"z"},"l":["x",["y"],{"k":null}],"e":[],"f":{},"n":null,"t":true,"u":"\u202e"}]`)[0].Describe("de")
	require.Equal(t, rar.Description{Title: "A thing", Fields: []rar.Field{
		{Label: "First", Value: "x, y"}, {Label: "b / d", Value: "1.50"}, {Label: "b / Leaf", Value: "z"}, {Label: "l", Value: "x"}, {Label: "l", Value: "y"},
		{Label: "l / k", Value: "null"}, {Label: "e", Value: "[]"}, {Label: "f", Value: "{}"}, {Label: "n", Value: "null"}, {Label: "t", Value: "true"}, {Label: "u", Value: `\u{202e}`},
	}}, d)
	open := registry(t, fromSchema(t, "c", `{"additionalProperties":true}`, rar.TypeConfig[rar.Detail]{Title: "Open"}))
	d = parse(t, open, `[{"type":"c","\u202ename":"value"}]`)[0].Describe()
	require.Equal(t, rar.Description{Title: "Open", Fields: []rar.Field{{Label: `\u{202e}name`, Value: "value"}}}, d, "RAR-12-3 names are a peer's words too")
}

func TestDescribeInLanguages(t *testing.T) {
	typ := limitType(t, func(cfg *rar.TypeConfig[limit]) {
		cfg.Languages = []string{"en", "de", "zh-Hant"}
		cfg.Describe = func(l limit, language string) rar.Description {
			if l.ID == "silent" {
				return rar.Description{}
			}
			return rar.Description{Title: language + "\n", Fields: []rar.Field{{Label: "a\u200b", Value: l.ID}}}
		}
	})
	r := registry(t, typ)
	one := parse(t, r, `[{"type":"limit","amount":1,"id":"\u0000"}]`)[0]
	for _, tc := range []struct {
		want []string
		got  string
	}{
		{nil, "en"}, {[]string{"de"}, "de"}, {[]string{"DE-ch-1996"}, "de"}, {[]string{"fr", "de"}, "de"}, {[]string{"fr"}, "en"}, {[]string{"zh"}, "en"},
		{[]string{"zh-hant-TW"}, "zh-Hant"}, {[]string{"", "-", "--", "*"}, "en"},
	} {
		d := one.Describe(tc.want...)
		require.Equal(t, rar.Description{Language: tc.got, Title: tc.got + `\u{a}`, Fields: []rar.Field{{Label: `a\u{200b}`, Value: `\u{0}`}}}, d, "RAR-12-3 RAR-11.2-2 %q", tc.want)
	}
	silent := parse(t, r, `[{"type":"limit","amount":1,"id":"silent"}]`)[0].Describe("de")
	require.Equal(t, rar.Description{Title: "limit", Fields: []rar.Field{{Label: "amount", Value: "1"}, {Label: "id", Value: "silent"}}}, silent, "a page is never empty")
}

// A description is not HTML and needs html/template.
func TestDescriptionInAPage(t *testing.T) {
	r := bankRegistry(t)
	d := parse(t, r, strings.Replace(payment, "Merchant A", `<script>alert(1)<\/script>`, 1))[0].Describe("en")
	var page strings.Builder
	require.NoError(t, template.Must(template.New("").Parse(`{{.Title}}{{range .Fields}}<li>{{.Label}}: {{.Value}}{{end}}`)).Execute(&page, d))
	require.NotContains(t, page.String(), "<script>", "RAR-12-3")
}
