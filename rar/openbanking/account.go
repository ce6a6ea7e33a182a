package openbanking

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/rar"
)

// An Account is a bank account: an IBAN, or an identification of another scheme.
type Account struct {
	// IBAN is the international bank account number (ISO 13616) in electronic form.
	IBAN IBAN `json:"iban,omitempty"`
	// BIC is the bank of the IBAN, which the IBAN says as well. Accounts with and without it are two to a comparison.
	BIC BIC `json:"bic,omitempty"`
	// Scheme says what Identification is, for an account without IBAN: "sortcode".
	Scheme Text `json:"scheme,omitempty"`
	// Identification identifies the account in the scheme.
	Identification Text `json:"identification,omitempty"`
}

// JSONSchema describes the members. There is at least one, so that no account is one that is left out.
func (Account) JSONSchema() string {
	return `{"type":"object","properties":{"iban":` + IBAN("").JSONSchema() + `,"bic":` + BIC("").JSONSchema() +
		`,"scheme":` + Text("").JSONSchema() + `,"identification":` + Text("").JSONSchema() + `},"minProperties":1,"additionalProperties":false}`
}

// An IBAN is an international bank account number in upper case and without spaces.
type IBAN string

// JSONSchema describes the form; the check digits are checked apart.
func (IBAN) JSONSchema() string {
	return `{"type":"string","pattern":"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$","description":"IBAN in electronic form"}`
}

// A BIC is a business identifier code (ISO 9362), of 8 or 11 characters in upper case.
type BIC string

// JSONSchema describes the form.
func (BIC) JSONSchema() string {
	return `{"type":"string","pattern":"^[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$","description":"BIC"}`
}

// valid checks the check digits: the number made of the IBAN is 1 modulo 97 (ISO 7064), and they are one of 02 to 98. Without
// the latter 00, 01 and 99 would be other spellings of 97, 98 and 02.
func (i IBAN) valid() bool {
	if len(i) < 5 || i[2:4] < "02" || i[2:4] > "98" {
		return false
	}
	rest := 0
	for _, c := range i[4:] + i[:4] {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A'+10)) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	return rest == 1
}

// Text is a line of 1 to 140 characters, none of them a control character.
type Text string

// JSONSchema describes the length and the characters.
func (Text) JSONSchema() string {
	return `{"type":"string","minLength":1,"maxLength":140,"pattern":"^[^\\x00-\\x1f\\x7f-\\x9f]*$"}`
}

func (a Account) check(path string) error {
	other := a.Scheme != "" && a.Identification != ""
	switch {
	case a.IBAN != "" && (a.Scheme != "" || a.Identification != ""), a.IBAN == "" && !other:
		return rar.FieldError(path, "neither an iban nor scheme and identification")
	case a.BIC != "" && a.IBAN == "":
		return rar.FieldError(path+".bic", "without an iban")
	case a.IBAN != "" && !a.IBAN.valid():
		return rar.FieldError(path+".iban", "wrong check digits")
	}
	return nil
}

func (a Account) show() string {
	if a.IBAN == "" {
		return string(a.Scheme) + ": " + string(a.Identification)
	}
	var groups []string
	for group := range slices.Chunk([]byte(a.IBAN), 4) {
		groups = append(groups, string(group))
	}
	if a.BIC != "" {
		groups = append(groups, "("+string(a.BIC)+")")
	}
	return strings.Join(groups, " ")
}

// checkAccounts checks a list of accounts, nil being one that is absent.
func checkAccounts(path string, accounts []Account) error {
	for i, a := range accounts {
		if err := a.check(path); err != nil {
			return err
		}
		if slices.Contains(accounts[:i], a) {
			return rar.FieldError(path, "an account is there twice")
		}
	}
	if accounts != nil && len(accounts) == 0 {
		return rar.FieldError(path, "an empty list: leave it out to let the user choose")
	}
	return nil
}

// accountsWithin reports whether requested are some of granted. A list that is absent has no accounts yet, so it covers and
// is covered by the like alone.
func accountsWithin(granted, requested []Account) bool {
	return (granted == nil) == (requested == nil) && within(granted, requested)
}

// sortedAccounts returns accounts in an order that depends on them alone.
func sortedAccounts(accounts []Account) []Account {
	return slices.SortedFunc(slices.Values(accounts), func(a, b Account) int {
		return cmp.Or(cmp.Compare(a.IBAN, b.IBAN), cmp.Compare(a.BIC, b.BIC), cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.Identification, b.Identification))
	})
}

// equalAccount compares accounts that may be absent.
func equalAccount(a, b *Account) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// A Date is a day of the calendar, "2027-03-31", in the time zone of the bank.
type Date string

// JSONSchema describes the form; that the day exists is checked apart.
func (Date) JSONSchema() string {
	return `{"type":"string","pattern":"^[0-9]{4}-[0-9]{2}-[0-9]{2}$","description":"day, as in 2027-03-31"}`
}

func (d Date) check(path string) error {
	if _, err := time.Parse(time.DateOnly, string(d)); err != nil || d == "" {
		return rar.FieldError(path, "not a day of the calendar")
	}
	return nil
}

// show writes the day as the language does.
func (d Date) show(language string) string {
	day, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return string(d)
	}
	if language == german {
		return day.Format("02.01.2006")
	}
	return day.Format("2 January 2006")
}
