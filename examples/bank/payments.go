package main

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/rar"
)

// payments stores the payments for the pages, those of a user in one record. A
// bank would use the table of its payments, with the ID as the unique key.
type payments struct {
	records *records.Records
	details *rar.Registry
}

type payment struct {
	id, clientID, grantID string
	detail                rar.Detail // the granted detail
	at                    time.Time
}

// A paymentList is the record of the payments of a user.
type paymentList struct {
	Deleted bool            `json:"deleted,omitempty"` // the user
	All     []storedPayment `json:"all,omitempty"`
}

type storedPayment struct {
	ID       string          `json:"id"`
	ClientID string          `json:"client_id"`
	GrantID  string          `json:"grant_id"`
	Detail   json.RawMessage `json:"detail"`
	At       time.Time       `json:"at"`
}

// These bound the stored payments of one user. The page does not show the
// oldest ones above the bounds.
const (
	maxPayments     = 500
	maxPaymentBytes = 200 << 10
)

// book adds a payment if it is not stored yet. A client repeats a request whose
// response was lost.
func (p *payments) book(ctx context.Context, user string, made payment) (added bool, err error) {
	detail, err := json.Marshal(made.detail)
	if err != nil {
		return false, err
	}
	return added, records.Update(ctx, p.records, "payments", user, records.Forever, func(v *paymentList) (bool, error) {
		added = !v.Deleted && !slices.ContainsFunc(v.All, func(old storedPayment) bool { return old.ID == made.id })
		if !added {
			return false, nil
		}
		v.All = append(v.All, storedPayment{made.id, made.clientID, made.grantID, detail, made.at})
		size := 0
		for i := len(v.All) - 1; i >= 0; i-- {
			if size += len(v.All[i].Detail); len(v.All)-i > maxPayments || size > maxPaymentBytes {
				v.All = v.All[i+1:]
				break
			}
		}
		return true, nil
	})
}

// remove deletes the payments of a deleted user.
func (p *payments) remove(ctx context.Context, user string) error {
	return records.Update(ctx, p.records, "payments", user, records.Forever, func(v *paymentList) (bool, error) {
		*v = paymentList{Deleted: true}
		return true, nil
	})
}

// of returns the payments of a user, newest first.
func (p *payments) of(ctx context.Context, user string) ([]payment, error) {
	var v paymentList
	if _, err := p.records.Get(ctx, "payments", user, &v); err != nil {
		return nil, err
	}
	all := make([]payment, 0, len(v.All))
	for _, s := range slices.Backward(v.All) {
		details, err := p.details.Parse(json.RawMessage("["+string(s.Detail)+"]"), p.details.Types())
		if err != nil || len(details) != 1 { // of a type that the configuration no longer has
			continue
		}
		all = append(all, payment{s.ID, s.ClientID, s.GrantID, details[0], s.At})
	}
	return all, nil
}
