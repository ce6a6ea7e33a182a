package embedding_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
)

const issuer = "https://as.example.com"

// oldServer stands for an existing authorization server. It logs users in,
// stores codes and issues tokens.
type oldServer struct {
	mu    sync.Mutex
	codes map[string]grant
}

type grant struct{ clientID, redirectURI, challenge, user string }

func (s *oldServer) login(*http.Request) (user string) { return "alice" } // usually several pages

func (s *oldServer) issueCode(g grant) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := rand.Text()
	s.codes[code] = g
	return code
}

func (s *oldServer) lookUpCode(code string) grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codes[code]
}

// redeemCode consumes a code. One of several calls succeeds.
func (s *oldServer) redeemCode(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.codes[code]
	delete(s.codes, code)
	return ok
}

// badGrant is an error of the existing server. par.WriteError uses its methods
// for the response.
type badGrant struct{}

func (badGrant) Error() string                     { return "unknown code, or another client's" }
func (badGrant) OAuthError() (code, detail string) { return "invalid_grant", "the code is not valid" }
func (badGrant) HTTPStatus() int                   { return http.StatusBadRequest }

// A front serves requests before the existing server.
type front struct {
	old     *oldServer
	clients *clientauth.Verifier
	pushed  *par.Server
}

// A registration is the registration of a client.
type registration struct {
	keys         *jwks.Set // from its metadata; use a jwks.Remote for a jwks_uri
	redirectURIs []string
}

func newFront(old *oldServer, registered map[string]registration) (*front, error) {
	clients, err := clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: issuer,
		Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
			client, ok := registered[id]
			if !ok {
				return clientauth.Client{}, clientauth.ErrUnknownClient
			}
			return clientauth.Client{ID: id, Keys: client.keys.Keys}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	pushed, err := par.NewServer(par.ServerConfig{
		Check: func(_ context.Context, clientID string, params url.Values) error {
			if err := pkce.CheckRequest(params.Get("code_challenge"), params.Get("code_challenge_method")); err != nil {
				return err
			}
			return par.CheckRedirectURI(registered[clientID].redirectURIs, params.Get("redirect_uri"))
		},
	})
	if err != nil {
		return nil, err
	}
	return &front{old, clients, pushed}, nil
}

// push is the pushed authorization request endpoint. It makes the checks first,
// and consumes the assertion last.
func (f *front) push(w http.ResponseWriter, r *http.Request) error {
	params, err := par.ParseForm(r)
	if err != nil {
		return err
	}
	client, err := f.clients.Check(r.Context(), clientauth.Credentials{Form: params, Authorization: r.Header.Values("Authorization")})
	if err != nil {
		return err
	}
	request, err := f.pushed.Check(r.Context(), par.PushRequest{ClientID: client.ClientID(), Params: params})
	if err != nil {
		return err
	}
	if err := f.clients.Commit(r.Context(), client); err != nil { // consumes the assertion
		return err
	}
	answer, err := f.pushed.Store(r.Context(), request)
	if err != nil {
		return err
	}
	answer.ServeHTTP(w, r)
	return nil
}

// authorize is the authorization endpoint, for browsers.
func (f *front) authorize(w http.ResponseWriter, r *http.Request) error {
	clientID, requestURI, err := par.ParseAuthorizationRequest(r.URL.Query())
	if err != nil {
		return err
	}
	request, err := f.pushed.Load(r.Context(), clientID, requestURI)
	if err != nil {
		return err
	}
	user := f.old.login(r)
	// The user has consented. One of several attempts receives a code.
	if err := f.pushed.Consume(r.Context(), request, rand.Text()); err != nil {
		return err
	}
	to, err := url.Parse(request.Get("redirect_uri"))
	if err != nil {
		return err
	}
	query := to.Query()
	query.Set("code", f.old.issueCode(grant{request.ClientID(), request.Get("redirect_uri"), request.Get("code_challenge"), user}))
	query.Set("iss", issuer)
	if state := request.Get("state"); state != "" {
		query.Set("state", state)
	}
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return nil
}

// token is the token endpoint. A FAPI server binds its tokens as well: it calls
// dpop.Verifier.Check before the Commit of the client, and Commit of the proof
// after it. tokenbinding.Bind returns the confirmation for the token. The
// existing server handles other values of grant_type.
func (f *front) token(w http.ResponseWriter, r *http.Request) error {
	params, err := par.ParseForm(r)
	if err != nil {
		return err
	}
	client, err := f.clients.Check(r.Context(), clientauth.Credentials{Form: params, Authorization: r.Header.Values("Authorization")})
	if err != nil {
		return err
	}
	code := params.Get("code")
	g := f.old.lookUpCode(code)
	if g.clientID != client.ClientID() || g.redirectURI != params.Get("redirect_uri") {
		return badGrant{}
	}
	if err := pkce.Verify(g.challenge, params.Get("code_verifier")); err != nil { // the code stays valid for its owner
		return err
	}
	if err := f.clients.Commit(r.Context(), client); err != nil {
		return err
	}
	if !f.old.redeemCode(code) {
		return badGrant{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-of-" + g.user, "token_type": "Bearer"}) // the client may have disconnected
	return nil
}

// endpoint responds to the errors of all these packages. The errors contain the
// response.
func endpoint(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			par.WriteError(w, err) // show a page at the authorization endpoint instead
		}
	}
}

// This example is a complete authorization. An attacker has the code but not
// the verifier.
func Example_server() {
	ctx := context.Background()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keys, _ := jwks.NewSet(jwks.Key{Public: key.Public()})
	front, err := newFront(&oldServer{codes: make(map[string]grant)}, map[string]registration{
		"app": {keys, []string{"https://app.example/cb"}},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/par", endpoint(front.push))
	mux.Handle("/authorize", endpoint(front.authorize))
	mux.Handle("/token", endpoint(front.token))
	as := httptest.NewTLSServer(mux)
	defer as.Close()

	// The client.
	auth, _ := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "app", Audience: issuer, Key: key})
	client, _ := par.NewClient(par.ClientConfig{Endpoint: as.URL + "/par", HTTPClient: as.Client(), Authenticate: auth.Authenticate})
	verifier := pkce.NewVerifier()
	challenge, _ := pkce.Challenge(verifier)
	request := url.Values{
		"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {"https://app.example/cb"}, "state": {"af0ifjsldkj"},
		"code_challenge": {challenge}, "code_challenge_method": {pkce.MethodS256},
	}
	pushed, err := client.Push(ctx, request)
	if err != nil {
		panic(err)
	}
	location, _ := par.AuthorizationURL(as.URL+"/authorize", "app", pushed.RequestURI)

	// The browser opens the page a second time after a reload.
	browse := func() *http.Response {
		resp, err := as.Client().Transport.RoundTrip(httptest.NewRequest("GET", location, nil))
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		return resp
	}
	callback, _ := browse().Location()
	fmt.Println("callback with", parameters(callback))
	fmt.Println("reload:", browse().StatusCode)

	// The token endpoint.
	redeem := func(who, verifier string) {
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {callback.Query().Get("code")}, "redirect_uri": {"https://app.example/cb"},
			"code_verifier": {verifier},
		}
		if err := auth.Authenticate(ctx, form); err != nil {
			panic(err)
		}
		resp, err := as.Client().PostForm(as.URL+"/token", form)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		var answer struct {
			Token string `json:"access_token"`
			Error string `json:"error"`
		}
		_ = json.NewDecoder(resp.Body).Decode(&answer)
		fmt.Println(who, resp.StatusCode, answer.Token+answer.Error)
	}
	redeem("in the attacker's session:", pkce.NewVerifier())
	redeem("client:", verifier)
	redeem("again:", verifier)
	// Output:
	// callback with [code iss state]
	// reload: 400
	// in the attacker's session: 400 invalid_grant
	// client: 200 token-of-alice
	// again: 400 invalid_grant
}

func parameters(u *url.URL) (names []string) {
	for name := range u.Query() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
