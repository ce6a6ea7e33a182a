// Package strictjson reads JSON (RFC 8259) from a peer. It rejects every document
// that two readers could understand differently: duplicate member names, names
// that differ only by case, bytes before or after the value (a byte order mark
// among them), invalid UTF-8 and lone surrogates. It bounds nesting. The caller
// bounds the size of the input.
//
// encoding/json keeps the last of two equal names and matches struct fields
// whatever their case. A proxy or a log reader could then see another document
// than the one that was checked.
//
// # Strict and lenient members
//
// Every parser of this module that reads an [Object] follows these rules:
//
//   - A member on which a check depends is strict. It has its type, or the
//     document is rejected: iss, sub, aud, client_id, exp, iat, nbf, jti, nonce,
//     azp, htm, htu, ath, cnf and its members, active, token_type, typ, alg, kid.
//     The members that say what is permitted are strict too: scope,
//     authorization_details and grant_id. So are all parameters of a request that
//     the program knows.
//   - A null counts as absent. A required member that is null is therefore
//     missing. There are three exceptions, which are errors: exp, because the
//     token would never expire; cnf and its members, because the token would be
//     bound to less; and typ, because the JWT could be of another kind. The
//     presence of crit, and of a member that marks another kind of JWT, is an
//     error whatever its value.
//   - Every other member is lenient: a value of another type counts as absent
//     ([Lenient]). If a check needs the member (acr, auth_time), the check fails
//     as it does without the member. If a check is skipped without the member
//     (at_hash beside an access token), a value of another type is an error.
//   - A client reads all optional members of a token response leniently. The code
//     or the refresh token has been spent when the response comes, and the client
//     enforces nothing by those members. It reads metadata leniently except for
//     issuer, protected_resources and mtls_endpoint_aliases.
//   - The result of a parser names what was dropped, in a method Dropped. A null
//     is not dropped, as nothing is lost with it.
//
// # Repeated members
//
// [ParseObject] rejects every repeated member. [ParseClaims] has the only
// exception, because Keycloak writes iss twice into signed authorization
// responses: if a member of the outermost object is repeated with the same bytes
// as value, it is one member. All readers agree about such a document, whichever
// of the members they keep. Two different values stay an error, as do names that
// differ by case, repeated members of inner objects, and more than 8 repetitions.
// The exception holds for the claims of authorization responses (JARM), ID tokens
// and JWT access tokens. Headers, keys, proofs, assertions, request objects,
// metadata and all other documents are read without it.
package strictjson

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest. Nothing in OAuth needs more than a handful.
const MaxDepth = 32

// maxRepeated is how many members ParseClaims accepts twice. Keycloak repeats one.
const maxRepeated = 8

// ErrInvalid matches every failure of this package.
var ErrInvalid = errors.New("invalid JSON")

// scanner checks a text in one pass. Names and values are parts of it and need no allocation.
type scanner struct {
	text string
	pos  int
	// repeats is how many members of the outermost object may still be repeated.
	repeats int
	shallow bool // only the outermost object must have distinct names
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrInvalid, what, s.pos)
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) end() error {
	s.space()
	if s.pos != len(s.text) {
		return s.fail("bytes after the value")
	}
	return nil
}

func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth, nil)
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, literal := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(s.text[s.pos:], literal) {
			s.pos += len(literal)
			return nil
		}
	}
	return s.fail("no JSON value")
}

// object checks an object and calls add, which may be nil, for each member. If
// again is true, the outermost object has the name already, perhaps in another case,
// and add reports whether it has it with this value.
func (s *scanner) object(depth int, add func(name, value string, again bool) bool) error {
	if depth >= MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++ // {
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	var seen names
	for {
		name, err := s.member(depth, &seen, add)
		if err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			return nil
		default:
			return s.fail("no , or } after member " + quote(name))
		}
	}
}

func (s *scanner) member(depth int, seen *names, add func(name, value string, again bool) bool) (string, error) {
	if s.peek() != '"' {
		return "", s.fail("no member name")
	}
	name, err := s.str()
	if err != nil {
		return "", err
	}
	again := !seen.add(name)
	if again && (depth > 0 && !s.shallow || depth == 0 && s.repeats == 0) {
		return "", s.fail("duplicate member " + quote(name))
	}
	s.space()
	if s.peek() != ':' {
		return "", s.fail("no : after member " + quote(name))
	}
	s.pos++
	s.space()
	start := s.pos
	if err := s.value(depth + 1); err != nil {
		return "", err
	}
	if again && depth == 0 {
		s.repeats--
	}
	if add != nil && !add(name, s.text[start:s.pos], again) {
		return "", s.fail("duplicate member " + quote(name) + " that differs")
	}
	s.space()
	return name, nil
}

func (s *scanner) array(depth int) error {
	if depth >= MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++ // [
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			return nil
		default:
			return s.fail("no , or ] after an array element")
		}
	}
}

// str checks a string and returns its value.
func (s *scanner) str() (string, error) {
	s.pos++ // "
	start := s.pos
	text, i := s.text, s.pos
	for i < len(text) && plain[text[i]] {
		i++
	}
	s.pos = i
	switch c := s.peek(); {
	case s.pos == len(s.text):
		return "", s.fail("unterminated string")
	case c == '"':
		s.pos++
		return text[start:i], nil
	case c < 0x20:
		return "", s.fail("control character in a string")
	}
	return s.slowStr(start)
}

// plain tells which bytes stand for themselves in a string: all of ASCII but control characters, quotes and backslashes.
var plain = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// slowStr is str from the first escape or non-ASCII byte on.
func (s *scanner) slowStr(start int) (string, error) {
	var b strings.Builder
	b.WriteString(s.text[start:s.pos])
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return b.String(), nil
		case c < 0x20:
			return "", s.fail("control character in a string")
		case c == '\\':
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		default:
			r, size := utf8.DecodeRuneInString(s.text[s.pos:])
			if r == utf8.RuneError && size <= 1 {
				return "", s.fail("invalid UTF-8")
			}
			b.WriteString(s.text[s.pos : s.pos+size])
			s.pos += size
		}
	}
	return "", s.fail("unterminated string")
}

func (s *scanner) escape() (rune, error) {
	if s.pos+1 >= len(s.text) {
		return 0, s.fail("unterminated string")
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := s.text[s.pos+1]
	if i := strings.IndexByte(from, c); i >= 0 {
		s.pos += 2
		return rune(to[i]), nil
	}
	if c != 'u' {
		return 0, s.fail("unknown escape")
	}
	r, ok := s.hex4()
	if !ok {
		return 0, s.fail("bad \\u escape")
	}
	if r < 0xD800 || r > 0xDFFF {
		return r, nil
	}
	// A surrogate must be the high half of a pair: encoding/json would turn a lone one into U+FFFD, so that two
	// different inputs became one.
	low, ok := s.hex4()
	if !ok || r > 0xDBFF || low < 0xDC00 || low > 0xDFFF {
		return 0, s.fail("lone surrogate")
	}
	return (r-0xD800)<<10 + (low - 0xDC00) + 0x10000, nil
}

// hex4 reads \uXXXX.
func (s *scanner) hex4() (rune, bool) {
	if s.pos+6 > len(s.text) || s.text[s.pos] != '\\' || s.text[s.pos+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s.text[s.pos+2 : s.pos+6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	s.pos += 6
	return r, true
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fail("bad number")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fail("bad number")
		}
	}
	if s.peek()|0x20 == 'e' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail("bad number")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// names finds names that are equal when case is folded. Few names are compared one by one, many go into a map, so that
// an object of ten thousand members costs no quadratic time.
type names struct {
	few  [16]string
	n    int
	many map[string]struct{}
}

func (s *names) add(name string) bool {
	if s.many != nil {
		key := fold(name)
		_, dup := s.many[key]
		s.many[key] = struct{}{}
		return !dup
	}
	for _, other := range s.few[:s.n] {
		if foldEqual(name, other) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.many = make(map[string]struct{}, 4*len(s.few))
	for _, other := range s.few {
		s.many[fold(other)] = struct{}{}
	}
	s.many[fold(name)] = struct{}{}
	return true
}

// foldEqual is strings.EqualFold with a quick no for the usual case, ASCII names of different length or first letter.
func foldEqual(a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" || a[0] < utf8.RuneSelf && b[0] < utf8.RuneSelf && a[0]|0x20 != b[0]|0x20 {
		return false
	}
	return strings.EqualFold(a, b)
}

// fold maps names that strings.EqualFold calls equal to one string.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		lowest := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			lowest = min(lowest, f)
		}
		return lowest
	}, name)
}

// quote makes a peer's name fit for an error text.
func quote(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	return fmt.Sprintf("%+q", name)
}
