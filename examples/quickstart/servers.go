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

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/tokenbinding"
)

// The three servers of FAPI 2.0, each as one would write it. They share no variable but where a comment says so.

// A bank is the authorization server: its own users and pages, and the protocol from profile.AuthorizationServer.
type bank struct {
	*profile.AuthorizationServer
	passwords map[string]string
	accounts  map[string]openbanking.Account // that users pay from
	now       func() time.Time
}

// A bankConfig is what is different for each bank.
type bankConfig struct {
	issuer         string
	certificateURL string         // where it asks clients for their certificates: the same handler on a second socket
	clientCAs      *x509.CertPool // who may vouch for the certificates of clients
	resources      []string       // the APIs
	clients        map[string]*profile.ClientMetadata
	key            crypto.Signer       // signs everything; best in a KMS or HSM
	profile        profile.Profile     // what has to be signed besides tokens
	servers        map[string][]string // which clients are servers of which resources, and may ask about tokens for these
	evidence       func(context.Context, profile.Evidence) error
	now            func() time.Time
}

// newBank sets up the authorization server. Whoever registers clients gives it a lookup; here it is a map.
func newBank(cfg bankConfig) (*bank, error) {
	// TLS ends here. Behind a proxy this is where to say which kind it is, and from where it connects.
	certificates, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{Now: cfg.now})
	if err != nil {
		return nil, err
	}
	types, err := newTypes()
	if err != nil {
		return nil, err
	}
	b := &bank{
		passwords: map[string]string{"alice": "correct horse"}, accounts: map[string]openbanking.Account{"alice": {IBAN: "DE89370400440532013000"}}, now: cfg.now,
	}
	b.AuthorizationServer, err = profile.NewAuthorizationServer(profile.AuthorizationServerConfig{
		Issuer:    cfg.issuer,
		Key:       cfg.key,
		Scopes:    []string{"openid", "accounts", "payments"},
		Resources: cfg.resources,
		Clients: func(_ context.Context, clientID string) (*profile.ClientMetadata, error) {
			if client, ok := cfg.clients[clientID]; ok {
				return client, nil
			}
			return nil, profile.ErrUnknownClient
		},
		Interact: b.interact,
		// For mutual TLS. A server without it leaves these three out.
		Certificates: certificates,
		ClientCAs:    cfg.clientCAs,
		MTLSBaseURL:  cfg.certificateURL,
		// For message signing. A server that only serves it to clients that want it leaves Profile out, too.
		Profile:         cfg.profile,
		ResourceServers: func(_ context.Context, clientID string) ([]string, error) { return cfg.servers[clientID], nil },
		Evidence:        cfg.evidence,
		// For payments, and for grants that clients can look at, add to and revoke. A server without them leaves these out.
		AuthorizationDetails: types,
		Grants:               &grants.ManagerConfig{},
		GrantIDInTokens:      true, // by which the API records that a consent was used

		Now: cfg.now, // a server of yours leaves this out: here the attacks let time pass
	})
	return b, err
}

// serverTLS is how every server here keeps TLS. Only a socket for programs asks for certificates: browsers would ask their
// users for one. It asks, and lets profile judge: so a client with a bad certificate gets an OAuth error and no dead line.
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

// interact is the whole part of a bank that FAPI leaves to it: who is this, and does she agree? The form posts to the URL
// it came from, so that the same pushed request comes back here with the answer.
func (b *bank) interact(w http.ResponseWriter, r *http.Request, a *profile.Authorization) {
	page := struct {
		Client  *profile.ClientMetadata
		Scopes  []string
		Details []rar.Description
		Before  string // what becomes of what she has allowed before
		Problem string
	}{a.Client(), a.Scopes(), describe(a.Details()), changes[a.GrantRequest().Action()], ""}
	if r.Method == http.MethodPost {
		// The password comes with the decision: there is no session here that another site could make use of.
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
			response, err := b.Approve(r.Context(), a, profile.Approval{
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
func (b *bank) leave(w http.ResponseWriter, r *http.Request, a *profile.Authorization, response *profile.AuthorizationResponse, err error) {
	if err != nil {
		b.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// login stands for what your bank really does.
func (b *bank) login(username, password string) (subject string, ok bool) {
	want, known := b.passwords[username]
	return username, known && subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
}

// An apiConfig is what is different for each API.
type apiConfig struct {
	resource, issuer string
	// keys are the authorization server's public keys, from its jwks_uri.
	keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// revoked tells which tokens were taken back: here that is a call into the other server, the one thing that does not go
	// over a socket. An API that has no such way leaves it out and believes a token until it ends, which is five minutes at
	// most.
	revoked func(ctx context.Context, tokenID string) (bool, error)
	// introspection asks the authorization server about each token, in place of keys and revoked.
	introspection *introspection.Client
	evidence      func(context.Context, profile.Evidence) error
	now           func() time.Time
}

// newAPI sets up the resource server: an ordinary handler behind profile.ResourceServer. It is served on two sockets, since
// the one that asks for certificates has a URL of its own. Clients with DPoP never go there: their proofs name the other.
func newAPI(cfg apiConfig) (http.Handler, error) {
	certificates, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{Now: cfg.now})
	if err != nil {
		return nil, err
	}
	types, err := newTypes()
	if err != nil {
		return nil, err
	}
	guard, err := profile.NewResourceServer(profile.ResourceServerConfig{
		Resource: cfg.resource, Issuer: cfg.issuer, Keys: cfg.keys, Revoked: cfg.revoked, Introspection: cfg.introspection,
		AuthorizationDetails: types, Certificates: certificates, Evidence: cfg.evidence, Now: cfg.now,
	})
	if err != nil {
		return nil, err
	}
	till, err := newTill(guard, types, cfg.issuer, cfg.now)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/accounts", guard.Require(http.HandlerFunc(listAccounts), "accounts"))
	mux.Handle("GET /payments", guard.Require(http.HandlerFunc(till.list), "payments"))
	mux.Handle("POST /payments", guard.Require(http.HandlerFunc(till.pay))) // no scope: it is the payment that has to be granted
	return mux, nil
}

// accounts is what the API answers.
type accounts struct {
	Owner    string   `json:"owner"`
	Client   string   `json:"client"`
	BoundTo  string   `json:"bound_to"` // thumbprint of the key or certificate that the caller has proved to hold
	Accounts []string `json:"accounts"`
}

func listAccounts(w http.ResponseWriter, r *http.Request) {
	token, ok := profile.TokenFromContext(r.Context())
	if !ok { // this handler stands without its guard
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	bound := token.Confirmation()
	reply := accounts{
		Owner: token.Subject(), Client: token.ClientID(), BoundTo: cmp.Or(bound.JKT, bound.X5TS256), Accounts: []string{"checking", "savings"},
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(reply) //nolint:errcheck // the client is gone
}

// An app is the client: a web application that reads its users' accounts and makes payments for them.
type app struct {
	*profile.Client
	api    string
	types  *rar.Registry
	grants *grants.Client

	// In memory and for ever: a real app has them in its session store, with an end.
	mu      sync.Mutex
	begun   map[string]*profile.Session // by the browser's cookie: authorizations under way
	entered map[string]*login           // by the browser's cookie: users who are in
}

// A login is what the app knows of a user.
type login struct {
	subject string
	token   *oauth2.Token
	api     *http.Client // sends the token, with a proof or by a connection with the certificate
}

// newApp discovers the authorization server and sets up the client. Of the server it knows its issuer identifier only.
func newApp(ctx context.Context, cfg profile.ClientConfig, api string) (*app, error) {
	client, err := profile.NewClient(ctx, cfg)
	if err != nil {
		return nil, err
	}
	a := &app{Client: client, api: api, begun: map[string]*profile.Session{}, entered: map[string]*login{}}
	if a.types, err = newTypes(); err != nil {
		return nil, err
	}
	a.grants, err = client.Grants(oauth2.ReuseTokenSource(nil, ownTokens{client}))
	return a, err
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("GET /accounts", a.accounts)
	// SP-5.3.3.1-12: no other site may start a login in the user's name.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, errCrossOrigin) }))
	return protection.Handler(mux)
}

const cookieName = "__Host-app"

// newCookie gives the browser a new identity. It ties the answer of the authorization server to the browser in which the
// user has asked for it, and after that the user to the browser.
func newCookie(w http.ResponseWriter) (id string) {
	id = rand.Text()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return id
}

// login begins an authorization and sends the browser to the authorization server.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	session, err := a.Begin(r.Context(), profile.Request{Scopes: []string{"openid", "accounts"}})
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

// callback is the redirect URI. A session answers one callback, whatever comes of it.
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
	user, ok := profile.IDToken(token) // Finish has verified it
	if !ok {
		refuse(w, profile.ErrTokenResponse)
		return
	}
	// The source refreshes the token for as long as the user stays, so it must not end with this request.
	api, err := a.HTTPClient(a.TokenSource(context.WithoutCancel(r.Context()), token))
	if err != nil {
		refuse(w, err)
		return
	}
	id = newCookie(w)
	a.mu.Lock()
	a.entered[id] = &login{subject: user.Subject(), token: token, api: api}
	a.mu.Unlock()
	http.Redirect(w, r, "/accounts", http.StatusSeeOther) // away from the URL that has the code in it
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

// getAccounts is all that calling a FAPI API takes: a GET.
func getAccounts(ctx context.Context, client *http.Client, api string) (*accounts, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/accounts", nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(r)
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

// What the app tells its user when it does not believe the callback.
const (
	codeRefusedResponse = "response_refused"
	codeRefusedToken    = "token_refused"
	codeNoSession       = "no_session"
	codeCrossOrigin     = "cross_origin"
)

// refuse shows what went wrong: what the authorization server has said (a *oauth2.RetrieveError), or what the client itself
// would not accept.
func refuse(w http.ResponseWriter, err error) {
	status, code := http.StatusBadGateway, "upstream_failure"
	var said *oauth2.RetrieveError
	switch {
	case errors.As(err, &said):
		status, code = http.StatusBadRequest, said.ErrorCode
	case errors.Is(err, profile.ErrAuthorizationResponse):
		status, code = http.StatusBadRequest, codeRefusedResponse
	case errors.Is(err, profile.ErrTokenResponse):
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
