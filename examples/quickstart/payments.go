package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/uses"
	"github.com/gofapi/fapi2/store"
	"golang.org/x/oauth2"
)

// This file adds rich authorization requests and grant management to the three
// servers. The user approves payments one by one. The client can query, change
// and revoke its grants.

// newTypes returns the types of authorization details that all three servers
// support. A bank with other types publishes their schemas for the client and
// the API, see rar.Registry.SchemaHandler.
func newTypes() (*rar.Registry, error) {
	return openbanking.NewRegistry(nil)
}

// describe returns the text of the bank's page about the request. The page
// escapes it for HTML.
func describe(details rar.Details) (all []rar.Description) {
	for _, detail := range details {
		all = append(all, detail.Describe("en"))
	}
	return all
}

// changes describes the effect of each action of grant management on the
// existing permissions.
var changes = map[string]string{
	"merge":   "What you have allowed before stays as it is.",
	"replace": "This takes the place of all that you have allowed before.",
}

var errAccount = errors.New("not an account of this user")

// chosen returns the details that the user has approved. A payment without a
// debtor account is made from the account that the user has entered. Only the
// bank can check that it is the user's account.
func (b *bank) chosen(asked rar.Details, user, iban string) (rar.Details, error) {
	var granted rar.Details
	for _, detail := range asked {
		if detail.Type() != openbanking.PaymentType {
			continue // this bank does not support it, so it is not granted
		}
		var from openbanking.Account
		payment, err := rar.Edit(detail, func(p *openbanking.Payment) {
			if p.DebtorAccount == nil {
				p.DebtorAccount = &openbanking.Account{IBAN: openbanking.IBAN(strings.ReplaceAll(iban, " ", ""))}
			}
			from = *p.DebtorAccount
		})
		if err != nil || from != b.accounts[user] {
			return nil, errors.Join(errAccount, err)
		}
		granted = append(granted, payment)
	}
	return granted, nil
}

// A till is the part of the API that makes payments.
type till struct {
	guard *resourceserver.Server
	types *rar.Registry
	uses  *uses.Uses // of the consents
}

// newTill stores the payments in memory. A real API uses a persistent store
// that its processes share.
func newTill(guard *resourceserver.Server, types *rar.Registry, issuer string, now func() time.Time) (*till, error) {
	memory, err := store.NewMemory(store.MemoryConfig{Now: now})
	if err != nil {
		return nil, err
	}
	// longer than any grant lives
	used, err := uses.New(uses.Config{Store: memory, Issuer: issuer, Keep: 10 * 365 * 24 * time.Hour, Now: now})
	return &till{guard, types, used}, err
}

const maxOrder = 16 << 10

// pay makes a payment that the user has agreed to, and makes it once. The body
// is the payment. PermittedBy searches for the permission to initiate it, and
// ignores the actions and locations of the order. The use is recorded for the
// consent and the payment. Another spelling of the order or another token of
// the consent makes no second payment.
func (t *till) pay(w http.ResponseWriter, r *http.Request) {
	order, err := t.readOrder(w, r)
	if err != nil {
		answerError(w, http.StatusBadRequest, codeBadOrder)
		return
	}
	token, _ := resourceserver.TokenFromContext(r.Context()) // Require stores it in the context
	granted, err := token.Details()                          // the details for this API
	var permission rar.Detail
	if err == nil {
		permission, err = order.PermittedBy(granted)
	}
	if err != nil {
		t.guard.WriteError(w, r, err)
		return
	}
	use := uses.Use{Grant: token.GrantID(), Detail: permission, Attempt: r.Header.Get("Idempotency-Key"),
		Result: rand.Text()}
	switch id, err := t.uses.Once(r.Context(), use); {
	case errors.Is(err, uses.ErrUsed):
		answerError(w, http.StatusConflict, codeAlreadyMade)
	case err != nil:
		t.guard.WriteError(w, r, err)
	default: // a real API makes the payment here, with this ID
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]string{"payment_id": id}) //nolint:errcheck // the client is gone
	}
}

// readOrder parses a payment strictly. It rejects repeated and unknown members.
func (t *till) readOrder(w http.ResponseWriter, r *http.Request) (order openbanking.Payment, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		return order, err
	}
	parsed, err := t.types.New(openbanking.PaymentType, json.RawMessage(body))
	if err != nil {
		return order, err
	}
	return rar.Get[openbanking.Payment](parsed[0])
}

// list responds to clients that may read payments. That is a matter of scope.
func (t *till) list(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// These are the error codes of the API for orders, in addition to those of its
// guard.
const (
	codeBadOrder    = "bad_order"
	codeAlreadyMade = "already_made"
)

func answerError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": code}) //nolint:errcheck // the client is gone
}

// order sends the user to the bank to approve a payment.
func (a *app) order(ctx context.Context, payment openbanking.Payment) (*client.Session, error) {
	details, err := a.types.New(openbanking.PaymentType, payment)
	if err != nil {
		return nil, err
	}
	asked, err := json.Marshal(details)
	if err != nil {
		return nil, err
	}
	return a.Begin(ctx, client.Request{AuthorizationDetails: asked})
}

// granted returns the payment as the bank has granted it. It can contain more
// than the order, for example the debtor account.
func (a *app) granted(token *oauth2.Token, payment openbanking.Payment) (rar.Detail, error) {
	ordered, err := a.types.New(openbanking.PaymentType, payment)
	if err != nil {
		return rar.Detail{}, err
	}
	granted, err := a.types.Parse(client.AuthorizationDetails(token), a.types.Types())
	if err == nil && len(granted) != 1 {
		err = errNotGranted
	}
	if err == nil {
		err = a.types.CheckGrant(ordered, granted)
	}
	if err != nil {
		return rar.Detail{}, err
	}
	return granted[0], nil
}

var errNotGranted = errors.New("the bank has not granted the payment")

// pay makes a payment that the bank has granted.
func (a *app) pay(ctx context.Context, token *oauth2.Token, payment rar.Detail) error {
	api, err := a.HTTPClient(oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	body, err := json.Marshal(payment)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.api+"/payments", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := api.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusCreated {
		return nil
	}
	var said struct {
		Error string `json:"error"`
	}
	json.NewDecoder(io.LimitReader(response.Body, maxOrder)).Decode(&said) //nolint:errcheck // then there is the status
	return fmt.Errorf("the API answered %s %s", response.Status, said.Error)
}

// The app manages grants with tokens of its own, so that it does not depend on
// the tokens of its users.
const (
	scopeQuery  = "grant_management_query"
	scopeRevoke = "grant_management_revoke"
)
