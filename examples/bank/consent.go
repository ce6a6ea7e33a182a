package main

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gofapi/fapi2/examples/internal/webtext"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// A consentView is the page on which the user decides.
type consentView struct {
	view
	Flow, Client, ClientURI, ReturnTo string
	Lead, Approve, Until              string
	Scopes, Details, Before           []entry
	Claims                            []rar.Field
	Consent                           []rar.Field // that the client has created before
	Purpose                           string      // in the words of the client
	Resources                         []string    // other than the bank's own API
	Change                            string      // merge or replace: the change to Before
	OpenID                            bool        // the client learns who the user is
	Sole                              bool        // the request is for one payment only
	Choices                           bool        // something can be unticked
}

func (b *bank) showConsent(w http.ResponseWriter, r *http.Request, f *flow, a *authserver.Authorization, in *session) {
	ends := b.ends(a)
	data := consentView{view: b.view(r, "consent.other", in, "consent", f.ID, in.user), Flow: f.ID,
		ClientURI: a.Client().ClientURI, ReturnTo: origin(a.Params().Get("redirect_uri"))}
	data.Client, data.Until = clientName(a.Client(), data.Lang), webtext.Date(data.Lang, ends)
	data.Scopes, data.Details = scopeEntries(data.Lang, a.Choices()), detailEntries(a, in.user, data.Lang, ends)
	data.Resources, data.OpenID = a.NamedResources(), slices.Contains(a.Scopes(), "openid")
	data.Purpose = rar.EscapeText(a.Params().Get("purpose"), data.Lang)
	data.decideHeading(a)
	var err error
	if data.Consent, err = b.shownConsent(a, data.Lang); err != nil {
		b.fail(w, r, errInternal, err)
		return
	}
	if data.Claims, err = b.cfg.shownClaims(a, in.user, data.Lang); err != nil {
		b.fail(w, r, errInternal, err)
		return
	}
	if data.Change, data.Before, err = b.before(r.Context(), a, in.user, data.Lang); err != nil {
		b.sessions.end(w, f)
		b.leave(w, r, a, nil, err)
		return
	}
	b.show(w, r, consentPage, http.StatusOK, leavesHere, data)
}

// shownConsent describes the consent that a request names.
func (b *bank) shownConsent(a *authserver.Authorization, language string) ([]rar.Field, error) {
	one, ok := a.Intent().Content.(consent)
	if !ok {
		return nil, nil
	}
	types := b.cfg.bodies[one.Path]
	if types == nil {
		return nil, errors.New("consent of an endpoint that the configuration no longer has")
	}
	details, err := types.New(bodyType, one.Body)
	if err != nil {
		return nil, err
	}
	return details[0].Describe(language).Fields, nil
}

// decideHeading sets the heading to the purpose of the consent. For a single
// payment the heading shows amount and payee. That page has no checkboxes: the
// user pays or denies.
func (v *consentView) decideHeading(a *authserver.Authorization) {
	v.Lead, v.Approve = v.T("consent.asks", v.Client), v.T("consent.allow")
	v.Choices = len(v.Scopes)+len(v.Details) > 0
	types := map[string]bool{}
	for _, d := range a.Details() {
		types[d.Type()] = true
	}
	pays := types[openbanking.PaymentType] || types[openbanking.RecurringPaymentType]
	payment, ok := solePayment(a)
	switch {
	case ok && len(v.Scopes) == 0 && !v.Details[0].Foreign:
		amount := payment.InstructedAmount.Text(v.Lang)
		v.Title = v.T("consent.pay", amount, rar.EscapeText(string(payment.CreditorName), v.Lang))
		v.Lead, v.Approve = v.T("consent.asks_pay", v.Client), v.T("consent.do_pay", amount)
		v.Sole, v.Choices = true, false
	case !v.Choices:
		v.Title = v.T("consent.login", v.Client)
	case len(types) == 1 && pays && len(v.Scopes) == 0:
		v.Title = v.T("consent.payments")
	case !pays && (types[openbanking.AccountInformationType] || slices.Contains(a.Scopes(), "accounts")) &&
		!slices.Contains(a.Scopes(), "payments"):
		v.Title = v.T("consent.accounts")
	}
}

// solePayment returns the payment if the request is only for this payment and
// permits its initiation. A permission to query the status is not enough.
func solePayment(a *authserver.Authorization) (openbanking.Payment, bool) {
	all := a.Details()
	if len(all) != 1 || all[0].Type() != openbanking.PaymentType {
		return openbanking.Payment{}, false
	}
	p, err := rar.Get[openbanking.Payment](all[0])
	return p, err == nil && (p.Actions == nil || slices.Contains(p.Actions, "initiate"))
}

// ends returns the end of an authorization that the user grants now.
func (b *bank) ends(a *authserver.Authorization) time.Time {
	if end, _ := b.lasts(a); !end.IsZero() {
		return end
	}
	lasts := accessTokenLifetime + time.Minute // the code may take that long to be redeemed
	switch {
	case !a.GrantRequest().IsZero():
		lasts = grantLifetime
	case a.Client().HasGrantType("refresh_token"):
		lasts = refreshTokenLifetime
	}
	return b.now().Add(lasts)
}
