package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// An api is the bank's API at one of its base URLs.
type api struct {
	*bank
	guard *profile.ResourceServer
}

// newAPI returns the API as it is reached at a base URL, by path. A proof names the URL that it is for, so each base has a
// guard of its own; certificates are asked for at one of them only.
func (b *bank) newAPI(base string, asksCertificates bool) (map[string]http.Handler, error) {
	metadata := b.resourceMetadata()
	if err := metadata.CheckPublished(); err != nil {
		return nil, err
	}
	metadataURL, err := metadata.URL()
	if err != nil {
		return nil, err
	}
	settings := profile.ResourceServerConfig{
		Resource: b.cfg.resources[0], BaseURL: origin(base), ResourceMetadata: metadataURL, AuthorizationDetails: b.details,
	}
	if settings.Nonces, err = b.cfg.nonces(b.now); err != nil {
		return nil, err
	}
	if asksCertificates {
		if settings.Certificates, err = certificates(); err != nil {
			return nil, err
		}
	}
	guard, err := b.server.ResourceServer(settings)
	if err != nil {
		return nil, err
	}
	a := &api{b, guard}
	return map[string]http.Handler{
		urlPath(metadataURL):    metadata.Handler(),
		b.cfg.path("/accounts"): guard.Require(only(map[string]http.HandlerFunc{http.MethodGet: a.accounts})),
		b.cfg.path("/payments"): guard.Require(only(map[string]http.HandlerFunc{http.MethodPost: a.pay})),
	}, nil
}

func (b *bank) resourceMetadata() *profile.ResourceMetadata {
	return &profile.ResourceMetadata{
		Resource: b.cfg.resources[0], AuthorizationServers: []string{b.cfg.issuer}, ResourceName: "Accounts and payments",
		ScopesSupported: []string{"accounts", "payments"}, BearerMethodsSupported: []string{"header"},
		AuthorizationDetailsTypesSupported:    b.details.Types(),
		TLSClientCertificateBoundAccessTokens: b.cfg.mtlsListen != "", DPoPBoundAccessTokensRequired: b.cfg.mtlsListen == "",
		DPoPSigningAlgValuesSupported: b.server.Metadata().DPoPSigningAlgValuesSupported,
	}
}

// accounts lists the accounts of who has let the client in: all of them by the scope, or those that a detail names. A client
// that acts for itself has none.
func (a *api) accounts(w http.ResponseWriter, r *http.Request) {
	token, ok := profile.TokenFromContext(r.Context())
	if !ok { // served without its guard
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	own := []account{}
	if a.users.exists(token.Subject()) {
		own = accountsOf(token.Subject())
	}
	if err := token.CheckScope("accounts"); err != nil {
		listed, failed := a.listed(token)
		if failed != nil {
			err = failed
		}
		if listed == nil {
			a.guard.WriteError(w, r, err, "accounts")
			return
		}
		own = slices.DeleteFunc(own, func(one account) bool { return !listed(one.IBAN) })
	}
	writeJSON(w, http.StatusOK, struct {
		Owner    string    `json:"owner"`
		Accounts []account `json:"accounts"`
	}{token.Subject(), own})
}

// listed says which accounts the details of a token let its client list. nil: none of them is about that.
func (a *api) listed(token *profile.Token) (func(openbanking.IBAN) bool, error) {
	details, err := token.Details()
	if err != nil {
		return nil, err
	}
	today := openbanking.Date(a.now().Format("2006-01-02"))
	var allowed []openbanking.AccountInformation
	for _, detail := range details {
		if detail.Type() != openbanking.AccountInformationType {
			continue
		}
		information, err := rar.Get[openbanking.AccountInformation](detail)
		if err != nil {
			return nil, err
		}
		if slices.Contains(information.Actions, openbanking.ListAccounts) && (information.ValidUntil == "" || today <= information.ValidUntil) {
			allowed = append(allowed, information)
		}
	}
	if allowed == nil {
		return nil, nil
	}
	return func(iban openbanking.IBAN) bool {
		return slices.ContainsFunc(allowed, func(i openbanking.AccountInformation) bool {
			return i.Accounts == nil || slices.ContainsFunc(i.Accounts, func(a openbanking.Account) bool { return a.IBAN == iban })
		})
	}, nil
}

// maxPayment bounds the body of a payment.
const maxPayment = 16 << 10

// pay makes a payment that a detail of the token permits. The body is a payment_initiation, where the type can be left out.
func (a *api) pay(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayment))
	if err != nil {
		writeJSON(w, http.StatusRequestEntityTooLarge, object{"error": "invalid_request"})
		return
	}
	token, ok := profile.TokenFromContext(r.Context())
	want, err := a.details.New(openbanking.PaymentType, json.RawMessage(body))
	if err != nil || !ok {
		writeJSON(w, http.StatusBadRequest, object{"error": "invalid_request", "error_description": "the body is no payment_initiation"})
		return
	}
	if want, err = a.asGranted(token, want); err != nil {
		a.guard.WriteError(w, r, err)
		return
	}
	if !a.guard.Allows(w, r, want) {
		return
	}
	id, made := a.payments.make(token.Subject(), token.ClientID(), want[0])
	status := http.StatusCreated
	if !made {
		status = http.StatusOK
	} else {
		a.log.InfoContext(r.Context(), "payment made", "client", token.ClientID(), "subject", token.Subject())
	}
	writeJSON(w, status, object{"payment_id": id, "status": "accepted"})
}

// asGranted adds to an order what it need not say: that it is here that the payment is to be made, and now, and from which
// account the user has chosen. All else has to be in the order as it was granted.
func (a *api) asGranted(token *profile.Token, order rar.Details) (rar.Details, error) {
	granted, err := token.Details()
	if err != nil {
		return nil, err
	}
	for _, detail := range granted {
		if detail.Type() != openbanking.PaymentType {
			continue
		}
		payment, err := rar.Get[openbanking.Payment](detail)
		if err != nil {
			return nil, err
		}
		completed, err := rar.Edit(order[0], func(p *openbanking.Payment) {
			if p.Locations == nil {
				p.Locations = payment.Locations
			}
			if p.Actions == nil && payment.Actions != nil {
				p.Actions = []openbanking.PaymentAction{"initiate"}
			}
			if p.DebtorAccount == nil {
				p.DebtorAccount = payment.DebtorAccount
			}
		})
		if err == nil && granted.Covers(rar.Details{completed}) == nil {
			return rar.Details{completed}, nil
		}
	}
	return order, nil
}

// payments are those that were made. One that comes again is the same one: whoever means two gives them different
// endToEndIdentifications.
type payments struct {
	mu     sync.Mutex
	byUser map[string][]payment
}

type payment struct {
	id, clientID string
	order        rar.Detail
}

// maxPayments bounds what is remembered of one user.
const maxPayments = 10_000

func (p *payments) make(user, clientID string, order rar.Detail) (id string, made bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.byUser[user]
	for _, old := range all {
		if old.clientID == clientID && old.order.Equal(order) {
			return old.id, false
		}
	}
	if len(all) >= maxPayments {
		all = all[1:]
	}
	id = rand.Text()
	p.byUser[user] = append(all, payment{id, clientID, order})
	return id, true
}

type object = map[string]any

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client is gone
}
