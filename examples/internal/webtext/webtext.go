// Package webtext holds the sentences of the example programs' pages in English
// and German, and chooses the language of a browser.
package webtext

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The languages, by their BCP 47 tags. The first one is the default.
const (
	English = "en"
	German  = "de"
)

// Texts has each sentence under its key, in English and German. A sentence is a
// format for package fmt.
type Texts map[string][2]string

// Get returns a sentence. Without one it returns the key.
func (t Texts) Get(language, key string, args ...any) string {
	both, ok := t[key]
	if !ok {
		return key
	}
	format := both[0]
	if language == German {
		format = both[1]
	}
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// Date writes a day as the language does.
func Date(language string, day time.Time) string {
	if language == German {
		return day.Format("02.01.2006")
	}
	return day.Format("2 January 2006")
}

// Language returns the language that a browser prefers (RFC 9110 §12.5.4).
func Language(r *http.Request) string {
	best, weight := English, 0.0
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Language"), ","), ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		main, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			if parsed, err := strconv.ParseFloat(value, 64); err == nil {
				q = parsed
			}
		}
		if (main == English || main == German) && q > weight {
			best, weight = main, q
		}
	}
	return best
}
