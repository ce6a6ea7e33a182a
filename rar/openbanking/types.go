package openbanking

import "github.com/gofapi/fapi2/rar"

// Names of the types. They are short, as those in the RFC's examples; who shares a server with others' types makes the types
// under URIs of their own (§2.1).
const (
	AccountInformationType = "account_information"
	PaymentType            = "payment_initiation"
	RecurringPaymentType   = "recurring_payment"
	FundsConfirmationType  = "funds_confirmation"
)

// Types returns all types of this package, for a [rar.RegistryConfig].
func Types() ([]*rar.Type, error) {
	var types []*rar.Type
	for _, t := range []struct {
		name string
		make func(name string) (*rar.Type, error)
	}{
		{AccountInformationType, NewAccountInformation}, {PaymentType, NewPayment},
		{RecurringPaymentType, NewRecurringPayment}, {FundsConfirmationType, NewFundsConfirmation},
	} {
		made, err := t.make(t.name)
		if err != nil {
			return nil, err
		}
		types = append(types, made)
	}
	return types, nil
}

// coversLocations applies the rule for the common members to the only one of them that all types here have.
func coversLocations(granted, requested []string) error {
	return rar.Common{Locations: granted}.CoversCommon(rar.Common{Locations: requested})
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

// description is a rar.Description in the making.
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
