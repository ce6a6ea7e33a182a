package attack

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/dpop"
)

// A Script is one attack.
type Script struct {
	// Name says what the attacker does.
	Name string
	// Attacker is the attacker with the fewest capabilities that suffice.
	Attacker Attacker
	// Breaks is the goal that falls if the defences are missing.
	Breaks Goal
	// Defences are what stops the attack. Each of them suffices.
	Defences []string
	// Play makes the attack. An error means that a party has stopped the
	// attacker. The goals do not depend on it.
	Play func(ctx context.Context, a *Adversary) error
}

// A Result is the result of a script.
type Result struct {
	// Broken are the goals that the attack has broken.
	Broken []Goal
	// Stopped is the error that ended the script early, or nil.
	Stopped error
}

// Run plays the script in a world. Use a new world for each script.
func (s Script) Run(ctx context.Context, w *World) Result {
	err := s.Play(ctx, NewAdversary(w, s.Attacker))
	return Result{Broken: Broken(w.Events(), w.Issuer), Stopped: err}
}

// Scripts returns the attacks of this package.
func Scripts() []Script {
	return []Script{
		{"mix-up of two authorization servers", A1a, Authorization, []string{
			"the authorization server requires its own issuer as the audience of client assertions",
			"the client compares iss of the authorization response with the issuer of its session",
		}, mixUp},
		{"attacker's code injected into the user's browser", A1, SessionIntegrity,
			[]string{"the client binds a login to the browser that began it"}, injectCode},
		{"browser swapping with the attacker's request_uri", A1, Authentication,
			[]string{"the client binds a login to the browser that began it"}, swapBrowsers},
		{"second use of the user's request_uri", A3a, SessionIntegrity, []string{
			"the authorization server accepts a request_uri for one login",
			"the client accepts a session once",
		}, reuseRequest},
		{"access token stolen from a resource request", A5, Authorization,
			[]string{"the API requires the key that the token is bound to"}, stealToken},
		{"DPoP proof replayed with its access token", A5, Authorization,
			[]string{"the API accepts a proof once"}, replayProof},
	}
}

// Limits returns attacks that win against a correct implementation, because the
// protocol has no defence. They are documented here so that hosts know them.
// The Defences of such a script are empty.
func Limits() []Script {
	return []Script{
		{"first use of the user's request_uri", A3a, SessionIntegrity, nil, overtakeRequest},
	}
}

// mixUp lets the user log in at the attacker's server, which pushes the request
// of the client to the honest server. The user approves there. The client
// believes that the code is of the attacker's server, and sends it there.
func mixUp(ctx context.Context, a *Adversary) error {
	rogue := &rogueServer{adversary: a, redemptions: make(chan url.Values, 1)}
	if err := a.Serve(rogue.handler()); err != nil {
		return err
	}
	err := a.UserLogsIn(ctx, a.World.RogueIssuer)
	var redemption url.Values
	select {
	case redemption = <-rogue.redemptions:
	default:
		return errors.Join(err, errors.New("attack: no code arrived"))
	}
	prover, err := newProver() // the attacker redeems the code with its own key
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.World.Issuer+"/token",
		strings.NewReader(redemption.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := prove(prover, r, ""); err != nil {
		return err
	}
	body, err := a.Send(r)
	if err != nil {
		return err
	}
	var issued struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &issued); err != nil {
		return err
	}
	return readAccounts(ctx, a, prover, issued.AccessToken)
}

// A rogueServer is the authorization server of the attacker. It forwards what
// it receives.
type rogueServer struct {
	adversary   *Adversary
	redemptions chan url.Values // the first token request of the client
}

func (s *rogueServer) handler() http.Handler {
	w := s.adversary.World
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/", func(rw http.ResponseWriter, r *http.Request) {
		metadata, err := page(r.Context(), s.adversary.browser.http, http.MethodGet, w.Issuer+r.URL.Path, nil)
		if err != nil {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, strings.ReplaceAll(metadata, w.Issuer, w.RogueIssuer))
	})
	mux.HandleFunc("POST /par", func(rw http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		r.PostForm.Del("dpop_jkt")
		pushed, err := s.adversary.Post(r.Context(), w.Issuer+"/par", r.PostForm)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusCreated)
		io.WriteString(rw, pushed)
	})
	mux.HandleFunc("/authorize", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, w.Issuer+"/authorize?"+r.URL.RawQuery, http.StatusSeeOther)
	})
	mux.HandleFunc("POST /token", func(rw http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		select {
		case s.redemptions <- r.PostForm:
		default:
		}
		http.Error(rw, "later", http.StatusServiceUnavailable)
	})
	return mux
}

// injectCode obtains a code for the attacker's account and sends the user's
// browser to the client with it.
func injectCode(ctx context.Context, a *Adversary) error {
	request, err := a.Begin(ctx, a.World.Issuer)
	if err != nil {
		return err
	}
	callback, err := a.Step(ctx, request)
	if err != nil {
		return err
	}
	return a.Lure(ctx, callback)
}

// swapBrowsers sends the user to the authorization server with the request of
// the attacker's browser, and expects to be logged in afterwards.
func swapBrowsers(ctx context.Context, a *Adversary) error {
	request, err := a.Begin(ctx, a.World.Issuer)
	if err != nil {
		return err
	}
	stopped := a.Lure(ctx, request)
	_, err = a.Step(ctx, a.World.ClientURL+"/me")
	return errors.Join(stopped, err)
}

// reuseRequest reads the user's authorization request after the login, logs in
// with it as the attacker, and sends the user's browser to the client with the
// result.
func reuseRequest(ctx context.Context, a *Adversary) error {
	if err := a.UserLogsIn(ctx, a.World.Issuer); err != nil {
		return err
	}
	requests, err := a.AuthorizationRequests()
	if err != nil {
		return err
	}
	callback, err := a.Step(ctx, requests[0])
	if err != nil {
		return err
	}
	return a.Lure(ctx, callback)
}

// overtakeRequest reads the user's authorization request before the user has
// approved, approves it as the attacker, and sends the user's browser to the
// client with the result. State, iss, nonce and the PKCE challenge are those of
// the user's login. The client therefore cannot recognize the other browser.
func overtakeRequest(ctx context.Context, a *Adversary) error {
	if err := a.UserHesitates(ctx); err != nil {
		return err
	}
	requests, err := a.AuthorizationRequests()
	if err != nil {
		return err
	}
	callback, err := a.Step(ctx, requests[0])
	if err != nil {
		return err
	}
	return a.Lure(ctx, callback)
}

// stealToken reads a request of the client to the API, and uses its token with
// a key of the attacker.
func stealToken(ctx context.Context, a *Adversary) error {
	seen, err := resourceRequest(ctx, a)
	if err != nil {
		return err
	}
	prover, err := newProver()
	if err != nil {
		return err
	}
	_, token, _ := strings.Cut(seen.Header.Get("Authorization"), " ")
	return readAccounts(ctx, a, prover, token)
}

// replayProof sends a request of the client to the API again, with its token
// and its proof.
func replayProof(ctx context.Context, a *Adversary) error {
	seen, err := resourceRequest(ctx, a)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, seen.Method, a.World.APIURL+seen.URL.Path, nil)
	if err != nil {
		return err
	}
	r.Header = seen.Header
	_, err = a.Send(r)
	return err
}

// resourceRequest waits until the user reads the accounts, and returns the
// request to the API.
func resourceRequest(ctx context.Context, a *Adversary) (*http.Request, error) {
	if err := errors.Join(a.UserLogsIn(ctx, a.World.Issuer), a.UserReads(ctx)); err != nil {
		return nil, err
	}
	requests, err := a.ResourceRequests()
	if err != nil {
		return nil, err
	}
	return requests[0], nil
}

// readAccounts calls the API with an access token and a proof.
func readAccounts(ctx context.Context, a *Adversary, prover *dpop.Prover, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.World.APIURL+"/accounts", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "DPoP "+token)
	if err := prove(prover, r, token); err != nil {
		return err
	}
	_, err = a.Send(r)
	return err
}

// newProver returns a prover with a new key of the attacker.
func newProver() (*dpop.Prover, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return dpop.NewProver(dpop.ProverConfig{Key: key})
}

// prove adds a proof to a request.
func prove(prover *dpop.Prover, r *http.Request, token string) error {
	proof, err := prover.Proof(r.Method, r.URL.String(), dpop.ProofOptions{AccessToken: token})
	if err != nil {
		return err
	}
	r.Header.Set("DPoP", proof)
	return nil
}
