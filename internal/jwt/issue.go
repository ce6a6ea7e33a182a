package jwt

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// NewSigner returns a signer of tokens. If the options have no KeyID, it is the
// RFC 7638 thumbprint of the key.
func NewSigner(key crypto.Signer, o jose.SignerOptions) (*jose.Signer, error) {
	if key == nil {
		return nil, errors.New("missing Key")
	}
	s, err := jose.NewSigner(key, o)
	if err == nil && o.KeyID == "" {
		o.KeyID = s.Thumbprint()
		s, err = jose.NewSigner(key, o)
	}
	if err != nil {
		return nil, fmt.Errorf("Key: %w", err)
	}
	return s, nil
}

// Marshal returns v as JSON. It keeps "&" in URLs as it is, because a token is
// not put into HTML except as base64url.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Encode ends the claims of w with the members of extra and returns them. It
// returns an error if extra has a reserved name in any letter case, or if the
// result is not strict JSON.
func Encode(w *strictjson.Writer, extra map[string]any, reserved []string) ([]byte, error) {
	body := w.Bytes()
	if len(extra) == 0 {
		return body, nil
	}
	for name := range extra {
		if Reserved(reserved, name) {
			return nil, fmt.Errorf("reserved name %.64q", name)
		}
	}
	more, err := Marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("extra claims: %w", err)
	}
	body = append(append(body[:len(body)-1], ','), more[1:]...)
	// A reader would reject names that differ only by case.
	return body, strictjson.Valid(body)
}

// Reserved reports whether name is in reserved in any letter case.
func Reserved(reserved []string, name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}

// WriteAudience writes the aud claim. One value is a string, several are an
// array.
func WriteAudience(w *strictjson.Writer, values []string) {
	if len(values) == 1 {
		w.String("aud", values[0])
	} else {
		w.Strings("aud", values)
	}
}

// WriteTime writes a date, unless it is the zero Time.
func WriteTime(w *strictjson.Writer, name string, t time.Time) {
	if !t.IsZero() {
		w.Int(name, t.Unix())
	}
}

// WriteArray writes an array that [IsObjectArray] accepts, without white space.
func WriteArray(w *strictjson.Writer, name string, array json.RawMessage) {
	if len(array) == 0 {
		return
	}
	var compact bytes.Buffer
	if json.Compact(&compact, array) == nil {
		w.Raw(name, compact.Bytes())
	}
}

// UTF8 reports whether each value is UTF-8. encoding/json would replace invalid
// bytes without an error, so two different values would become equal
// (JWT-3.7-1). Values are checked one by one, because two invalid ones can be
// valid if they are joined.
func UTF8(values ...string) bool {
	return !slices.ContainsFunc(values, func(s string) bool { return !utf8.ValidString(s) })
}

// IsObjectArray reports whether raw is strict JSON and an array of objects.
func IsObjectArray(raw json.RawMessage) bool {
	if strictjson.Valid(raw) != nil {
		return false
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return false
	}
	return !slices.ContainsFunc(items, func(item json.RawMessage) bool { return item[0] != '{' })
}
