package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gofapi/fapi2/examples/internal/webtext"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// scopesOfDetails are the scopes that go with details: the API requires both.
var scopesOfDetails = map[string]string{openbanking.PaymentType: "payments", openbanking.RecurringPaymentType: "payments"}

// newRegistry knows the types of authorization details that are for accounts and payments, and others that mean nothing to
// this bank's API: any object is one of these, the user sees all its members, and it covers what equals it.
func newRegistry(others ...string) (*rar.Registry, error) {
	types, err := openbanking.Types(scopesOfDetails)
	if err != nil {
		return nil, err
	}
	for _, name := range others {
		other, err := rar.TypeFromSchema(name, []byte(`{"type":"object","additionalProperties":true}`), rar.TypeConfig[rar.Detail]{})
		if err != nil {
			return nil, err
		}
		types = append(types, other)
	}
	return rar.NewRegistry(rar.RegistryConfig{Types: types})
}

// An account is what GET /accounts lists.
type account struct {
	IBAN     openbanking.IBAN `json:"iban"`
	Name     string           `json:"name"`
	Currency string           `json:"currency"`
}

// accountsOf makes up accounts for a user, the same ones each time.
func accountsOf(user string) []account {
	digest := sha256.Sum256([]byte(user))
	number := binary.BigEndian.Uint64(digest[:]) % 100_000_000
	return []account{
		{iban(fmt.Sprintf("99999999%08d01", number)), "Current account", "EUR"},
		{iban(fmt.Sprintf("99999999%08d02", number)), "Savings", "EUR"},
	}
}

// iban puts country and check digits (ISO 7064) before a German account number of 18 digits.
func iban(number string) openbanking.IBAN {
	rest := 0
	for _, digit := range number + "131400" { // DE00
		rest = (rest*10 + int(digit-'0')) % 97
	}
	return openbanking.IBAN(fmt.Sprintf("DE%02d%s", 98-rest, number))
}

// Short is the account in a list, which has to fit on a phone.
func (a account) Short() string { return a.Name + ", … " + string(a.IBAN[len(a.IBAN)-4:]) }

// An entry is one thing that the client asks for and the user can refuse.
type entry struct {
	Value, Title string
	Fields       []rar.Field
	Accounts     []account // to choose from, where the client leaves that to the user
	One          bool      // of them
	Foreign      bool      // it is about an account that is not the user's, and cannot be granted
}

// scopeEntries are what scopes mean.
func scopeEntries(language string, scopes []string) (entries []entry) {
	for _, scope := range scopes {
		entries = append(entries, entry{Value: scope, Title: scopeText(language, scope)})
	}
	return entries
}

// detailEntries are what the authorization details of a request mean to a user.
func detailEntries(a *profile.Authorization, user, language string, until time.Time) (entries []entry) {
	for i, detail := range a.Details() {
		described := untilThen(detail, until).Describe(language)
		e := entry{Value: strconv.Itoa(i), Title: described.Title, Fields: described.Fields}
		named, most := ownAccounts(detail)
		if e.Foreign = slices.ContainsFunc(named, func(a openbanking.Account) bool { return !owns(user, a.IBAN) }); len(named) == 0 && most > 0 {
			e.Accounts, e.One = accountsOf(user), most == 1
			// The choice itself stands where the description says that there is one.
			open := map[string]string{webtext.English: "of your choice", webtext.German: "nach Ihrer Wahl"}[language]
			e.Fields = slices.DeleteFunc(e.Fields, func(f rar.Field) bool { return f.Value == open })
		}
		entries = append(entries, e)
	}
	return entries
}

// untilThen is account information with its end, for a page: without a day of its
// own it ends with the authorization.
func untilThen(d rar.Detail, end time.Time) rar.Detail {
	if d.Type() != openbanking.AccountInformationType || end.IsZero() {
		return d
	}
	dated, err := rar.Edit(d, func(i *openbanking.AccountInformation) {
		if i.ValidUntil == "" {
			i.ValidUntil = openbanking.Date(end.Format(time.DateOnly))
		}
	})
	if err != nil {
		return d
	}
	return dated
}

func owns(user string, iban openbanking.IBAN) bool {
	return slices.ContainsFunc(accountsOf(user), func(a account) bool { return a.IBAN == iban })
}

// ownAccounts returns the accounts of the user that a detail names, and how many it can have at most.
func ownAccounts(d rar.Detail) (named []openbanking.Account, most int) {
	one := func(a *openbanking.Account) ([]openbanking.Account, int) {
		if a == nil {
			return nil, 1
		}
		return []openbanking.Account{*a}, 1
	}
	switch d.Type() { // which says what Get returns
	case openbanking.PaymentType:
		p, _ := rar.Get[openbanking.Payment](d)
		return one(p.DebtorAccount)
	case openbanking.RecurringPaymentType:
		p, _ := rar.Get[openbanking.RecurringPayment](d)
		return one(p.DebtorAccount)
	case openbanking.FundsConfirmationType:
		f, _ := rar.Get[openbanking.FundsConfirmation](d)
		return one(f.Account)
	case openbanking.AccountInformationType:
		i, _ := rar.Get[openbanking.AccountInformation](d)
		return i.Accounts, math.MaxInt
	default:
		return nil, 0
	}
}

// choose fills in the accounts that the user has chosen.
func choose(d rar.Detail, chosen []openbanking.Account) (rar.Detail, error) {
	switch d.Type() {
	case openbanking.PaymentType:
		return rar.Edit(d, func(p *openbanking.Payment) { p.DebtorAccount = &chosen[0] })
	case openbanking.RecurringPaymentType:
		return rar.Edit(d, func(p *openbanking.RecurringPayment) { p.DebtorAccount = &chosen[0] })
	case openbanking.FundsConfirmationType:
		return rar.Edit(d, func(f *openbanking.FundsConfirmation) { f.Account = &chosen[0] })
	default:
		return rar.Edit(d, func(i *openbanking.AccountInformation) { i.Accounts = chosen })
	}
}

// grantedDetails are those that the user has ticked, with the accounts that she has chosen. What does not fit, a foreign
// account above all, is left out: the page does not offer it.
func grantedDetails(a *profile.Authorization, user string, form url.Values) (granted rar.Details, err error) {
	for i, e := range detailEntries(a, user, "", time.Time{}) {
		if e.Foreign || !slices.Contains(form["detail"], e.Value) {
			continue
		}
		detail := a.Details()[i]
		if len(e.Accounts) > 0 {
			var chosen []openbanking.Account
			for _, account := range e.Accounts {
				if slices.Contains(form["account-"+e.Value], string(account.IBAN)) {
					chosen = append(chosen, openbanking.Account{IBAN: account.IBAN})
				}
			}
			if len(chosen) == 0 {
				continue
			}
			if detail, err = choose(detail, chosen); err != nil {
				return nil, err
			}
		}
		granted = append(granted, detail)
	}
	return granted, nil
}
