package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/tokenbinding"
	"golang.org/x/oauth2"
)

// These are the three roles of FAPI 2.0. They share no variables, with
// exceptions that a comment names.

// A bank is the authorization server: its own users and pages, and the protocol
// from authserver.Server.
type bank struct {
	*authserver.Server
	passwords map[string]string
	accounts  map[string]openbanking.Account // the accounts for payments
	now       func() time.Time
}

// A bankConfig is the configuration of one bank.
type bankConfig struct {
	issuer         string
	certificateURL string         // the second socket, which asks clients for certificates
	clientCAs      *x509.CertPool // trust anchors for client certificates
	resources      []string       // the APIs
	clients        map[string]*profile.ClientMetadata
	key            crypto.Signer       // signs everything; use a KMS or an HSM
	profile        profile.Profile     // the messages that must be signed
	servers        map[string][]string // the resources of each resource server, for introspection
	evidence       func(context.Context, profile.Evidence) error
	now            func() time.Time
}

// newBank creates the authorization server. The lookup of clients is a map
// here. A real server uses its registrations.
func newBank(cfg bankConfig) (*bank, error) {
	// This server terminates TLS. Behind a proxy, configure the kind and the
	// address of the proxy here.
	certificates, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{Now: cfg.now})
	if err != nil {
		return nil, err
	}
	types, err := newTypes()
	if err != nil {
		return nil, err
	}
	b := &bank{
		passwords: map[string]string{"alice": "correct horse"},
		accounts:  map[string]openbanking.Account{"alice": {IBAN: "DE89370400440532013000"}}, now: cfg.now,
	}
	b.Server, err = authserver.New(authserver.Config{
		Issuer:    cfg.issuer,
		Keys:      []profile.SigningKey{{Key: cfg.key}},
		Scopes:    []string{"openid", "accounts", "payments"},
		Resources: cfg.resources,
		Clients: func(_ context.Context, clientID string) (*profile.ClientMetadata, error) {
			if app, ok := cfg.clients[clientID]; ok {
				return app, nil
			}
			return nil, clientauth.ErrUnknownClient
		},
		Interact: b.interact,
		// Without mutual TLS, omit this field.
		MutualTLS: &authserver.MutualTLS{
			Certificates: certificates, ClientCAs: cfg.clientCAs, BaseURL: cfg.certificateURL,
		},
		// These are for message signing. If signing is optional for clients,
		// omit Profile as well.
		Profile: cfg.profile,
		Introspection: &authserver.Introspection{
			ResourceServers: func(_ context.Context, clientID string) ([]string, error) {
				return cfg.servers[clientID], nil
			},
		},
		// These are for payments and for grant management. Without them, omit
		// these fields.
		AuthorizationDetails: types,
		Grants:               &grants.ManagerConfig{},
		GrantIDInTokens:      true, // the API records the use of a consent with it

		// Now is only for the attacks, which advance the clock. Omit it.
		Hooks: authserver.Hooks{Evidence: cfg.evidence, Now: cfg.now},
	})
	return b, err
}

// serverTLS returns the TLS configuration of a server. Only a socket for
// programs requests certificates, because browsers would ask their users for
// one. Package profile checks the certificate. A client with an invalid
// certificate therefore receives an OAuth error, and not a failed handshake.
func serverTLS(own tls.Certificate, asksClients bool) *tls.Config {
	config := profile.TLSConfig() // SP-5.2.1-2, SP-5.2.2-1
	config.Certificates = []tls.Certificate{own}
	if asksClients {
		config.ClientAuth = tls.RequestClientCert
	}
	return config
}

var consentPage = template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Your bank</title>
<h1>{{.Client.ClientName}} asks for access</h1>
{{with .Scopes}}<p>It wants: <b id="scopes">{{range .}}{{.}} {{end}}</b></p>{{end}}
{{with .Before}}<p id="before">{{.}}</p>{{end}}
{{range .Details}}<h2>{{.Title}}</h2><dl>{{range .Fields}}<dt>{{.Label}}</dt><dd>{{.Value}}</dd>{{end}}</dl>{{end}}
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form method="post">
<label>User <input name="username" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
{{with .Details}}<label>Your account <input name="account"></label>{{end}}
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button>
</form>
</html>
`))

// interact is the part of the authorization endpoint that FAPI leaves to the
// bank: the login and the consent of the user. The form posts to its own URL,
// so the same pushed request returns here with the decision.
func (b *bank) interact(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	page := struct {
		Client  *profile.ClientMetadata
		Scopes  []string
		Details []rar.Description
		Before  string // the effect on existing permissions
		Problem string
	}{a.Client(), a.Scopes(), describe(a.Details()), changes[a.GrantRequest().Action()], ""}
	if r.Method == http.MethodPost {
		// The form contains the password, so there is no session that another
		// site could use.
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		user, known := b.login(r.PostFormValue("username"), r.PostFormValue("password"))
		switch {
		case r.PostFormValue("decision") == "deny":
			response, err := b.Deny(r.Context(), a, "access_denied", "the user said no")
			b.leave(w, r, a, response, err)
			return
		case !known:
			page.Problem = "User and password do not fit."
		default:
			details, err := b.chosen(a.Details(), user, r.PostFormValue("account"))
			if err != nil {
				page.Problem = "You cannot pay from this account."
				break
			}
			response, err := b.Approve(r.Context(), a, authserver.Approval{
				Subject: user, Scopes: a.Scopes(), Details: details, AuthTime: b.now(), AMR: []string{"pwd"},
			})
			b.leave(w, r, a, response, err)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	consentPage.Execute(w, page) //nolint:errcheck // the browser is gone
}

// leave sends the browser back to the client.
func (b *bank) leave(w http.ResponseWriter, r *http.Request, a *authserver.Authorization,
	response *authserver.AuthorizationResponse, err error) {
	if err != nil {
		b.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// login stands for the login of a real bank.
func (b *bank) login(username, password string) (subject string, ok bool) {
	want, known := b.passwords[username]
	return username, known && subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
}

// An apiConfig is the configuration of one API.
type apiConfig struct {
	resource, issuer string
	// keys are the authorization server's public keys, from its jwks_uri.
	keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// revoked reports whether a token is revoked. Here it calls the
	// authorization server directly, and not over a socket. Without it, an API
	// accepts a revoked token until the token expires after at most five
	// minutes.
	revoked func(ctx context.Context, tokenID string) (bool, error)
	// introspection introspects each token, in place of keys and revoked.
	introspection *introspection.Client
	evidence      func(context.Context, profile.Evidence) error
	now           func() time.Time
}

// newAPI creates the resource server: an ordinary handler behind
// resourceserver.Server. It is served on two sockets, because the socket that
// requests certificates has its own URL. Clients with DPoP use only the other
// socket, which their proofs name.
func newAPI(cfg apiConfig) (http.Handler, error) {
	certificates, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{Now: cfg.now})
	if err != nil {
		return nil, err
	}
	types, err := newTypes()
	if err != nil {
		return nil, err
	}
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: cfg.resource,
		Issuers: []resourceserver.Issuer{
			{ID: cfg.issuer, Keys: cfg.keys, Revoked: cfg.revoked, Introspection: cfg.introspection},
		},
		AuthorizationDetails: types, Certificates: certificates,
		Hooks: resourceserver.Hooks{Evidence: cfg.evidence, Now: cfg.now},
	})
	if err != nil {
		return nil, err
	}
	till, err := newTill(guard, types, cfg.issuer, cfg.now)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/accounts", guard.Require("accounts")(http.HandlerFunc(listAccounts)))
	mux.Handle("GET /payments", guard.Require("payments")(http.HandlerFunc(till.list)))
	// no scope: the payment itself must be granted
	mux.Handle("POST /payments", guard.Require()(http.HandlerFunc(till.pay)))
	return mux, nil
}

// accounts is the response of the API.
type accounts struct {
	Owner    string   `json:"owner"`
	Client   string   `json:"client"`
	BoundTo  string   `json:"bound_to"` // thumbprint of the caller's key or certificate
	Accounts []string `json:"accounts"`
}

func listAccounts(w http.ResponseWriter, r *http.Request) {
	token, ok := resourceserver.TokenFromContext(r.Context())
	if !ok { // the handler has no guard
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	bound := token.Confirmation()
	reply := accounts{
		Owner: token.Subject(), Client: token.ClientID(), BoundTo: cmp.Or(bound.JKT, bound.X5TS256),
		Accounts: []string{"checking", "savings"},
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(reply) //nolint:errcheck // the client is gone
}

// An app is the client: a web application that reads its users' accounts and
// makes payments for them.
type app struct {
	*client.Client
	api    string
	types  *rar.Registry
	grants *grants.Client

	// These are in memory without an end. A real app uses its session store.
	mu      sync.Mutex
	begun   map[string]*client.Session // by the browser's cookie: unfinished authorizations
	entered map[string]*login          // by the browser's cookie: users who have logged in
}

// A login is the app's data about a user.
type login struct {
	subject string
	token   *oauth2.Token
	api     *http.Client // adds the token, and a proof or the certificate
}

// newApp discovers the authorization server by its issuer and creates the
// client.
func newApp(ctx context.Context, cfg client.Config, api string) (*app, error) {
	ours, err := client.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	a := &app{Client: ours, api: api, begun: map[string]*client.Session{}, entered: map[string]*login{}}
	if a.types, err = newTypes(); err != nil {
		return nil, err
	}
	a.grants, err = ours.Grants(ours.ClientCredentialsSource(client.Request{Scopes: []string{scopeQuery, scopeRevoke}}))
	return a, err
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("GET /accounts", a.accounts)
	// SP-5.3.3.1-12: no other site may start a login in the user's name.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, errCrossOrigin)
	}))
	return protection.Handler(mux)
}

const cookieName = "__Host-app"

// newCookie gives the browser a new identity. It binds the authorization
// response to the browser that started the authorization, and then the user to
// the browser.
func newCookie(w http.ResponseWriter) (id string) {
	id = rand.Text()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
	return id
}

// login begins an authorization and sends the browser to the authorization
// server.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	session, err := a.Begin(r.Context(), client.Request{Scopes: []string{"openid", "accounts"}})
	if err != nil {
		refuse(w, err)
		return
	}
	id := newCookie(w)
	a.mu.Lock()
	a.begun[id] = session
	a.mu.Unlock()
	http.Redirect(w, r, session.URL, http.StatusSeeOther)
}

// callback is the redirect URI. A session accepts one callback, even if the
// callback fails.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	id := cookie(r)
	a.mu.Lock()
	session := a.begun[id]
	delete(a.begun, id)
	a.mu.Unlock()
	if session == nil {
		refuse(w, errNoSession)
		return
	}
	token, err := a.Finish(r.Context(), session, r.URL.Query())
	if err != nil {
		refuse(w, err)
		return
	}
	user, ok := client.IDToken(token) // Finish has verified it
	if !ok {
		refuse(w, client.ErrTokenResponse)
		return
	}
	// The source refreshes the token as long as the user stays, so it must
	// outlive this request.
	api, err := a.HTTPClient(a.TokenSource(context.WithoutCancel(r.Context()), token))
	if err != nil {
		refuse(w, err)
		return
	}
	id = newCookie(w)
	a.mu.Lock()
	a.entered[id] = &login{subject: user.Subject(), token: token, api: api}
	a.mu.Unlock()
	http.Redirect(w, r, "/accounts", http.StatusSeeOther) // removes the code from the address bar
}

// accounts calls the API for the user.
func (a *app) accounts(w http.ResponseWriter, r *http.Request) {
	user := a.user(cookie(r))
	if user == nil {
		refuse(w, errNoSession)
		return
	}
	reply, err := getAccounts(r.Context(), user.api, a.api)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(reply) //nolint:errcheck // the browser is gone
}

func (a *app) user(id string) *login {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.entered[id]
}

func cookie(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return c.Value
}

// getAccounts calls the API. A FAPI API needs only a GET by the right
// http.Client.
func getAccounts(ctx context.Context, app *http.Client, api string) (*accounts, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/accounts", nil)
	if err != nil {
		return nil, err
	}
	response, err := app.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New("the API answered " + response.Status)
	}
	reply := new(accounts)
	return reply, json.NewDecoder(http.MaxBytesReader(nil, response.Body, 1<<20)).Decode(reply)
}

var (
	errNoSession   = errors.New("this browser has not begun a login")
	errCrossOrigin = errors.New("another site has sent this browser")
)

var refusalPage = template.Must(template.New("refusal").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Login failed</title>
<h1>The login did not succeed</h1>
<p>Error: <code id="error">{{.}}</code></p>
</html>
`))

// These are the error codes on the page of a rejected callback.
const (
	codeRefusedResponse = "response_refused"
	codeRefusedToken    = "token_refused"
	codeNoSession       = "no_session"
	codeCrossOrigin     = "cross_origin"
)

// refuse shows an error of the authorization server (a *oauth2.RetrieveError),
// or the client's own rejection of the response.
func refuse(w http.ResponseWriter, err error) {
	status, code := http.StatusBadGateway, "upstream_failure"
	var said *oauth2.RetrieveError
	switch {
	case errors.As(err, &said):
		status, code = http.StatusBadRequest, said.ErrorCode
	case errors.Is(err, client.ErrAuthorizationResponse):
		status, code = http.StatusBadRequest, codeRefusedResponse
	case errors.Is(err, client.ErrTokenResponse):
		code = codeRefusedToken
	case errors.Is(err, errNoSession):
		status, code = http.StatusBadRequest, codeNoSession
	case errors.Is(err, errCrossOrigin):
		status, code = http.StatusForbidden, codeCrossOrigin
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	refusalPage.Execute(w, code) //nolint:errcheck // the browser is gone
}
