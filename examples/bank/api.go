package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/uses"
)

// An api is the bank's API at one of its base URLs.
type api struct {
	*bank
	guard *resourceserver.Server
}

// newAPI returns the handlers of the API at a base URL, by path. A proof
// contains the URL of its request, so each base URL has its own guard. Only one
// base URL asks for client certificates.
func (b *bank) newAPI(base string, asksCertificates bool) (map[string]http.Handler, error) {
	metadata := b.resourceMetadata()
	if err := metadata.CheckPublished(); err != nil {
		return nil, err
	}
	metadataURL, err := metadata.URL()
	if err != nil {
		return nil, err
	}
	settings := resourceserver.Config{
		Resource: b.cfg.resources[0], BaseURLs: []string{origin(base)}, ResourceMetadata: metadataURL,
		AuthorizationDetails: b.details, Replay: b.kept.proofs(), SeveralInstances: b.kept.isShared(),
		InteractionIDs: b.cfg.interactionIDs, Hooks: resourceserver.Hooks{Observe: b.telemetry.ObserveRequest()},
	}
	if settings.Nonces, err = b.nonces(useAPINonces); err != nil {
		return nil, err
	}
	// A base URL without certificates serves no API if the rules require them.
	if asksCertificates || b.cfg.mtlsListen != "" && b.cfg.rules != nil {
		if settings.Certificates, err = certificates(); err != nil {
			return nil, err
		}
	}
	guard, err := b.server.ResourceServer(settings)
	if err != nil {
		return nil, err
	}
	a := &api{b, guard}
	own := map[string]http.Handler{
		urlPath(metadataURL):    metadata.Handler(),
		b.cfg.path("/accounts"): guard.Require()(only(map[string]http.HandlerFunc{http.MethodGet: a.accounts})),
		b.cfg.path("/payments"): guard.Require()(only(map[string]http.HandlerFunc{http.MethodPost: a.pay})),
	}
	a.addConsents(own)
	return own, nil
}

func (b *bank) resourceMetadata() *profile.ResourceMetadata {
	return &profile.ResourceMetadata{
		Resource: b.cfg.resources[0], AuthorizationServers: []string{b.cfg.issuer},
		ResourceName:    "Accounts and payments",
		ScopesSupported: []string{"accounts", "payments"}, BearerMethodsSupported: []string{"header"},
		AuthorizationDetailsTypesSupported:    b.details.Types(),
		TLSClientCertificateBoundAccessTokens: b.cfg.mtlsListen != "",
		DPoPBoundAccessTokensRequired:         b.cfg.mtlsListen == "",
		DPoPSigningAlgValuesSupported:         b.server.Metadata().DPoPSigningAlgValuesSupported,
	}
}

// accounts lists the accounts of the user. The scope accounts permits all of
// them, a detail permits those that it names. A client that acts for itself has
// no accounts.
func (a *api) accounts(w http.ResponseWriter, r *http.Request) {
	token, ok := resourceserver.TokenFromContext(r.Context())
	if !ok { // the handler has no guard
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	own := []account{}
	user, ok := a.userOf(w, r, token)
	if !ok {
		return
	}
	exists, err := a.users.exists(r.Context(), user)
	if err != nil {
		a.unavailable(w, r, err)
		return
	}
	if exists {
		own = accountsOf(user)
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

// listed returns a function that reports whether the details of a token permit
// to list an account. It returns nil if no detail is about listing accounts.
func (a *api) listed(token *resourceserver.Token) (func(openbanking.IBAN) bool, error) {
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
		if slices.Contains(information.Actions, openbanking.ListAccounts) &&
			(information.ValidUntil == "" || today <= information.ValidUntil) {
			allowed = append(allowed, information)
		}
	}
	if allowed == nil {
		return nil, nil
	}
	return func(iban openbanking.IBAN) bool {
		return slices.ContainsFunc(allowed, func(i openbanking.AccountInformation) bool {
			return i.Accounts == nil || slices.ContainsFunc(i.Accounts, func(a openbanking.Account) bool {
				return a.IBAN == iban
			})
		})
	}, nil
}

// maxPayment bounds the body of a payment.
const maxPayment = 16 << 10

// idempotencyKeys have 1 to 64 printable ASCII characters.
var idempotencyKeys = regexp.MustCompile(`^[!-~]{1,64}$`)

// pay makes a payment that the user has consented to, and makes it once. The
// body is a payment_initiation, whose type may be omitted. PermittedBy searches
// for the permission to initiate this payment, and ignores the actions and
// locations of the order.
func (a *api) pay(w http.ResponseWriter, r *http.Request) {
	order, attempt, err := a.readOrder(w, r)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errOrderTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		writeJSON(w, status, object{"error": "invalid_request", "error_description": err.Error()})
		return
	}
	token, _ := resourceserver.TokenFromContext(r.Context()) // Require stores it in the context
	permission, err := a.permission(token, order)
	if err != nil {
		a.guard.WriteError(w, r, err, "payments")
		return
	}
	user, ok := a.userOf(w, r, token)
	if !ok {
		return
	}
	// One consent is one payment. The use is recorded for the granted detail,
	// however the order is spelled, for every token of the consent.
	id, err := a.uses.Once(r.Context(), uses.Use{Grant: token.GrantID(), Detail: permission, Attempt: attempt,
		Result: rand.Text()})
	switch {
	case errors.Is(err, uses.ErrUsed):
		writeJSON(w, http.StatusConflict, object{"error": "payment_already_made", "payment_id": id})
	case err != nil:
		a.guard.WriteError(w, r, err)
	default:
		booked, err := a.payments.book(r.Context(), user, payment{id: id, clientID: token.ClientID(),
			grantID: token.GrantID(), detail: permission, at: a.now()})
		if err != nil { // the client repeats the request with its key
			a.unavailable(w, r, err)
			return
		}
		if booked {
			a.log.InfoContext(r.Context(), "payment made", "client", token.ClientID(), "subject", user)
		}
		writeJSON(w, http.StatusCreated, object{"payment_id": id, "status": "accepted"})
	}
}

// userOf returns the name of the user of a token, whose subject can be
// pairwise. If userOf responds to the client itself, ok is false.
func (a *api) userOf(w http.ResponseWriter, r *http.Request, token *resourceserver.Token) (user string, ok bool) {
	user, err := a.server.LocalSubject(r.Context(), token)
	switch {
	case errors.Is(err, accesstoken.ErrRevoked):
		a.guard.WriteError(w, r, err)
	case err != nil:
		a.unavailable(w, r, err)
	}
	return user, err == nil
}

// unavailable reports to the client that the store has failed.
func (a *api) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	a.log.ErrorContext(r.Context(), "store failed", "reason", err.Error())
	w.Header().Set("Retry-After", "5")
	writeJSON(w, http.StatusServiceUnavailable,
		object{"error": "server_error", "error_description": "try again later"})
}

var errOrderTooLarge = errors.New("the body is too large or incomplete")

// readOrder parses a payment request. The client may see the error.
func (a *api) readOrder(w http.ResponseWriter, r *http.Request) (order openbanking.Payment, attempt string, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayment))
	if err != nil {
		return order, "", errOrderTooLarge
	}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		if attempt = keys[0]; len(keys) > 1 || !idempotencyKeys.MatchString(attempt) {
			return order, "", errors.New("malformed Idempotency-Key")
		}
	}
	parsed, err := a.details.New(openbanking.PaymentType, json.RawMessage(body))
	if err != nil {
		return order, "", errors.New("the body is not a payment_initiation")
	}
	order, err = rar.Get[openbanking.Payment](parsed[0])
	return order, attempt, err
}

// permission returns the granted detail that permits to initiate a payment
// here. The token has to have the scope as well.
func (a *api) permission(token *resourceserver.Token, order openbanking.Payment) (rar.Detail, error) {
	if err := token.CheckScope("payments"); err != nil {
		return rar.Detail{}, err
	}
	granted, err := token.Details()
	if err != nil {
		return rar.Detail{}, err
	}
	return order.PermittedBy(granted)
}

type object = map[string]any

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client is gone
}
