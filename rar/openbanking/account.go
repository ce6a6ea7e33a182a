package openbanking

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/rar"
)

// An Account is a bank account: an IBAN, or an identification of another
// scheme.
type Account struct {
	// IBAN is the international bank account number (ISO 13616) in electronic
	// form.
	IBAN IBAN `json:"iban,omitempty"`
	// BIC is the bank of the IBAN. Accounts with and without BIC are different
	// accounts.
	BIC BIC `json:"bic,omitempty"`
	// Scheme is the scheme of Identification, for an account without IBAN, for
	// example "sortcode".
	Scheme Text `json:"scheme,omitempty"`
	// Identification identifies the account in the scheme.
	Identification Text `json:"identification,omitempty"`
}

// JSONSchema returns the schema of an account. It requires at least one member,
// so that an empty account is not an absent one.
func (Account) JSONSchema() string {
	return `{"type":"object","properties":{"iban":` + IBAN("").JSONSchema() + `,"bic":` + BIC("").JSONSchema() +
		`,"scheme":` + Text("").JSONSchema() + `,"identification":` + Text("").JSONSchema() +
		`},"minProperties":1,"additionalProperties":false}`
}

// An IBAN is an international bank account number in upper case and without
// spaces.
type IBAN string

// JSONSchema returns the pattern of an IBAN. It does not express the check
// digits.
func (IBAN) JSONSchema() string {
	return `{"type":"string","pattern":"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$","description":"IBAN in electronic form"}`
}

// A BIC is a business identifier code (ISO 9362) of 8 or 11 characters in upper
// case.
type BIC string

// JSONSchema returns the pattern of a BIC.
func (BIC) JSONSchema() string {
	return `{"type":"string","pattern":"^[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?$","description":"BIC"}`
}

// valid reports whether the check digits are correct. The number made of the
// IBAN is 1 modulo 97 (ISO 7064), and the check digits are 02 to 98. Otherwise
// 00, 01 and 99 would be other spellings of 97, 98 and 02.
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

// Text is a line of 1 to 140 characters without control characters.
type Text string

// JSONSchema returns the length and the characters of a Text.
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

// checkAccounts checks a list of accounts. A nil list is absent.
func checkAccounts(path string, accounts []Account) error {
	for i, a := range accounts {
		if err := a.check(path); err != nil {
			return err
		}
		if slices.Contains(accounts[:i], a) {
			return rar.FieldError(path, "duplicate account")
		}
	}
	if accounts != nil && len(accounts) == 0 {
		return rar.FieldError(path, "empty list")
	}
	return nil
}

// accountsWithin reports whether requested is a subset of granted. An absent
// list covers only an absent list, because the user has not chosen yet.
func accountsWithin(granted, requested []Account) bool {
	return (granted == nil) == (requested == nil) && within(granted, requested)
}

// sortedAccounts returns the accounts sorted.
func sortedAccounts(accounts []Account) []Account {
	return slices.SortedFunc(slices.Values(accounts), func(a, b Account) int {
		return cmp.Or(cmp.Compare(a.IBAN, b.IBAN), cmp.Compare(a.BIC, b.BIC),
			cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.Identification, b.Identification))
	})
}

// checkOptional checks an account or an amount that may be absent.
func checkOptional[T interface{ check(path string) error }](path string, v *T) error {
	if v == nil {
		return nil
	}
	return (*v).check(path)
}

// sameAccount returns an error unless both accounts are absent or equal.
func sameAccount(path string, granted, requested *Account) error {
	if granted == nil && requested == nil || granted != nil && requested != nil && *granted == *requested {
		return nil
	}
	return rar.FieldError(path, "differs from the granted one")
}

// chosenAccount returns an error unless granted fills in an account that is
// absent in requested.
func chosenAccount(path string, requested, granted *Account) error {
	if requested != nil || granted == nil {
		return rar.FieldError(path, "the user chooses only an absent account")
	}
	return nil
}

// A Date is a day of the calendar, "2027-03-31", in the time zone of the bank.
type Date string

// JSONSchema returns the pattern of a Date. It does not express which days
// exist.
func (Date) JSONSchema() string {
	return `{"type":"string","pattern":"^[0-9]{4}-[0-9]{2}-[0-9]{2}$","description":"day, as in 2027-03-31"}`
}

func (d Date) check(path string) error {
	if _, err := time.Parse(time.DateOnly, string(d)); err != nil || d == "" {
		return rar.FieldError(path, "invalid date")
	}
	return nil
}

// show returns the day in the notation of the language.
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
