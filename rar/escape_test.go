package rar_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/rar"
)

func TestEscapeText(t *testing.T) {
	for _, tc := range []struct{ name, text, language, want string }{
		{"text", "ACME Ltd. (12.34 EUR) <b>&\"'", "", "ACME Ltd. (12.34 EUR) <b>&\"'"},
		{"nothing", "", "", ""},
		{"other alphabets", "Müller Ærø Łódź Ελλάδα Москва תל־אביב القاهرة दिल्ली กรุงเทพ 東京タワー 서울 €5", "", "Müller Ærø Łódź Ελλάδα Москва תל־אביב القاهرة दिल्ली กรุงเทพ 東京タワー 서울 €5"},
		{"words of different alphabets", "ООО «Ромашка» GmbH", "ru", "ООО «Ромашка» GmbH"},
		{"Japanese with Latin letters", "東京Tower", "", "東京Tower"},
		{"RAR-12-3 a line break", "ACME\r\nAmount: 1.00", "", `ACME\u{d}\u{a}Amount: 1.00`},
		{"RAR-12-3 control characters", "\x00a\x1b[2J\x7f\u0085", "", `\u{0}a\u{1b}[2J\u{7f}\u{85}`},
		{"RAR-12-3 the direction of writing", "ACME \u202e00.1\u202c", "", `ACME \u{202e}00.1\u{202c}`},
		{"RAR-12-3 isolates and marks of direction", "\u2066a\u2069\u200e\u200f\u061c", "", `\u{2066}a\u{2069}\u{200e}\u{200f}\u{61c}`},
		{"RAR-12-3 nothing between letters", "AC\u200bME \u200dx\u200c\ufeff\u2060\u00ad", "", `AC\u{200b}ME \u{200d}x\u{200c}\u{feff}\u{2060}\u{ad}`},
		{"RAR-12-3 fillers", "\u3164 \u115f \uffa0 \u2800 \u17b5", "", `\u{3164} \u{115f} \u{ffa0} \u{2800} \u{17b5}`},
		{"RAR-12-3 other spaces", "a\u00a0b\u2003c\u3000d\u2028e", "", `a\u{a0}b\u{2003}c\u{3000}d\u{2028}e`},
		{"RAR-12-3 variation selectors and tags", "a\ufe0f\U000e0041", "", `a\u{fe0f}\u{e0041}`},
		{"RAR-12-3 private and unassigned", "\ue000\U0010ffff\u0378", "", `\u{e000}\u{10ffff}\u{378}`},
		{"RAR-12-3 not in normal form C", "Mu\u0308ller", "", `Mu\u{308}ller`},
		{"RAR-12-3 marks that nothing is composed of", "a\u0336b\u20dd", "", `a\u{336}b\u{20dd}`},
		{"RAR-12-3 signs with an equal letter", "5 \u212a \u212b \u2126 \u037e \u1fef", "", `5 \u{212a} \u{212b} \u{2126} \u{37e} \u{1fef}`},
		{"RAR-12-3 conjoining jamo", "\u1109\u1165", "", `\u{1109}\u{1165}`},
		{"RAR-12-3 compatibility letters", "ＡＣＭＥ 𝐀𝐂𝐌𝐄 ⒶⒸⓂ ﬁ \uf900", "", `\u{ff21}\u{ff23}\u{ff2d}\u{ff25} \u{1d400}\u{1d402}\u{1d40c}\u{1d404} \u{24b6}\u{24b8}\u{24c2} \u{fb01} \u{f900}`},
		{"RAR-12-3 digits of other alphabets", "١٢ 〇 12", "", `\u{661}\u{662} 〇 12`},
		{"RAR-12-3 Cyrillic among Latin letters", "Pаypal", "ru", `P\u{430}ypal`},
		{"RAR-12-3 Greek among Latin letters", "ΑCME", "el", `\u{391}CME`},
		{"RAR-12-3 Latin among Cyrillic letters", "Москвa", "", `\u{41c}\u{43e}\u{441}\u{43a}\u{432}a`},
		{"RAR-12-3 Armenian among Latin letters", "ACMՕ", "", `ACM\u{555}`},
		{"RAR-12-3 a mixture that something invisible divides", "P\u200bаypal", "", `P\u{200b}\u{430}ypal`},
		{"RAR-12-3 Cyrillic letters that all look Latin", "АСМЕ", "en", `\u{410}\u{421}\u{41c}\u{415}`},
		{"RAR-12-3 Cyrillic letters that all look Latin, with a number", "СОР24", "de-CH", `\u{421}\u{41e}\u{420}24`},
		{"Cyrillic letters that all look Latin on a page in Russian", "АСМЕ", "ru-RU", "АСМЕ"},
		{"RAR-12-3 Greek letters that all look Latin", "ΑΤΜ", "", `\u{391}\u{3a4}\u{39c}`},
		{"Greek letters that all look Latin on a page in Greek", "ΑΤΜ", "el", "ΑΤΜ"},
		{"RAR-12-3 Armenian letters that all look Latin", "ՍՏՕ ոսօ", "en", `\u{54d}\u{54f}\u{555} \u{578}\u{57d}\u{585}`},
		{"Armenian", "Երևան ՕՍ", "hy-AM", "Երևան ՕՍ"},
		{"RAR-12-3 ACME in Lisu, Cherokee, Coptic and syllabics", "ꓮꓚꓟꓰ ᎪᏟᎷᎬ ⲀⲤⲘⲈ ᗅᑕᗰᗴ", "en", `\u{a4ee}\u{a4da}\u{a4df}\u{a4f0} \u{13aa}\u{13df}\u{13b7}\u{13ac} \u{2c80}\u{2ca4}\u{2c98}\u{2c88} \u{15c5}\u{1455}\u{15f0}\u{15f4}`},
		{"a page in Cherokee", "ᏣᎳᎩ", "chr-US", "ᏣᎳᎩ"},
		{"a page in Inuktitut", "ᐃᓄᒃᑎᑐᑦ", "iu", "ᐃᓄᒃᑎᑐᑦ"},
		{"scripts that many read", "አማርኛ ქართული հայերեն မြန်မာ தமிழ் ខ្មែរ ລາວ বাংলা ગુજરાતી ދިވެހި", "", "አማርኛ ქართული հայերեն မြန်မာ தமிழ் ខ្មែរ ລາວ বাংলা ગુજરાતી ދިވެހި"},
		{"RAR-12-3 zeros of other alphabets", "1ဝဝ 5ഠ 2О 1〇〇 3ס", "ru", `1\u{101d}\u{101d} 5\u{d20} 2\u{41e} 1\u{3007}\u{3007} 3\u{5e1}`},
		{"the same letters among their own", "二〇二六 Около သဝဏ် סוס", "ru", "二〇二六 Около သဝဏ် סוס"},
		{"RAR-12-3 radicals, and digits with a point", "⼝座 1⒈00", "zh", `\u{2f1d}座 1\u{2488}00`},
		{"RAR-12-3 marks on digits and on nothing", "34\u0902 1\u0903\u0903 \u0e31", "", `34\u{902} 1\u{903}\u{903} \u{e31}`},
		{"RAR-12-3 what reads as an escape", `\u{410}`, "", `\u{5c}u{410}`},
		{"a backslash", `a\b`, "", `a\b`},
		{"G9 a big solidus, U+29F8", "https:⧸⧸bank.example⧸pay", "en", `https:\u{29f8}\u{29f8}bank.example\u{29f8}pay`},
		{"G9 a fraction slash, U+2044", "bank.example⁄pay", "", `bank.example\u{2044}pay`},
		{"G9 a division slash, U+2215", "bank.example∕pay", "", `bank.example\u{2215}pay`},
		{"G9 a ratio, U+2236", "https∶//bank.example", "en", `https\u{2236}//bank.example`},
		{"G9 an ideographic full stop, U+3002", "bank。example", "ja", `bank\u{3002}example`},
		{"G9 an Armenian full stop", "https։//bank", "hy", `https\u{589}//bank`},
		{"G9 a Hebrew colon", "https׃//bank", "he", `https\u{5c3}//bank`},
		{"G9 a modifier letter colon", "https꞉//bank", "", `https\u{a789}//bank`},
		{"G9 Katakana that looks like a slash", "bank.exampleノノpay", "ja", `bank.example\u{30ce}\u{30ce}pay`},
		{"G9 a glottal stop", "payʔx=1", "", `pay\u{294}x=1`},
		{"G9 an Arabic full stop", "bank۔example", "ur", `bank\u{6d4}example`},
		{"G9 a low quotation mark between digits", "1‚000", "de", `1\u{201a}000`},
		{"a Japanese sentence", "ご利用。銀行ノ口座、ACME。", "ja", "ご利用。銀行ノ口座、ACME。"},
		{"an Urdu sentence", "شکریہ۔", "ur", "شکریہ۔"},
		{"German quotation marks", "Der ‚Club‘ zahlt", "de", "Der ‚Club‘ zahlt"},
		{"Catalan", "col·lecció", "ca", "col·lecció"},
		{"RAR-12-3 invalid UTF-8", "a\xffb", "", `a\u{fffd}b`},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, rar.EscapeText(tc.text, tc.language)) })
	}
}

// The vectors come from the Unicode character database, version 14.
func TestEscapeTextReplacesCharactersThatAreNotNormal(t *testing.T) {
	for _, v := range testkit.LoadVectors[nfcVector](t, "testdata/nfc.json") {
		t.Run("RAR-12-3 "+v.Name, func(t *testing.T) {
			for _, r := range v.Ranges {
				for c := r[0]; c <= r[1]; c++ {
					require.Contains(t, rar.EscapeText(string(c), ""), fmt.Sprintf(`\u{%x}`, c))
				}
			}
			for _, p := range v.Pairs {
				require.Contains(t, rar.EscapeText(string(p[:]), ""), fmt.Sprintf(`\u{%x}`, p[1]))
			}
		})
	}
}

// Escaped text is visible and reversible, and does not change when it is escaped
// again.
func FuzzEscapeText(f *testing.F) {
	f.Add("Müller \u202e \\u{1} АСМЕ Pаypal \u1100", "en")
	f.Add("\\", "ru")
	f.Add("\\\\uu{\\u", "")
	f.Fuzz(func(t *testing.T, text, language string) {
		shown := rar.EscapeText(text, language)
		for _, r := range shown {
			require.True(t, r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r), "%q", shown)
		}
		// Decoding the escapes restores the text, so two texts never have one
		// escaped form.
		var back strings.Builder
		for rest := shown; rest != ""; {
			var code rune
			if n, err := fmt.Sscanf(rest, `\u{%x}`, &code); n == 1 && err == nil {
				back.WriteRune(code)
				_, rest, _ = strings.Cut(rest, "}")
				continue
			}
			r := []rune(rest)[0]
			back.WriteRune(r)
			rest = rest[len(string(r)):]
		}
		require.Equal(t, string([]rune(text)), back.String(), "%q", shown)
	})
}
