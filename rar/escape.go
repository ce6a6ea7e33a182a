package rar

import (
	"fmt"
	"strings"
	"unicode"
)

// EscapeText escapes text of another author for a consent page, a log or a
// receipt. It replaces each invisible or misleading character with \u{…}, which
// has its code point in hexadecimal. language is the tag of the page's
// language, or empty if it is unknown. EscapeText replaces:
//
//   - Invisible characters: control and format characters, line breaks,
//     characters that change the direction of writing, private use and
//     unassigned characters, fillers, and spaces except U+0020.
//   - Characters that look like another sequence, which Unicode calls their
//     normal form. They are combining marks without a script of their own,
//     compatibility letters such as fullwidth ones, and conjoining jamo. Text
//     in normal form C loses only marks without a precomposed letter. Marks of
//     one letter in another order pass.
//   - Digits other than 0 to 9, because amounts contain digits.
//   - All letters except ASCII ones in a word of several scripts, for example
//     Latin and Cyrillic. Scripts that are written together (Chinese, Japanese,
//     Korean and Latin) are not a mixture.
//   - Words of Cyrillic, Greek or Armenian letters that all look like Latin
//     ones, unless the language is written in that script.
//   - Words in scripts that Unicode does not recommend for identifiers (UAX
//     31), unless the language is written in that script. Lisu, Cherokee and
//     Coptic are such scripts.
//   - Letters that look like a zero in a word with digits, and marks on
//     anything except a letter.
//   - Signs that look like the ASCII punctuation of a URI or of an amount. They
//     are slashes, colons, points and question marks of other scripts and of
//     mathematics. Punctuation of a script, such as the ideographic full stop,
//     is replaced only between ASCII characters.
//   - A backslash that would read as one of these escapes.
//
// EscapeText never shortens text, because that would hide a part of it. The
// result is not HTML. The rule is stricter than UTS 39 where the standard
// library does not have its data. It does not find similar letters within one
// script. EscapeText is safe for concurrent use.
func EscapeText(text, language string) string {
	if harmless(text) {
		return text
	}
	var b strings.Builder
	runes := []rune(text)
	for i := 0; i < len(runes); {
		end := i
		for end < len(runes) && inWord(runes[end]) {
			end++
		}
		if end == i {
			escapes := runes[i] == '\\' && i+1 < len(runes) && runes[i+1] == 'u'
			writeRune(&b, runes[i], escapes || mustEscape(runes[i]) || punctuates(runes, i))
			i++
			continue
		}
		word := runes[i:end]
		suspicious := mixed(word) || disguised(word, language) || rare(word, language)
		for j, r := range word {
			hidden := suspicious && r > unicode.MaxASCII || misplaced(word, j)
			writeRune(&b, r, hidden || mustEscape(r) || punctuates(runes, i+j))
		}
		i = end
	}
	return b.String()
}

// harmless reports whether text is printable ASCII without a backslash.
func harmless(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

func writeRune(b *strings.Builder, r rune, escape bool) {
	if escape {
		fmt.Fprintf(b, `\u{%x}`, r)
		return
	}
	b.WriteRune(r)
}

// inWord reports whether a reader sees r as part of a word: letters, marks,
// digits, and invisible characters between them.
func inWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Cf)
}

func mustEscape(r rune) bool {
	switch {
	case r == ' ':
		return false
	case r <= unicode.MaxASCII:
		return r < ' ' || r == 0x7f
	case r == unicode.ReplacementChar, !unicode.IsGraphic(r), unicode.Is(unicode.Z, r):
		return true
	case unicode.Is(unicode.Nd, r), unicode.Is(unicode.Inherited, r):
		return true
	}
	return unicode.Is(variants, r) || strings.ContainsRune(signTwins, r)
}

const (
	// signTwins look like / \ : . ? # and are not written in ordinary text.
	signTwins = "\u29f8\u29f9\u29f5\u2216\u2571\u2572\u27cb\u27cd\u2041\u1735\u3033\u3034\u3035\u31d3\u31d4\u4e3f" +
		"\U0001d23a\u2236\ua789\u02d0\u205a\u16ec\u2e33\U00010a50\u0294\u0241\u266f"
	// scriptTwins look like / : . , and are punctuation or letters of a script.
	scriptTwins = "\u3001\u3002\u30ce\u0589\u05c3\u06d4\u060d\u066b\u0701\u0702\u0703\u0704\u1803\u1809\u201a\u00b8"
)

// punctuates reports whether a reader may take the character at i for ASCII
// punctuation, because it looks like it and its neighbours are ASCII.
func punctuates(runes []rune, i int) bool {
	ascii := func(i int) bool {
		if i < 0 || i >= len(runes) {
			return false
		}
		r := runes[i]
		return r > ' ' && r <= '~' || strings.ContainsRune(scriptTwins, r) || strings.ContainsRune(signTwins, r)
	}
	return strings.ContainsRune(scriptTwins, runes[i]) && ascii(i-1) && ascii(i+1)
}

// variants look like other letters or signs, or like nothing. Most of them are
// never in normal form C, and the others never in normal form KC. The
// presentation forms of these blocks have ordinary letters, too.
var variants = &unicode.RangeTable{
	R16: []unicode.Range16{
		// ĳ ŀ ŉ ſ ǆ
		{0x0132, 0x0133, 1}, {0x013f, 0x0140, 1}, {0x0149, 0x0149, 1}, {0x017f, 0x017f, 1}, {0x01c4, 0x01cc, 1},
		// ǳ, superscript letters
		{0x01f1, 0x01f3, 1}, {0x02b0, 0x02b8, 1}, {0x02e0, 0x02e4, 1},
		{0x0340, 0x0345, 1}, {0x0374, 0x0374, 1}, {0x037a, 0x037a, 1}, {0x037e, 0x037e, 1}, {0x0387, 0x0387, 1},
		// nukta letters
		{0x0958, 0x095f, 1}, {0x09dc, 0x09df, 1}, {0x0a33, 0x0a36, 1}, {0x0a59, 0x0a5e, 1}, {0x0b5c, 0x0b5d, 1},
		{0x0f43, 0x0f4d, 1}, {0x0f52, 0x0f5c, 1}, {0x0f69, 0x0f69, 1}, {0x0f73, 0x0f81, 1},
		{0x0f93, 0x0f93, 1}, {0x0f9d, 0x0f9d, 1}, {0x0fa2, 0x0fac, 5}, {0x0fb9, 0x0fb9, 1},
		// conjoining jamo, with fillers
		{0x1100, 0x11ff, 1},
		// invisible Khmer vowels, superscripts
		{0x17b4, 0x17b5, 1}, {0x1d2c, 0x1d6a, 1}, {0x1d9b, 0x1dbf, 1},
		// Greek with oxia
		{0x1f71, 0x1f7d, 2}, {0x1fbb, 0x1fbb, 1}, {0x1fbe, 0x1fbe, 1}, {0x1fc9, 0x1fcb, 2}, {0x1fd3, 0x1fdb, 8},
		{0x1fe3, 0x1feb, 8}, {0x1fee, 0x1fef, 1}, {0x1ff9, 0x1ffd, 2},
		{0x2000, 0x200f, 1}, {0x2024, 0x2024, 1}, {0x2044, 0x2044, 1}, {0x2070, 0x207f, 1}, {0x2080, 0x209c, 1},
		// ℀ to ⅏, Ⅳ, ∕, ⒈, ⓐ
		{0x2100, 0x214f, 1}, {0x2160, 0x217f, 1}, {0x2215, 0x2215, 1}, {0x2329, 0x232a, 1}, {0x2488, 0x24e9, 1},
		// radicals, which look like letters
		{0x2800, 0x2800, 1}, {0x2adc, 0x2adc, 1}, {0x2e80, 0x2fdf, 1},
		{0x3164, 0x3164, 1}, {0xa960, 0xa97f, 1}, {0xd7b0, 0xd7ff, 1},
		{0xf900, 0xfaff, 1}, {0xfb00, 0xfdff, 1}, {0xfe10, 0xfe1f, 1}, {0xfe30, 0xfe6f, 1}, {0xfe70, 0xfeff, 1},
		{0xff00, 0xffef, 1},
	},
	R32: []unicode.Range32{
		{0x1d15e, 0x1d164, 1}, {0x1d1bb, 0x1d1c0, 1}, {0x1d400, 0x1d7ff, 1}, {0x1f100, 0x1f1e5, 1},
		{0x1fbf0, 0x1fbf9, 1}, {0x2f800, 0x2fa1f, 1},
	},
}

// composed are the pairs of a letter and a mark of the same script for which
// normal form C has one letter.
const composed = "" +
	" \u0928\u093c \u0930\u093c \u0933\u093c \u09c7\u09be \u09c7\u09d7 \u0b47\u0b56 \u0b47\u0b3e \u0b47\u0b57" +
	" \u0b92\u0bd7 \u0bc6\u0bbe \u0bc7\u0bbe \u0bc6\u0bd7 \u0c46\u0c56 \u0cbf\u0cd5 \u0cc6\u0cd5 \u0cc6\u0cd6" +
	" \u0cc6\u0cc2 \u0cca\u0cd5 \u0d46\u0d3e \u0d47\u0d3e \u0d46\u0d57 \u0dd9\u0dca \u0dd9\u0dcf \u0ddc\u0dca" +
	" \u0dd9\u0ddf \u1025\u102e \u1b05\u1b35 \u1b07\u1b35 \u1b09\u1b35 \u1b0b\u1b35 \u1b0d\u1b35 \u1b11\u1b35" +
	" \u1b3a\u1b35 \u1b3c\u1b35 \u1b3e\u1b35 \u1b3f\u1b35 \u1b42\u1b35 \U00011099\U000110ba" +
	" \U0001109b\U000110ba \U000110a5\U000110ba \U00011131\U00011127 \U00011132\U00011127" +
	" \U00011347\U0001133e \U00011347\U00011357 \U000114b9\U000114ba \U000114b9\U000114b0" +
	" \U000114b9\U000114bd \U000115b8\U000115af \U000115b9\U000115af \U00011935\U00011930"

func composes(letter, mark rune) bool {
	return unicode.Is(unicode.M, mark) && strings.Contains(composed, string([]rune{letter, mark}))
}

// misplaced reports whether the character at i is a mark that changes the one
// before it without being part of a letter. It also reports whether the
// character looks like a digit among digits.
func misplaced(word []rune, i int) bool {
	r := word[i]
	if unicode.Is(unicode.M, r) {
		base := i
		for base >= 0 && unicode.Is(unicode.M, word[base]) {
			base--
		}
		return base < 0 || !unicode.IsLetter(word[base]) || composes(word[i-1], r)
	}
	return strings.ContainsRune(zeroTwins, r) && strings.ContainsAny(string(word), "0123456789")
}
