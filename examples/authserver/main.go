// Command authserver is an authorization server with a page for login and
// consent. FAPI 2.0 comes from package authserver; users and page are its own.
package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"html/template"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/sqlstore"
	_ "modernc.org/sqlite" // the driver sqlite
)

const iterations, maxFailures, lock = 600_000, 5, 15 * time.Minute

func main() {
	issuer := flag.String("issuer", "https://as.example", "`URL` of this server, as clients see it")
	resource := flag.String("resource", "https://api.example", "`URL` of the API that tokens are for")
	listen := flag.String("listen", ":8443", "`address` of the socket")
	add := flag.String("hash", "", "print the entry of a `user` whose password is read")
	flag.Parse()
	if *add != "" {
		json.NewEncoder(os.Stdout).Encode(map[string]*user{*add: newUser(must(io.ReadAll(os.Stdin)), iterations)})
		return
	}
	db := must(sql.Open("sqlite", "file:as.db?_pragma=busy_timeout(5000)"))
	handler := must(newServer(config{
		issuer: *issuer, resource: *resource, key: must(os.ReadFile("as.jwk")),
		clients: must(os.ReadFile("clients.json")), users: must(os.ReadFile("users.json")),
		store: must(sqlstore.Open(context.Background(), sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})),
	}))
	server := &http.Server{
		Addr: *listen, Handler: handler, TLSConfig: profile.TLSConfig(),
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServeTLS("as.crt", "as.key"))
}

// A config has the contents of the files.
type config struct {
	issuer, resource    string
	key, clients, users []byte
	store               store.Store
}

// A server adds users to the authorization server.
type server struct {
	*authserver.Server
	users map[string]*user
}

// A user can log in. The hash is that of the password.
type user struct {
	Salt, Hash []byte
	Iterations int // of PBKDF2
	mu         sync.Mutex
	failures   int
	locked     time.Time // until then
}

func newUser(password []byte, iterations int) *user {
	salt := make([]byte, 16)
	rand.Read(salt)
	hash := must(pbkdf2.Key(sha256.New, string(password), salt, iterations, sha256.Size))
	return &user{Salt: salt, Hash: hash, Iterations: iterations}
}

func newServer(cfg config) (http.Handler, error) {
	s := &server{}
	var clients []profile.ClientMetadata
	key, public, err := jwks.ParsePrivateKey(cfg.key)
	err = errors.Join(err, json.Unmarshal(cfg.clients, &clients), json.Unmarshal(cfg.users, &s.users))
	for i := range clients {
		err = errors.Join(err, clients[i].Validate())
	}
	if err != nil {
		return nil, err
	}
	s.Server, err = authserver.New(authserver.Config{
		Issuer: cfg.issuer, Resources: []string{cfg.resource}, Scopes: []string{"openid", "accounts"},
		Keys: []profile.SigningKey{{Key: key, KeyID: public.KeyID}}, Store: cfg.store, Interact: s.interact,
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) {
			for i := range clients {
				if clients[i].ClientID == id {
					return &clients[i], nil
				}
			}
			return nil, clientauth.ErrUnknownClient
		},
	})
	if err != nil {
		return nil, err
	}
	return s.Handler(), nil
}

var page = template.Must(template.New("").Parse(`<!DOCTYPE html><html lang="en"><title>Log in</title>
<h1>{{or .Client.ClientName .Client.ClientID}} asks for access</h1><p role="alert">{{.Problem}}</p>
<form method="post">
{{range .Choices}}<label><input type="checkbox" name="scope" value="{{.}}" checked> {{.}}</label>{{end}}
<label>User <input name="user" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Deny</button>
</form></html>`))

// interact logs the user in and asks for consent. The form has the password, so
// there is no session that another site could use.
func (s *server) interact(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	name, decision, problem := r.PostFormValue("user"), r.PostFormValue("decision"), ""
	var response *authserver.AuthorizationResponse
	var err error
	switch {
	case decision == "deny":
		response, err = s.Deny(r.Context(), a, "access_denied", "")
	case decision == "allow" && s.users[name].login(r.PostFormValue("password"), time.Now()):
		response, err = s.Approve(r.Context(), a, authserver.Approval{
			Subject: name, Scopes: a.ScopesFor(r.PostForm["scope"], nil), AuthTime: time.Now(), AMR: []string{"pwd"},
		})
	case decision == "allow":
		problem = "User and password do not match, or there were too many attempts."
		fallthrough
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		page.Execute(w, map[string]any{"Client": a.Client(), "Choices": a.Choices(), "Problem": problem})
		return
	}
	if err != nil {
		s.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// login reports whether a password is that of the user. An unknown user is nil.
// Unknown and locked users take as long, so that the time does not tell whether
// a user exists.
func (u *user) login(password string, now time.Time) bool {
	if u == nil {
		u = &user{Iterations: iterations}
	}
	hash, err := pbkdf2.Key(sha256.New, password, u.Salt, u.Iterations, sha256.Size)
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Before(u.locked) {
		return false
	}
	if err == nil && subtle.ConstantTimeCompare(hash, u.Hash) == 1 {
		u.failures = 0
		return true
	}
	if u.failures++; u.failures >= maxFailures {
		u.failures, u.locked = 0, now.Add(lock)
	}
	return false
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
