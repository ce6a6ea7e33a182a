package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"golang.org/x/oauth2"
)

// The life of a grant.

func grantSteps() []step {
	return []step{
		{"the client asks for a grant, and the user for her part agrees", "GM-5.2-3", askForGrant},
		{"it is with the token that the grant gets its name", "GM-5.5-1", finishGrant},
		{"the client asks what the grant permits, by a token of its own", "GM-6.4-1", queryGrant},
		{"merge adds a payment to the same grant", "GM-5.2-5", mergeGrant},
		{"replace leaves nothing but another payment", "GM-5.2-7", replaceGrant},
		{"the access token from before is worth nothing at the API", "GM-10-2", useReplaced},
		{"the client revokes the grant, and nothing is left of it", "GM-6.5-1", revokeGrant},
	}
}

// ask pushes a request and lets the user approve it. It returns the text that
// the user reads.
func (f *flow) ask(ctx context.Context, request client.Request) (read []string, err error) {
	if f.session, err = f.app.Begin(ctx, request); err != nil {
		return nil, err
	}
	f.user = f.newBrowser()
	if read, err = f.user.read(ctx, f.session.URL); err != nil {
		return nil, err
	}
	f.answerURL, err = f.user.decide(ctx, f.session.URL, "allow")
	return read, err
}

func askForGrant(ctx context.Context, f *flow) error {
	if _, err := f.ask(ctx, client.Request{Scopes: []string{"accounts"},
		GrantManagementAction: "create"}); err != nil {
		return err
	}
	said, err := f.answerIn(f.answerURL)
	if err == nil && (said.Get("code") == "" || said.Has("grant_id")) { // GM-5.3-1
		err = fmt.Errorf("the answer says %s", strings.Join(interesting(said), ", "))
	}
	return err
}

func finishGrant(ctx context.Context, f *flow) error {
	if err := f.finishAnswer(ctx); err != nil {
		return err
	}
	if f.grantID, _ = f.token.Extra("grant_id").(string); len(f.grantID) != 43 {
		return errors.New("the token response names no grant")
	}
	return nil
}

// permits queries the grant and compares its permissions.
func (f *flow) permits(ctx context.Context, scopes []string, payments ...openbanking.Payment) error {
	g, err := f.app.grants.Query(ctx, f.grantID)
	if err != nil {
		return err
	}
	var details rar.Details
	if g.AuthorizationDetails != nil {
		if details, err = f.app.types.Parse(g.AuthorizationDetails, f.app.types.Types()); err != nil {
			return err
		}
	}
	if !slices.Equal(g.ScopeValues(), scopes) || len(details) != len(payments) {
		return fmt.Errorf("the grant permits %v and %v", g.ScopeValues(), details)
	}
	for i, payment := range payments {
		if its, err := rar.Get[openbanking.Payment](details[i]); err != nil ||
			its.EndToEndIdentification != payment.EndToEndIdentification {
			return errors.Join(errors.New("the grant permits another payment"), err)
		}
	}
	f.notes = []string{"It permits the scopes: " + strings.Join(scopes, " ")}
	if len(scopes) == 0 {
		f.notes = nil
	}
	if len(details) > 0 {
		f.notes = append(f.notes, wrap("It permits the "+f.summary(details), width-5)...)
	}
	return nil
}

func queryGrant(ctx context.Context, f *flow) error { return f.permits(ctx, []string{"accounts"}) }

// change asks the user to add a payment to the grant, and stores the tokens.
func (f *flow) change(ctx context.Context, action string) error {
	f.ordered = f.newPayment()
	asked, err := f.inJSON(f.ordered)
	if err != nil {
		return err
	}
	read, err := f.ask(ctx, client.Request{AuthorizationDetails: asked, GrantManagementAction: action,
		GrantID: f.grantID})
	if err != nil {
		return err
	}
	if !slices.Contains(read, changes[action]) {
		return errors.New("the page does not say what becomes of the grant")
	}
	f.before = f.token
	if err := f.finishAnswer(ctx); err != nil {
		return err
	}
	if f.token.Extra("grant_id") != f.grantID { // GM-5.2-9
		return errors.New("the grant has another name now")
	}
	return nil
}

func mergeGrant(ctx context.Context, f *flow) error {
	if err := f.change(ctx, "merge"); err != nil {
		return err
	}
	return f.permits(ctx, []string{"accounts"}, f.ordered)
}

func replaceGrant(ctx context.Context, f *flow) error {
	if err := f.change(ctx, "replace"); err != nil {
		return err
	}
	return f.permits(ctx, nil, f.ordered)
}

// refused returns nil if the API rejects a token as invalid, and not only for
// its permissions.
func (f *flow) refused(ctx context.Context, token *oauth2.Token) error {
	c := &call{w: f.world, method: http.MethodGet, url: f.api() + "/accounts", token: token.AccessToken}
	if err := c.as(f.ours); err != nil {
		return err
	}
	got, err := c.sendAs(ctx, "client")
	if err == nil && (got.status != http.StatusUnauthorized || got.code != "invalid_token") {
		err = fmt.Errorf("the API answers %v", got)
	}
	return err
}

func useReplaced(ctx context.Context, f *flow) error { return f.refused(ctx, f.before) }

func revokeGrant(ctx context.Context, f *flow) error {
	if err := f.app.grants.Revoke(ctx, f.grantID); err != nil {
		return err
	}
	if _, err := f.app.grants.Query(ctx, f.grantID); !errors.Is(err, grants.ErrNotFound) {
		return fmt.Errorf("the grant is there: %w", err)
	}
	var said *oauth2.RetrieveError
	if _, err := f.app.Refresh(ctx, f.token.RefreshToken, client.Request{}); !errors.As(err, &said) ||
		said.ErrorCode != "invalid_grant" {
		return fmt.Errorf("the refresh token: %w", err)
	}
	return f.refused(ctx, f.token)
}
