package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gofapi/fapi2/examples/internal/webtext"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// scopesOfDetails maps types of details to the scopes that belong to them. The
// API requires both.
var scopesOfDetails = map[string]string{openbanking.PaymentType: "payments",
	openbanking.RecurringPaymentType: "payments"}

// anyObject is the JSON Schema of an object with any members.
const anyObject = `{"type":"object","additionalProperties":true}`

// newRegistry returns the types of authorization details for accounts and
// payments, and other types, with their JSON Schemas, that have no meaning at
// this bank's API. The user sees all members of a detail of another type, and
// it covers only an equal detail.
func newRegistry(others map[string]json.RawMessage) (*rar.Registry, error) {
	var further []*rar.Type
	for _, name := range slices.Sorted(maps.Keys(others)) {
		other, err := rar.TypeFromSchema(name, others[name], rar.TypeConfig[rar.Detail]{})
		if err != nil {
			return nil, fmt.Errorf("%.100q: %w", name, err)
		}
		further = append(further, other)
	}
	return openbanking.NewRegistry(scopesOfDetails, further...)
}

// An account is an element of the response to GET /accounts.
type account struct {
	IBAN     openbanking.IBAN `json:"iban"`
	Name     string           `json:"name"`
	Currency string           `json:"currency"`
}

// accountsOf returns invented accounts for a user. It returns the same accounts
// each time.
func accountsOf(user string) []account {
	digest := sha256.Sum256([]byte(user))
	number := binary.BigEndian.Uint64(digest[:]) % 100_000_000
	return []account{
		{iban(fmt.Sprintf("99999999%08d01", number)), "Current account", "EUR"},
		{iban(fmt.Sprintf("99999999%08d02", number)), "Savings", "EUR"},
	}
}

// iban puts country and check digits (ISO 7064) before a German account number
// of 18 digits.
func iban(number string) openbanking.IBAN {
	rest := 0
	for _, digit := range number + "131400" { // DE00
		rest = (rest*10 + int(digit-'0')) % 97
	}
	return openbanking.IBAN(fmt.Sprintf("DE%02d%s", 98-rest, number))
}

// Short returns a short name of the account for lists on phones.
func (a account) Short() string { return a.Name + ", … " + string(a.IBAN[len(a.IBAN)-4:]) }

// An entry is one permission that the client requests and that the user can
// deny.
type entry struct {
	Value, Title string
	Fields       []rar.Field
	Accounts     []account // choices, if the client leaves the choice to the user
	One          bool      // the user can choose one account only
	Foreign      bool      // the account is not the user's, so the entry cannot be granted
}

// scopeEntries describes scopes.
func scopeEntries(language string, scopes []string) (entries []entry) {
	for _, scope := range scopes {
		entries = append(entries, entry{Value: scope, Title: scopeText(language, scope)})
	}
	return entries
}

// detailEntries describes the authorization details of a request.
func detailEntries(a *authserver.Authorization, user, language string, until time.Time) (entries []entry) {
	for i, detail := range a.Details() {
		described := untilThen(detail, until).Describe(language)
		e := entry{Value: strconv.Itoa(i), Title: described.Title, Fields: described.Fields}
		named, most := ownAccounts(detail)
		if e.Foreign = slices.ContainsFunc(named, func(a openbanking.Account) bool {
			return !owns(user, a.IBAN)
		}); len(named) == 0 && most > 0 {
			e.Accounts, e.One = accountsOf(user), most == 1
			// The page shows the choice in this place of the description.
			open := map[string]string{webtext.English: "of your choice", webtext.German: "nach Ihrer Wahl"}[language]
			e.Fields = slices.DeleteFunc(e.Fields, func(f rar.Field) bool { return f.Value == open })
		}
		entries = append(entries, e)
	}
	return entries
}

// untilThen adds an end to account information for a page. Account information
// without a date of its own ends with the authorization.
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

// ownAccounts returns the accounts of the user that a detail names, and the
// maximum number of accounts that it can contain.
func ownAccounts(d rar.Detail) (named []openbanking.Account, most int) {
	one := func(a *openbanking.Account) ([]openbanking.Account, int) {
		if a == nil {
			return nil, 1
		}
		return []openbanking.Account{*a}, 1
	}
	switch d.Type() { // the type determines the result of Get
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

// grantedDetails returns the details that the user has ticked, with the chosen
// accounts. It omits details that the page does not offer, for example those
// about another user's account.
func grantedDetails(a *authserver.Authorization, user string, form url.Values) (granted rar.Details, err error) {
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
