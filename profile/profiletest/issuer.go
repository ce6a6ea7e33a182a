package profiletest

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
)

const (
	testUser     = "alice"
	testClient   = "app"
	testIssuer   = "https://as.example"
	testResource = "https://api.example"
)

// IssuerConfig configures [NewIssuer]. The zero value is valid.
type IssuerConfig struct {
	// ID is the issuer identifier. The default is "https://as.example".
	ID string
	// Types are the authorization details that [Issuer.WithToken] reads. If
	// nil, its tokens have none.
	Types *rar.Registry
	// Now is the clock. If nil, time.Now is used.
	Now func() time.Time
}

// An Issuer issues access tokens to one client, which it also is: it has the
// key of the client's proofs. Two Issuers have different keys, even if their
// identifiers are equal. An Issuer is safe for concurrent use.
type Issuer struct {
	cfg    IssuerConfig
	key    crypto.Signer
	keys   *jwks.Set
	tokens *accesstoken.Issuer
	prover *dpop.Prover
}

// NewIssuer returns an issuer with new keys.
func NewIssuer(t testing.TB, cfg IssuerConfig) *Issuer {
	t.Helper()
	cfg.ID = cmp.Or(cfg.ID, testIssuer)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	err := profile.CheckIssuer(cfg.ID)
	fatal(t, "NewIssuer", err)
	i := &Issuer{cfg: cfg, key: newKey(t)}
	i.keys, err = jwks.NewSet(jwks.Key{Public: i.key.Public()})
	fatal(t, "NewIssuer", err)
	i.tokens, err = accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: cfg.ID, Key: i.key, Now: cfg.Now})
	fatal(t, "NewIssuer", err)
	i.prover, err = dpop.NewProver(dpop.ProverConfig{Key: newKey(t), Now: cfg.Now})
	fatal(t, "NewIssuer", err)
	return i
}

// ID returns the issuer identifier, for [resourceserver.Issuer].
func (i *Issuer) ID() string { return i.cfg.ID }

// Keys returns the public keys of the issuer, for [resourceserver.Issuer].
func (i *Issuer) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	return i.keys.Keys(ctx, kid, alg)
}

// SetToken adds a new access token and a proof to a request. The request can be
// one of httptest.NewRequest for a handler, or one that an http.Client will
// send. The proof names the URL of the request with the scheme https. A request
// can be sent once, because an API rejects a repeated proof.
//
// The default Subject is "alice", and the default ClientID is "app". The
// default Audience is scheme and host of the request. An API whose Resource has
// a path needs its own Audience. The default JKT is the key of the issuer's
// proofs. With another JKT, the API must reject the request.
func (i *Issuer) SetToken(t testing.TB, r *http.Request, claims accesstoken.Claims) {
	t.Helper()
	target := *r.URL
	target.Scheme, target.Host = "https", cmp.Or(target.Host, r.Host)
	if target.Host == "" {
		t.Fatalf("profiletest: SetToken: request URL %q without host", r.URL)
	}
	if len(claims.Audience) == 0 {
		claims.Audience = []string{"https://" + target.Host}
	}
	claims.Subject = cmp.Or(claims.Subject, testUser)
	claims.ClientID = cmp.Or(claims.ClientID, testClient)
	claims.JKT = cmp.Or(claims.JKT, i.prover.Thumbprint())
	token, err := i.tokens.Issue(claims)
	fatal(t, "SetToken", err)
	proof, err := i.prover.Proof(r.Method, target.String(), dpop.ProofOptions{AccessToken: token})
	fatal(t, "SetToken", err)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
}

// WithToken returns a context with a verified access token, which
// [resourceserver.TokenFromContext] returns. The defaults of claims are those
// of [Issuer.SetToken], and the audience "https://api.example".
func (i *Issuer) WithToken(t testing.TB, ctx context.Context, claims accesstoken.Claims) context.Context {
	t.Helper()
	if len(claims.Audience) == 0 {
		claims.Audience = []string{testResource}
	}
	api, err := resourceserver.New(resourceserver.Config{
		Resource: claims.Audience[0], BaseURLs: []string{testResource}, AuthorizationDetails: i.cfg.Types,
		Issuers: []resourceserver.Issuer{{ID: i.cfg.ID, Keys: i.Keys}}, Hooks: resourceserver.Hooks{Now: i.cfg.Now},
	})
	fatal(t, "WithToken", err)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, testResource+"/", nil)
	fatal(t, "WithToken", err)
	i.SetToken(t, r, claims)
	token, err := api.Verify(r)
	fatal(t, "WithToken", err)
	if i.cfg.Types != nil || claims.AuthorizationDetails != nil {
		_, err = token.Details()
		fatal(t, "WithToken", err)
	}
	return resourceserver.ContextWithToken(ctx, token)
}

// WithToken returns a context with a verified access token of a new [Issuer]:
// see [Issuer.WithToken]. It is enough for handlers that use neither
// authorization details nor a clock.
func WithToken(t testing.TB, ctx context.Context, claims accesstoken.Claims) context.Context {
	t.Helper()
	return NewIssuer(t, IssuerConfig{}).WithToken(t, ctx, claims)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, "NewIssuer", err)
	return key
}

// fatal ends the test if a function of the package has failed.
func fatal(t testing.TB, function string, err error) {
	if t.Helper(); err != nil {
		t.Fatalf("profiletest: %s: %v", function, err)
	}
}
