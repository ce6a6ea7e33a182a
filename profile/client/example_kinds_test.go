package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/message"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// A job reads the rates of a bank every night. It acts for itself, so there is
// no user and no redirect URI. The source requests a new token when the old one
// expires.
func ExampleClient_ClientCredentialsSource() {
	var key crypto.Signer // the registered key, from a file, a KMS or an HSM

	job, err := client.New(context.Background(), client.Config{
		Issuer: "https://as.bank.example", ClientID: "nightly-job", Key: key, KeyID: "2026-11",
	})
	if err != nil {
		log.Fatal(err)
	}
	bank, err := job.HTTPClient(job.ClientCredentialsSource(client.Request{Scopes: []string{"rates"}}))
	if err != nil {
		log.Fatal(err)
	}
	response, err := bank.Get("https://api.bank.example/rates")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}

// The user of a mobile app connects a bank. The server of the app is the
// client: keys and tokens stay there. The app opens the URL in the browser of
// the phone or in the app of the bank, and passes the query of its universal
// link https://app.example/callback to its server.
func ExampleSessions_Seal() {
	var bank *client.Client
	var sessions *client.Sessions
	// device returns a secret that the app received at its own login.
	var device func(*http.Request) string
	var save func(device string, token *oauth2.Token)
	fail := func(w http.ResponseWriter, err error) {
		log.Print(err)
		http.Error(w, "the bank could not be connected", http.StatusBadGateway)
	}

	http.HandleFunc("POST /connect", func(w http.ResponseWriter, r *http.Request) {
		session, err := bank.Begin(r.Context(), client.Request{Scopes: []string{"accounts"}})
		if err != nil {
			fail(w, err)
			return
		}
		sealed, err := sessions.Seal(session, device(r)) // no other device can use it
		if err != nil {
			fail(w, err)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"url": session.URL, "session": sealed})
	})
	http.HandleFunc("POST /connected", func(w http.ResponseWriter, r *http.Request) {
		session, err := sessions.Open(r.Context(), r.PostFormValue("session"), device(r))
		if err != nil {
			fail(w, err)
			return
		}
		callback, err := url.ParseQuery(r.PostFormValue("query"))
		if err != nil {
			fail(w, err)
			return
		}
		token, err := bank.Finish(r.Context(), session, callback)
		if err != nil {
			fail(w, err)
			return
		}
		save(device(r), token)
	})
}

// A web application reads accounts at several banks, and one bank may be down.
// The user, who has an account at the application, chooses a bank with a form.
// All banks have the same redirect URI.
func ExampleSet() {
	var issuers []string // of the banks, from the configuration
	var key crypto.Signer
	var tokens *client.Tokens // for all banks
	var sessions *client.Sessions
	var account func(*http.Request) string // of the user, from the application's own session

	banks := &client.Set{
		Report: func(_ context.Context, issuer string, err error) { log.Print(issuer, ": ", err) },
	}
	for _, issuer := range issuers { // sends no request: a bank may be down
		err := banks.Put(client.Config{
			Issuer: issuer, ClientID: "my-app", RedirectURI: "https://app.example/callback",
			Key: key, KeyID: "2026-11", Tokens: tokens,
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	http.Handle("POST /connect", banks.LoginHandler(sessions, func(r *http.Request) (string, client.Request, error) {
		if account(r) == "" {
			return "", client.Request{}, errors.New("not logged in")
		}
		return r.PostFormValue("bank"), client.Request{Scopes: []string{"accounts"}, Keep: account(r)}, nil
	}))
	http.Handle("/callback", banks.CallbackHandler(sessions,
		func(w http.ResponseWriter, r *http.Request, session *client.Session, token *oauth2.Token) {
			bank, err := banks.Client(r.Context(), session.Issuer)
			if err == nil {
				err = bank.StoredToken(session.Keep).Save(r.Context(), token)
			}
			if err != nil {
				http.Error(w, "the bank could not be connected", http.StatusServiceUnavailable)
				return
			}
			http.Redirect(w, r, "/accounts", http.StatusSeeOther)
		}))
	http.HandleFunc("GET /accounts", func(w http.ResponseWriter, r *http.Request) {
		if account(r) == "" {
			http.Error(w, "please log in", http.StatusUnauthorized)
			return
		}
		for _, issuer := range banks.Issuers() {
			bank, err := banks.Client(r.Context(), issuer)
			if err != nil { // after a failure, it returns at once
				fmt.Fprintln(w, issuer, "is not available")
				continue
			}
			response, err := readAccounts(r.Context(), bank, account(r)) // see the example of Client
			if errors.Is(err, client.ErrReauthorize) {
				fmt.Fprintln(w, issuer, "is not connected")
				continue
			} else if err != nil {
				fmt.Fprintln(w, issuer, "does not respond")
				continue
			}
			io.Copy(w, response.Body)
			response.Body.Close()
		}
	})
}

// A developer makes the keys of a client and the document with which a bank
// registers it. The client decrypts UserInfo responses.
func Example_registration() {
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // Config.Key
	if err != nil {
		log.Fatal(err)
	}
	decryption, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // Config.OpenID
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwks.NewSet(
		jwks.Key{Public: signing.Public(), KeyID: "2026-11"},
		jwks.Key{Public: decryption.Public(), KeyID: "enc-2026-11", Use: "enc", Algorithm: "ECDH-ES"},
	)
	if err != nil {
		log.Fatal(err)
	}
	registration := profile.ClientMetadata{
		ClientID: "my-app", RedirectURIs: []string{"https://app.example/callback"}, Scope: "openid accounts",
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true, JWKS: keys,
		UserInfoSignedResponseAlg: "ES256", UserInfoEncryptedResponseAlg: "ECDH-ES", UserInfoEncryptedResponseEnc: "A256GCM",
	}
	if err := registration.Validate(); err != nil {
		log.Fatal(err)
	}
	document, err := json.Marshal(registration) // contains no private key
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(json.Valid(document))
	// Output: true
}

// A client that is registered for encrypted UserInfo responses requests the
// name of the user.
func ExampleClient_UserInfo() {
	var key crypto.Signer
	var decryption *ecdsa.PrivateKey // its public key is registered with the use enc
	var sessions *client.Sessions

	app, err := client.New(context.Background(), client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		Key: key, KeyID: "2026-11",
		OpenID: &client.OpenID{UserInfo: idtoken.UserInfoConfig{
			DecryptionKeys: []idtoken.DecryptionKey{{Key: decryption, KeyID: "enc-2026-11"}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("POST /login", app.LoginHandler(sessions, func(*http.Request) (client.Request, error) {
		return client.Request{
			Scopes: []string{"openid"},
			Params: url.Values{"claims": {`{"userinfo": {"name": {"essential": true}}}`}},
		}, nil
	}))
	http.Handle("/callback", app.CallbackHandler(sessions,
		func(w http.ResponseWriter, r *http.Request, _ *client.Session, token *oauth2.Token) {
			var user struct {
				Name string `json:"name"`
			}
			info, err := app.UserInfo(r.Context(), token)
			if err == nil {
				err = info.Claims(&user)
			}
			if err != nil {
				http.Error(w, "your name is not known", http.StatusBadGateway)
				return
			}
			fmt.Fprintln(w, "Hello,", user.Name)
		}))
}

// An ecosystem requires header fields in each request: a new
// x-fapi-interaction-id and, if the user is present, the address of the user.
func ExampleRequestConfig() {
	var key crypto.Signer
	var tokens *client.Tokens
	var account func(*http.Request) string
	type addressKey struct{}

	app, err := client.New(context.Background(), client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		Key: key, KeyID: "2026-11", Tokens: tokens,
		Requests: &client.RequestConfig{
			InteractionID: true,
			Header: func(ctx context.Context) http.Header {
				address, ok := ctx.Value(addressKey{}).(string)
				if !ok { // a job without a user
					return nil
				}
				h := http.Header{}
				h.Set("x-fapi-customer-ip-address", address)
				return h
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/accounts", func(w http.ResponseWriter, r *http.Request) {
		address, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			http.Error(w, "unknown address", http.StatusInternalServerError)
			return
		}
		ctx := context.WithValue(r.Context(), addressKey{}, address)
		response, err := readAccounts(ctx, app, account(r)) // see the example of Client
		if err != nil {
			http.Error(w, "no response from the bank", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		io.Copy(w, response.Body)
	})
}

// A client creates a consent at an API whose messages are signed. It acts for
// itself, because the user authorizes the consent afterwards.
func ExampleClient_HTTPClient() {
	const issuer, clientID, consents = "https://as.bank.example", "my-app", "https://api.bank.example/consents"
	var key crypto.Signer
	ctx := context.Background()

	app, err := client.New(ctx, client.Config{Issuer: issuer, ClientID: clientID, Key: key, KeyID: "2026-11"})
	if err != nil {
		log.Fatal(err)
	}
	bank, err := app.HTTPClient(app.ClientCredentialsSource(client.Request{Scopes: []string{"consents"}}))
	if err != nil {
		log.Fatal(err)
	}
	signer, err := message.NewSigner(message.SignerConfig{Issuer: clientID, Key: key, KeyID: "2026-11"})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: app.ServerMetadata().JWKSURI})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := message.NewVerifier(message.VerifierConfig{
		Issuer: issuer, Audience: []string{clientID}, Keys: keys.Keys,
	})
	if err != nil {
		log.Fatal(err)
	}

	signed, err := signer.Sign(consents, map[string]any{"permissions": []string{"ReadBalances"}})
	if err != nil {
		log.Fatal(err)
	}
	response, err := bank.Post(consents, message.MediaType, strings.NewReader(signed))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := message.ReadBody(response.Header, response.Body)
	if err != nil {
		log.Fatal(response.Status, ": ", err)
	}
	consent, err := verifier.Verify(ctx, body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(consent.Claim("consentId")))
}
