package rar

import (
	"slices"
	"strings"
	"unicode"
)

// mixed reports whether a word has letters of scripts that are not written
// together.
func mixed(word []rune) bool {
	var first string
	for _, r := range word {
		script := scriptOf(r)
		switch {
		case script == "":
		case first == "", first == script:
			first = script
		case together(first, script):
			if first == "Latin" { // the other script excludes more
				first = script
			}
		default:
			return true
		}
	}
	return false
}

// together reports whether one text is written in both scripts (UTS 39, "highly
// restrictive").
func together(a, b string) bool {
	east := func(s string) bool {
		return s == "Han" || s == "Hiragana" || s == "Katakana" || s == "Hangul" || s == "Bopomofo"
	}
	return (east(a) || a == "Latin") && (east(b) || b == "Latin")
}

// scriptOf returns the script of a letter. It is empty for characters that
// belong to no script.
func scriptOf(r rune) string {
	if r <= unicode.MaxASCII {
		if unicode.IsLetter(r) {
			return "Latin"
		}
		return ""
	}
	for _, name := range [...]string{
		"Latin", "Cyrillic", "Greek", "Han", "Hiragana", "Katakana", "Hangul", "Arabic", "Hebrew",
	} {
		if unicode.Is(unicode.Scripts[name], r) {
			return name
		}
	}
	if unicode.In(r, unicode.Common, unicode.Inherited) {
		return ""
	}
	for name, table := range unicode.Scripts { // a letter is of one script
		if unicode.Is(table, r) {
			return name
		}
	}
	return ""
}

// everyday are the scripts that UAX 31 recommends for identifiers (table 5).
const everyday = " Latin Cyrillic Greek Han Hiragana Katakana Hangul Arabic Hebrew Armenian Bengali Bopomofo" +
	" Devanagari Ethiopic Georgian Gujarati Gurmukhi Kannada Khmer Lao Malayalam Myanmar Oriya Sinhala Tamil Telugu" +
	" Thaana Thai Tibetan "

// readers are the languages that are written in other scripts.
var readers = map[string]string{
	"Adlam": " ff ", "Balinese": " ban ", "Buginese": " bug ", "Canadian_Aboriginal": " cr csw ike iu oj ojw ",
	"Chakma": " ccp ", "Cham": " cjm ", "Cherokee": " chr ", "Hanifi_Rohingya": " rhg ", "Javanese": " jv ",
	"Limbu": " lif ", "Lisu": " lis ", "Meetei_Mayek": " mni ", "Mongolian": " mn mvf ", "New_Tai_Lue": " khb ",
	"Newa": " new ", "Nko": " man nqo ", "Ol_Chiki": " sat ", "Osage": " osa ", "Sundanese": " su ",
	"Syriac": " aii arc syr ", "Tai_Le": " tdd ", "Tai_Tham": " nod ", "Tifinagh": " ber shi tzm zgh ",
	"Vai": " vai ", "Yi": " ii ",
}

// rare reports whether a word is in a script that few readers know, and the
// language is not written in it.
func rare(word []rune, language string) bool {
	language, _, _ = strings.Cut(strings.ToLower(language), "-")
	return slices.ContainsFunc(word, func(r rune) bool {
		script := scriptOf(r)
		return script != "" && !strings.Contains(everyday, " "+script+" ") &&
			(language == "" || !strings.Contains(readers[script], " "+language+" "))
	})
}

// Letters that look like Latin ones.
const (
	cyrillicTwins = "АВЕЅІЈКМНОРСТУХЗҮҺԌԚԜӀаеѕіјорсухһԁԛԝӏүґгпѵѴ"
	greekTwins    = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳаονιυρκχαγϲ"
	armenianTwins = "ՕՍՏԼօոռսցզգհյլ"

	// zeroTwins are letters of many scripts. Letters that ordinary texts write
	// after a number (a Greek ordinal, an Arabic year) are not in it.
	zeroTwins = "ОоՕօס〇ဝഠଠⵔჿоంಂംං"
)

// disguised reports whether all letters of a word belong to another script and
// look like Latin ones.
func disguised(word []rune, language string) bool {
	language, _, _ = strings.Cut(strings.ToLower(language), "-")
	for _, alphabet := range []struct{ twins, languages string }{
		{cyrillicTwins, " ab av be bg ce cv kk ky mk mn os ru sr tg tt uk uz "}, {greekTwins, " el "},
		{armenianTwins, " hy hyw "},
	} {
		letters, twins := 0, 0
		for _, r := range word {
			if unicode.IsLetter(r) {
				letters++
				if r > unicode.MaxASCII && strings.ContainsRune(alphabet.twins, r) {
					twins++
				}
			}
		}
		if twins > 0 && twins == letters {
			return language == "" || !strings.Contains(alphabet.languages, " "+language+" ")
		}
	}
	return false
}
