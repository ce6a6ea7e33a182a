package webtext_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/webtext"
)

func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-AT,de;q=0.9,en;q=0.8": "de", "DE": "de", "en-GB,en;q=0.9,de;q=0.8": "en", "fr, de;q=0.5, en;q=0.4": "de",
		"fr": "en", "de;q=0": "en", "de;q=x": "de", "*": "en", "den": "en", ";;,,": "en",
	} {
		require.Equal(t, want, webtext.Language(&http.Request{Header: http.Header{"Accept-Language": {header}}}), "CASES E7: %q", header)
	}
}

func TestTexts(t *testing.T) {
	texts := webtext.Texts{"pay": {"Pay %s", "%s zahlen"}, "plain": {"100 %", "100 %"}}
	require.Equal(t, "Pay 1", texts.Get("en", "pay", "1"))
	require.Equal(t, "1 zahlen", texts.Get("de", "pay", "1"))
	require.Equal(t, "100 %", texts.Get("de", "plain"))
	require.Equal(t, "other", texts.Get("de", "other"))
	day := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "3 November 2026", webtext.Date("en", day))
	require.Equal(t, "03.11.2026", webtext.Date("de", day))
}
