package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/tokenbinding"
	"golang.org/x/oauth2"
)

// A section is a part of the flow with a title.
type section struct {
	title string
	steps []step
}

// A step is a part of the flow that must succeed.
type step struct {
	name, clause string
	do           func(ctx context.Context, f *flow) error
}

// A flow is the state of the user and the client.
type flow struct {
	*world
	user      *browser
	pageURL   string // where the client sends the user
	answerURL string // where the authorization server sends the user
	token     *oauth2.Token
	notes     []string // lines that a step prints
	// This is the client after a restart, with its new keys.
	renewed        *client.Client
	newKey         *ecdsa.PrivateKey
	newCertificate *tls.Certificate
	// The later sections store the order and the granted payment here.
	session *client.Session
	ordered openbanking.Payment
	payment rar.Detail
	grantID string
	before  *oauth2.Token // the token before the present one
}

// run performs a step. The status of the result is that of the last message.
func (s step) run(ctx context.Context, f *flow) result {
	r := result{Kind: "step", Name: s.name, Clause: s.clause, OK: true}
	f.wire.take()
	if err := s.do(ctx, f); err != nil {
		r.OK, r.Reason = false, err.Error()
	}
	r.exchanges, r.notes, f.notes = f.wire.take(), f.notes, nil
	if n := len(r.exchanges); n > 0 {
		r.Status = r.exchanges[n-1].status
	}
	return r
}

// flowSections returns the complete flow, in order.
func flowSections(c combination) []section {
	return []section{{"The flow", loginSteps(c)}, {"A payment", paymentSteps()}, {"The life of a grant", grantSteps()}}
}

// loginSteps are the steps of the flow that FAPI 2.0 defines.
func loginSteps(c combination) []step {
	return slices.Concat(
		[]step{
			{"the client discovers the authorization server", "SP-5.3.3.1-9", discover},
			{"both metadata documents say the same", "MD-9068-1", compareMetadata},
		},
		either(c.usesCertificates(), []step{
			{"there are aliases that ask for certificates, for programs only", "MTLS-5-2", compareAliases},
		}, nil),
		[]step{
			{"the user logs in at the client, which pushes its request", "SP-5.3.2.2-2", begin},
			{"the browser opens the page, twice: a preview uses up nothing", "SP-5.3.2.2-N3", openTwice},
			{"what is added in the browser's URL counts for nothing", "SP-5.3.2.2-3", openWithMore},
			{"the user agrees, and the answer names its issuer", "SP-5.3.2.2-7", agree},
		},
		either(c.advanced(), []step{{"what stands beside the signed answer counts for nothing", "JARM-2.4-6",
			answerWithMore}}, nil),
		[]step{
			{"the client redeems the code and verifies the ID token", "MS-5.6.2-1", finish},
		},
		either(c.byDPoP(), []step{
			{"the client calls the API with token and proof", "DPOP-7.1-2", useAPI},
			either(c.byJWT(),
				step{"after a restart it refreshes with a new key", "DPOP-5-5", refresh},
				step{"after a restart it refreshes with a new key and certificate", "MTLS-7.1-1", refresh}),
			{"the new token works, bound to the new key", "DPOP-6.1-1", useRenewed},
		}, []step{
			{"the client calls the API with token and certificate", "MTLS-3-2", useAPI},
			{"with a renewed certificate its token is worth nothing", "MTLS-6.3-1", renewCertificate},
			{"but it refreshes, after a restart with that certificate", "MTLS-7.1-1", refresh},
			{"the new token works, bound to the new certificate", "MTLS-3-1", useRenewed},
		}),
		[]step{{"the client gets a token about itself", "SP-5.3.2.1-N2", clientCredentials}},
		either(c.usesCertificates(), []step{
			{"all of this went to the aliases", "SP-5.2.2.1-3", compareTally},
		}, nil),
		[]step{{"another time the user says no", "ISS-2-1", deny}},
		either(c.advanced(), []step{
			{"the API cannot have an answer about a token unsigned", "MS-5.5.1-1", askForPlain},
			{"what was signed is archived, and proves it to others", "MS-7-1", compareArchives},
		}, nil),
	)
}

func discover(ctx context.Context, f *flow) (err error) {
	f.app, err = newApp(ctx, f.clientConfig(f.ours.dpop, f.ours.certificate), f.api())
	return err
}

func compareMetadata(ctx context.Context, f *flow) error {
	oauth, openid, err := profile.WellKnownURLs(f.asURL)
	if err != nil {
		return err
	}
	var documents []string
	for _, u := range []string{oauth, openid} {
		a, err := f.get(ctx, "client", u)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fmt.Errorf("%s: %v", u, a)
		}
		documents = append(documents, string(a.body))
	}
	if documents[0] != documents[1] {
		return errors.New("they differ")
	}
	return nil
}

func compareAliases(_ context.Context, f *flow) error {
	server := f.app.ServerMetadata()
	aliases := server.MTLSEndpointAliases
	if aliases == nil || aliases.TokenEndpoint != f.asMTLSURL+"/token" ||
		aliases.PushedAuthorizationRequestEndpoint != f.asMTLSURL+"/par" {
		return fmt.Errorf("the aliases are %+v", aliases)
	}
	if forClient := server.ForMTLS(); !strings.HasPrefix(forClient.AuthorizationEndpoint, f.asURL+"/") {
		return fmt.Errorf("the browser would go to %s", forClient.AuthorizationEndpoint)
	}
	return nil
}

// compareTally checks the addresses of the requests that the client has sent.
func compareTally(_ context.Context, f *flow) error {
	plain, aliases := f.app.ServerMetadata(), f.endpoints()
	if n := f.tally.of(plain.TokenEndpoint, plain.PushedAuthorizationRequestEndpoint); n > 0 {
		return fmt.Errorf("%d requests went to endpoints that ask for no certificate", n)
	}
	// A pushed request, a code, a refresh token and the client's own
	// credentials.
	if n := f.tally.of(aliases.TokenEndpoint, aliases.PushedAuthorizationRequestEndpoint); n != 4 {
		return fmt.Errorf("%d requests went to the aliases", n)
	}
	return nil
}

func begin(ctx context.Context, f *flow) (err error) {
	f.user = f.newBrowser()
	f.pageURL, err = f.user.startLogin(ctx)
	return err
}

func openTwice(ctx context.Context, f *flow) error {
	for range 2 {
		if err := f.user.open(ctx, f.pageURL); err != nil {
			return err
		}
	}
	return nil
}

// openWithMore continues with a URL that an attacker has extended. The
// following steps show that the addition has no effect.
func openWithMore(ctx context.Context, f *flow) error {
	more := url.Values{
		"redirect_uri": {"https://evil.example/callback"}, "scope": {"payments"}, "state": {"of the attacker"},
		"response_type": {"token"},
	}
	f.pageURL += "&" + more.Encode()
	return f.user.open(ctx, f.pageURL)
}

func agree(ctx context.Context, f *flow) (err error) {
	if f.answerURL, err = f.user.decide(ctx, f.pageURL, "allow"); err != nil {
		return err
	}
	said, err := f.answerIn(f.answerURL)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(f.answerURL, f.ours.redirectURI+"?") || said.Get("iss") != f.asURL || said.Get("code") == "" {
		return fmt.Errorf("the answer says %s", strings.Join(interesting(said), ", "))
	}
	return nil
}

func finish(ctx context.Context, f *flow) error {
	a, err := f.user.get(ctx, f.answerURL)
	if err != nil {
		return err
	}
	if a.status != http.StatusSeeOther {
		return fmt.Errorf("the client's callback: %v", a)
	}
	entered := f.app.user(f.user.cookie(f.appURL))
	if entered == nil || entered.subject != "alice" {
		return errors.New("the client does not know who has logged in")
	}
	f.token = entered.token
	if scope := f.token.Extra("scope"); scope != "accounts openid" {
		return fmt.Errorf("the scope is %q", scope)
	}
	return nil
}

func useAPI(ctx context.Context, f *flow) error {
	a, err := f.user.get(ctx, f.appURL+"/accounts")
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("the client's page: %v", a)
	}
	reply := new(accounts)
	if err := json.Unmarshal(a.body, reply); err != nil {
		return err
	}
	return f.check(reply, "alice", f.ours.dpop, f.ours.certificate)
}

// renewCertificate sends the token with the client's next valid certificate,
// which the API rejects. Then it requests a new token with that certificate.
func renewCertificate(ctx context.Context, f *flow) (err error) {
	if f.newCertificate, err = f.clients.client(f.ours.hostName()); err != nil {
		return err
	}
	c := &call{w: f.world, method: http.MethodGet, url: f.api() + "/accounts", scheme: "Bearer",
		token: f.token.AccessToken}
	for _, its := range []struct {
		certificate *tls.Certificate
		want        answer
	}{
		{f.newCertificate, answer{status: http.StatusUnauthorized, code: "invalid_token"}},
		{f.ours.certificate, answer{status: http.StatusOK}},
	} {
		c.certificate = its.certificate
		if got, err := c.sendAs(ctx, "client"); err != nil || got.status != its.want.status ||
			got.code != its.want.code {
			return errors.Join(err, fmt.Errorf("the API answers %v, expected %v", got, its.want))
		}
	}
	return nil
}

func refresh(ctx context.Context, f *flow) (err error) {
	if f.newKey, err = newKey(); err != nil {
		return err
	}
	if f.newCertificate == nil {
		if f.newCertificate, err = f.clients.client(f.ours.hostName()); err != nil {
			return err
		}
	}
	if f.renewed, err = client.New(ctx, f.clientConfig(f.newKey, f.newCertificate)); err != nil {
		return err
	}
	before := f.token
	if f.token, err = f.renewed.Refresh(ctx, before.RefreshToken, client.Request{}); err != nil {
		return err
	}
	if f.token.AccessToken == before.AccessToken || f.token.RefreshToken != before.RefreshToken {
		return errors.New("a new access token and the same refresh token were to come") // SP-5.3.2.1-9
	}
	return nil
}

func useRenewed(ctx context.Context, f *flow) error {
	api, err := f.renewed.HTTPClient(oauth2.StaticTokenSource(f.token))
	if err != nil {
		return err
	}
	reply, err := getAccounts(ctx, api, f.api())
	if err != nil {
		return err
	}
	return f.check(reply, "alice", f.newKey, f.newCertificate)
}

func clientCredentials(ctx context.Context, f *flow) error {
	token, err := f.renewed.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
	if err != nil {
		return err
	}
	if token.RefreshToken != "" || token.Extra("id_token") != nil {
		return errors.New("a token without a user came with a refresh token or an ID token")
	}
	api, err := f.renewed.HTTPClient(oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	reply, err := getAccounts(ctx, api, f.api())
	if err != nil {
		return err
	}
	return f.check(reply, f.ours.id, f.newKey, f.newCertificate)
}

func deny(ctx context.Context, f *flow) error {
	user := f.newBrowser()
	page, err := user.startLogin(ctx)
	if err != nil {
		return err
	}
	target, err := user.decide(ctx, page, "deny")
	if err != nil {
		return err
	}
	if said, err := f.answerIn(target); err != nil || said.Get("iss") != f.asURL || said.Get("error") == "" {
		return errors.New("the error response does not name its issuer")
	}
	a, err := user.get(ctx, target)
	if err == nil && (a.status != http.StatusBadRequest || a.code != "access_denied") {
		err = fmt.Errorf("the client's callback: %v", a)
	}
	return err
}

// check compares a response of the API with the expected one for a client with
// these keys.
func (w *world) check(a *accounts, owner string, key *ecdsa.PrivateKey, certificate *tls.Certificate) error {
	thumbprint, err := jwks.Thumbprint(key.Public())
	if err != nil {
		return err
	}
	if !w.byDPoP() {
		thumbprint = tokenbinding.CertificateThumbprint(certificate.Leaf)
	}
	if a.Owner != owner || a.BoundTo != thumbprint || !slices.Equal(a.Accounts, []string{"checking", "savings"}) {
		return errors.New("the API answers for another user, key or certificate")
	}
	return nil
}
