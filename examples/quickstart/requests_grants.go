package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"golang.org/x/oauth2"
)

// This file has requests about payments and grants for attacks.

// ask lets alice approve a request and returns the tokens of the client.
func (w *world) ask(ctx context.Context, request client.Request) (*oauth2.Token, error) {
	session, err := w.app.Begin(ctx, request)
	if err != nil {
		return nil, err
	}
	response, err := w.newBrowser().approve(ctx, session)
	if err != nil {
		return nil, err
	}
	return w.app.Finish(ctx, session, response)
}

// newPaymentToken returns a token for a new payment.
func (w *world) newPaymentToken(ctx context.Context) (*oauth2.Token, error) {
	details, err := w.inJSON(w.newPayment())
	if err != nil {
		return nil, err
	}
	return w.ask(ctx, client.Request{AuthorizationDetails: details})
}

// newOrder returns a call that orders a payment that alice has granted.
func newOrder(ctx context.Context, w *world) (*call, error) {
	token, err := w.newPaymentToken(ctx)
	if err != nil {
		return nil, err
	}
	granted, err := w.app.types.Parse(client.AuthorizationDetails(token), w.app.types.Types())
	if err != nil || len(granted) != 1 {
		return nil, errors.Join(errNotGranted, err)
	}
	body, err := json.Marshal(granted[0])
	if err != nil {
		return nil, err
	}
	c := &call{w: w, method: http.MethodPost, url: w.api() + "/payments", token: token.AccessToken, body: string(body)}
	return c, c.as(w.ours)
}

// edit changes the ordered payment.
func (c *call) edit(change func(p *openbanking.Payment)) error {
	order, err := c.w.app.types.New(openbanking.PaymentType, json.RawMessage(c.body))
	if err != nil {
		return err
	}
	edited, err := rar.Edit(order[0], change)
	if err != nil {
		return err
	}
	body, err := json.Marshal(edited)
	c.body = string(body)
	return err
}

// newPaymentRefresh returns a token request with the refresh token of a payment
// and with that payment.
func newPaymentRefresh(ctx context.Context, w *world) (*post, error) {
	token, err := w.newPaymentToken(ctx)
	if err != nil {
		return nil, err
	}
	p, err := w.newTokenRequest(token.RefreshToken)
	if err == nil {
		p.form.Set("authorization_details", string(client.AuthorizationDetails(token)))
	}
	return p, err
}

// newPaymentPush returns a pushed authorization request for a payment.
func newPaymentPush(ctx context.Context, w *world) (*post, error) {
	p, err := newPush(ctx, w)
	if err != nil {
		return nil, err
	}
	details, err := w.inJSON(w.newPayment())
	p.form.Set("authorization_details", string(details))
	return p, err
}

func (w *world) newTokenRequest(refreshToken string) (*post, error) {
	return w.newPost(w.endpoints().TokenEndpoint, url.Values{"grant_type": {"refresh_token"},
		"refresh_token": {refreshToken}})
}

// newGrant lets alice approve a new grant, and returns its tokens.
func (w *world) newGrant(ctx context.Context) (issued *oauth2.Token, grantID string, err error) {
	if issued, err = w.ask(ctx, client.Request{Scopes: []string{"accounts"},
		GrantManagementAction: "create"}); err != nil {
		return nil, "", err
	}
	grantID, _ = issued.Extra("grant_id").(string)
	return issued, grantID, nil
}

// askAgain lets alice approve another request for a grant.
func (w *world) askAgain(ctx context.Context, action, grantID string) error {
	_, err := w.ask(ctx, client.Request{Scopes: []string{"accounts"}, GrantManagementAction: action, GrantID: grantID})
	return err
}

// manage returns a call about a grant in the name of a client, with the
// client's own token.
func (w *world) manage(ctx context.Context, c *application, method, grantID, scope string) (*call, error) {
	p, err := newOwnToken(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := p.as(c); err != nil {
		return nil, err
	}
	p.form.Set("scope", scope)
	a, err := succeed(ctx, p)
	if err != nil {
		return nil, err
	}
	var issued tokens
	if err := json.Unmarshal(a.body, &issued); err != nil {
		return nil, err
	}
	its := &call{w: w, method: method, url: w.endpoints().GrantManagementEndpoint + "/" + grantID, token: issued.Access,
		grantID: grantID}
	return its, its.as(c)
}

// newQuery returns a query of a new grant.
func newQuery(ctx context.Context, w *world) (*call, error) {
	_, grantID, err := w.newGrant(ctx)
	if err != nil {
		return nil, err
	}
	return w.manage(ctx, w.ours, http.MethodGet, grantID, scopeQuery)
}

// newRevocation returns a revocation of a new grant.
func newRevocation(ctx context.Context, w *world) (*call, error) {
	_, grantID, err := w.newGrant(ctx)
	if err != nil {
		return nil, err
	}
	return w.manage(ctx, w.ours, http.MethodDelete, grantID, scopeRevoke)
}

// newGrantedCall returns a call of the API with the token of a new grant.
func newGrantedCall(ctx context.Context, w *world) (*call, error) {
	issued, grantID, err := w.newGrant(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{w: w, method: http.MethodGet, url: w.api() + "/accounts", token: issued.AccessToken, grantID: grantID}
	return c, c.as(w.ours)
}

// newGrantedRefresh returns a token request with the refresh token of a new
// grant.
func newGrantedRefresh(ctx context.Context, w *world) (*post, error) {
	issued, grantID, err := w.newGrant(ctx)
	if err != nil {
		return nil, err
	}
	p, err := w.newTokenRequest(issued.RefreshToken)
	p.grantID = grantID
	return p, err
}

// newMerge returns a pushed authorization request that merges into a new grant.
func newMerge(ctx context.Context, w *world) (*post, error) {
	_, grantID, err := w.newGrant(ctx)
	if err != nil {
		return nil, err
	}
	p, err := newPush(ctx, w)
	if err != nil {
		return nil, err
	}
	p.grantID = grantID
	p.form.Set("grant_management_action", "merge")
	p.form.Set("grant_id", grantID)
	return p, nil
}
