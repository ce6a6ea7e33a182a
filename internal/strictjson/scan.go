// Package strictjson reads JSON (RFC 8259) from a peer. It rejects each
// document that two readers could understand differently. Such documents have
// duplicate member names, names that differ only by case, bytes before or after
// the value, invalid UTF-8 or lone surrogates. It bounds nesting. The caller
// bounds the size of the input.
//
// encoding/json keeps the last of two equal names and ignores the case of
// names. A proxy or a log could then read another document than the program.
//
// Every parser of this module that reads an [Object] follows three rules:
//
//   - A member is strict if a check depends on it or if it is a permission. It
//     has its type, or the parser rejects the document. CONTRIBUTING.md has the
//     list.
//   - A null counts as absent. In exp, typ, cnf and the members of cnf, a null
//     is an error. Otherwise the token would not expire, would be of another
//     kind, or would be bound to less. The presence of crit is an error
//     whatever its value.
//   - Every other member is lenient ([Lenient]). A value of another type counts
//     as absent, and the result of the parser reports it in a method Dropped. A
//     client reads optional members of a token response leniently, because the
//     code or refresh token is already consumed.
//
// [ParseObject] rejects every repeated member. [ParseClaims] accepts a repeated
// member of the outermost object if both values have the same bytes, because
// Keycloak writes iss twice. All readers agree about such a document.
// ParseClaims is for authorization responses (JARM), ID tokens and JWT access
// tokens only.
//
// A [Writer] and [ReadRecord] are for records that this program stores.
package strictjson

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxDepth is the maximum depth of arrays and objects. Documents of OAuth need
// only a few levels.
const MaxDepth = 32

// maxRepeated is how many members ParseClaims accepts twice. Keycloak repeats
// one member.
const maxRepeated = 8

// ErrInvalid matches every error of this package.
var ErrInvalid = errors.New("invalid JSON")

// A scanner checks a text in one pass. Names and values are parts of the text
// and need no allocation.
type scanner struct {
	text string
	pos  int
	// repeats is how many members of the outermost object may still be
	// repeated.
	repeats int
	shallow bool // only the outermost object must have distinct names
	// maxItems bounds the elements of the outermost array. 0 is unbounded.
	maxItems int
	objects  int    // depth of objects
	nodes    *nodes // of a record
	// place leads from the faulty value to the outermost one, as names and
	// indexes. It is set on the way out of an error.
	place []any
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

// value checks a value and, if v is not nil, stores it in v.
func (s *scanner) value(depth int, v *Value) (err error) {
	start, kind, text := s.pos, KindNumber, ""
	switch c := s.peek(); {
	case c == '{':
		kind, err = KindObject, s.object(depth, nil, v)
	case c == '[':
		kind, err = KindArray, s.array(depth, v)
	case c == '"':
		kind = KindString
		text, err = s.str(v != nil)
	case c == '-' || '0' <= c && c <= '9':
		err = s.number()
	default:
		kind, err = s.literal()
	}
	if v != nil && err == nil {
		v.Kind, v.Raw, v.Text = kind, s.text[start:s.pos], text
	}
	return err
}

// inner is value for a member or an element, which it also adds to the nodes of
// a record.
func (s *scanner) inner(depth int, name string, v *Value) error {
	if s.nodes == nil || s.nodes.hidden {
		return s.value(depth, v)
	}
	return s.nodes.add(s, depth, name)
}

func (s *scanner) literal() (Kind, error) {
	for _, literal := range [...]string{"true", "false", null} {
		if strings.HasPrefix(s.text[s.pos:], literal) {
			s.pos += len(literal)
			if literal == null {
				return KindNull, nil
			}
			return KindBoolean, nil
		}
	}
	return 0, s.fail("no JSON value")
}

// An addFunc receives a member of the outermost object. If again is true, the
// object has the name already, perhaps in another case. The addFunc then
// reports whether the object has exactly this name with this value.
type addFunc func(name, value string, again bool) bool

// object checks an object. It passes each member to add and stores it in v;
// both may be nil.
func (s *scanner) object(depth int, add addFunc, v *Value) error {
	if depth >= MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++ // {
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	if v != nil {
		v.Members = make([]Member, 0, s.room())
	}
	s.objects++
	var seen names
	for {
		name, err := s.member(depth, &seen, add, v)
		if err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			s.objects--
			return nil
		default:
			return s.fail("no , or } after member " + quote(name))
		}
	}
}

func (s *scanner) member(depth int, seen *names, add addFunc, v *Value) (string, error) {
	if s.peek() != '"' {
		return "", s.fail("no member name")
	}
	name, err := s.str(true)
	if err != nil {
		return "", err
	}
	again := !seen.add(name)
	if again && (depth != 0 && !s.shallow || depth == 0 && s.repeats == 0) {
		return "", s.fail("duplicate member " + quote(name))
	}
	s.space()
	if s.peek() != ':' {
		return "", s.fail("no : after member " + quote(name))
	}
	s.pos++
	s.space()
	start := s.pos
	if err := s.inner(depth+1, name, v.addMember(name)); err != nil {
		s.place = append(s.place, name)
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

func (s *scanner) array(depth int, v *Value) error {
	if depth >= MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++ // [
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for i := 0; ; i++ {
		if depth == 0 && s.maxItems > 0 && i == s.maxItems {
			return ErrTooMany
		}
		if err := s.inner(depth+1, "", v.addItem()); err != nil {
			s.place = append(s.place, i)
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

// str checks a string and returns its value. If keep is false, the value of a
// string with escapes is not needed, and not built.
func (s *scanner) str(keep bool) (string, error) {
	s.pos++ // "
	start := s.pos
	text, i := s.text, s.pos
	for i < len(text) && plain[text[i]] {
		i++
	}
	s.pos = i
	if i < len(text) && text[i] == '"' {
		s.pos++
		return text[start:i], nil
	}
	return s.slowStr(start, keep)
}

// plain marks the bytes that stand for themselves in a string: all ASCII
// characters except control characters, quotes and backslashes.
var plain = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// slowStr is str from the first escape or non-ASCII byte on. Without escapes,
// the value is a part of the text.
func (s *scanner) slowStr(start int, keep bool) (string, error) {
	var b strings.Builder
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case plain[c]:
			s.pos++
		case c == '"':
			last := s.text[start:s.pos]
			s.pos++
			if b.Len() == 0 {
				return last, nil
			}
			b.WriteString(last)
			return b.String(), nil
		case c < 0x20:
			return "", s.fail("control character in a string")
		case c == '\\':
			before := s.text[start:s.pos]
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			if keep {
				if b.Len() == 0 { // the string is at least as long as up to the next quote
					b.Grow(len(before) + utf8.UTFMax + max(0, strings.IndexByte(s.text[s.pos:], '"')))
				}
				b.WriteString(before)
				b.WriteRune(r)
			}
			start = s.pos
		default:
			r, size := utf8.DecodeRuneInString(s.text[s.pos:])
			if r == utf8.RuneError && size <= 1 {
				return "", s.fail("invalid UTF-8")
			}
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
	// A surrogate must be the high half of a pair. encoding/json would replace
	// a lone surrogate with U+FFFD, and two different inputs would become one.
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

// names finds names that are equal except for their case. It compares a few
// names one by one, and uses a map for more. An object of ten thousand members
// therefore does not take quadratic time.
type names struct {
	few  [16]string
	n    int
	many map[uint64]string // by the hash of their folded forms
}

func (s *names) add(name string) bool {
	if s.many != nil {
		return s.addToMany(name)
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
	s.many = make(map[uint64]string, 4*len(s.few))
	for _, other := range s.few {
		s.addToMany(other)
	}
	return s.addToMany(name)
}

// addToMany looks for another place if two names have one hash. No sender can
// cause that, because the seed is random.
func (s *names) addToMany(name string) bool {
	for at := foldHash(name); ; at++ {
		other, taken := s.many[at]
		switch {
		case !taken:
			s.many[at] = name
			return true
		case foldEqual(name, other):
			return false
		}
	}
}

var seed = maphash.MakeSeed()

// foldHash hashes the folded form of a name.
func foldHash(name string) uint64 {
	var upper [32]byte
	if len(name) > len(upper) {
		return maphash.String(seed, fold(name))
	}
	for i := range len(name) {
		c := name[i]
		if c >= utf8.RuneSelf {
			return maphash.String(seed, fold(name))
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	return maphash.Bytes(seed, upper[:len(name)])
}

// foldEqual is strings.EqualFold, and fast for ASCII names with different first
// letters.
func foldEqual(a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" || a[0] < utf8.RuneSelf && b[0] < utf8.RuneSelf && a[0]|0x20 != b[0]|0x20 {
		return false
	}
	return strings.EqualFold(a, b)
}

// fold maps all names that strings.EqualFold finds equal to one string.
func fold(name string) string {
	ascii := true
	for i := range len(name) {
		ascii = ascii && name[i] < utf8.RuneSelf
	}
	if ascii {
		return strings.ToUpper(name)
	}
	return strings.Map(func(r rune) rune {
		lowest := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			lowest = min(lowest, f)
		}
		return lowest
	}, name)
}

// quote returns a peer's name for an error text: quoted and shortened.
func quote(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	return fmt.Sprintf("%+q", name)
}
