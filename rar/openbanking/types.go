package openbanking

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gofapi/fapi2/rar"
)

// Default names of the types. They are short, as in the examples of RFC 9396.
// Use URIs as names if others define types for the authorization server, too
// (RFC 9396 §2.1).
const (
	AccountInformationType = "account_information"
	PaymentType            = "payment_initiation"
	RecurringPaymentType   = "recurring_payment"
	FundsConfirmationType  = "funds_confirmation"
)

// Config configures a type of this package. The zero value is a type under its
// default name that has no scope and may be used at every resource server.
type Config struct {
	// Name is the name of the type. The default is the constant of this
	// package.
	Name string
	// Scope is the scope that is granted together with details of the type. If
	// empty, the type has no scope. See [rar.TypeConfig].
	Scope string
	// Resources are the only resource servers that receive details without
	// locations. If nil, every resource server receives them.
	Resources []string
}

// newType makes a type under its default name, or under the name in cfg.
func newType[T any](name string, cfg Config, typ rar.TypeConfig[T]) (*rar.Type, error) {
	typ.Scope, typ.Resources = cfg.Scope, cfg.Resources
	return rar.TypeOf(cmp.Or(cfg.Name, name), typ)
}

// NewRegistry returns a registry with all types of this package under their
// default names, and further types. scopes has the scope of a type under the
// type's name, for example "payments" under [PaymentType]. Types that are not
// in scopes have no scope. A name of another type is an error.
func NewRegistry(scopes map[string]string, further ...*rar.Type) (*rar.Registry, error) {
	var types []*rar.Type
	for _, t := range []struct {
		name string
		make func(Config) (*rar.Type, error)
	}{
		{AccountInformationType, NewAccountInformation}, {PaymentType, NewPayment},
		{RecurringPaymentType, NewRecurringPayment}, {FundsConfirmationType, NewFundsConfirmation},
	} {
		made, err := t.make(Config{Scope: scopes[t.name]})
		if err != nil {
			return nil, err
		}
		types = append(types, made)
	}
	for name := range scopes {
		if !slices.ContainsFunc(types, func(t *rar.Type) bool { return t.Name() == name }) {
			return nil, fmt.Errorf("openbanking: scope for unknown type %q", name)
		}
	}
	return rar.NewRegistry(rar.RegistryConfig{Types: append(types, further...)})
}

// coversLocations applies the rule for the common members to locations.
func coversLocations(granted, requested []string) error {
	return rar.Common{Locations: granted}.CoversCommon(rar.Common{Locations: requested})
}

// within reports whether all elements of list are in set.
func within[E comparable](set, list []E) bool {
	return !slices.ContainsFunc(list, func(e E) bool { return !slices.Contains(set, e) })
}

// inOrder returns the elements of list, each once, in the order of all.
func inOrder[E comparable](all, list []E) []E {
	ordered := make([]E, 0, len(list))
	for _, e := range all {
		if slices.Contains(list, e) {
			ordered = append(ordered, e)
		}
	}
	return ordered
}

const (
	english = "en"
	german  = "de"
)

func say(language, englishText, germanText string) string {
	if language == german {
		return germanText
	}
	return englishText
}

// A description is an unfinished rar.Description.
type description struct{ rar.Description }

func describe(language, englishTitle, germanTitle string) *description {
	return &description{rar.Description{Language: language, Title: say(language, englishTitle, germanTitle)}}
}

func (d *description) say(englishText, germanText string) string {
	return say(d.Language, englishText, germanText)
}

func (d *description) add(englishLabel, germanLabel, value string) {
	d.Fields = append(d.Fields, rar.Field{Label: d.say(englishLabel, germanLabel), Value: value})
}

// account adds an account. If it is nil, the user chooses it.
func (d *description) account(englishLabel, germanLabel string, a *Account) {
	text := d.say("of your choice", "nach Ihrer Wahl")
	if a != nil {
		text = a.show()
	}
	d.add(englishLabel, germanLabel, text)
}

func (d *description) optional(englishLabel, germanLabel, value string) {
	if value != "" {
		d.add(englishLabel, germanLabel, value)
	}
}

func (d *description) locations(list []string) {
	for _, location := range list {
		d.add("At", "Bei", location)
	}
}
