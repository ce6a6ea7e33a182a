package resourceserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A Config configures [New].
type Config struct {
	// Resource is this API's resource identifier (RFC 8707): what has to stand in a token's audience. Required.
	Resource string
	// BaseURLs are the external https URLs of the API as clients see them. The
	// path of a request is appended, and a proof must name one of the results.
	// Behind a proxy or http.StripPrefix, the removed prefix belongs here. The
	// default is scheme and host of Resource. Headers of a request are ignored.
	BaseURLs []string
	// URLs returns the external URLs of a request, in place of BaseURLs. See
	// dpop.VerifierConfig.
	URLs func(r *http.Request) ([]*url.URL, error)
	// Issuer is the authorization server whose tokens are accepted. Required.
	Issuer string
	// Keys are that server's signing keys: a [jwks.Remote]'s Keys, say. Required for JWT access tokens.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Introspection asks the server about each token in place of verifying it here: for tokens that are no JWTs, or that have
	// to end at once when they are revoked. Its Audience has to have Resource in it. Exclusive with Keys and Revoked.
	Introspection *introspection.Client
	// Tokens returns the claims of an active access token, for a host with tokens
	// of its own. It is exclusive with Keys, Revoked and Introspection. The
	// resource server checks expiry, audience, binding and scopes of the claims.
	// For a token that is not active, Tokens returns an error that matches an
	// invalid_token error of package accesstoken, for example ErrRevoked. Any
	// other error is a server error.
	Tokens func(ctx context.Context, token string) (Claims, error)
	// Revoked reports whether a token with this ID was revoked, see
	// [RevokedIn]. It is called for each request. If it returns an error, the
	// request is rejected. If nil, a token is valid until it expires, so its
	// lifetime should be short.
	Revoked func(ctx context.Context, tokenID string) (bool, error)

	// AuthorizationDetails are the types of authorization details (RFC 9396) that this API acts on: see [Token.Details] and
	// [Server.Allows]. nil: it looks at scopes only.
	AuthorizationDetails *rar.Registry

	// Certificates finds the certificate that a client has presented, and has the API take certificate-bound tokens (RFC
	// 8705 §3) beside those bound to a DPoP key. nil: it does not. new(tokenbinding.CertificateSource) believes the TLS
	// connection, whose server has to ask for a certificate, by ClientAuth: tls.RequestClientCert. It need not verify one.
	Certificates *tokenbinding.CertificateSource

	// FutureSkew is how far ahead "iat" and "nbf" of a JWT access token and "iat"
	// of a proof may lie, because the API's clock may be behind. The default is 30
	// seconds, the minimum 10 seconds, the maximum 1 minute. Expiry has no leeway,
	// because a token must not outlive the time that its issuer set. The
	// Introspection client has its own setting for introspection responses.
	FutureSkew time.Duration

	Proofs dpop.ReplayStore  // nil: in memory, for an API of one process
	Nonces *dpop.NonceSource // nil: no nonces are asked for
	// Realm and ResourceMetadata go into challenges when they are set (RFC 9728 §5.1).
	Realm, ResourceMetadata string

	// Evidence is handed the signed introspection response for each request that is let through, before it takes effect; an
	// error stops that. One that is used again comes again. nil: nobody wants them.
	// Called concurrently.
	Evidence func(ctx context.Context, e profile.Evidence) error

	// Logger is told of each refusal: method, path, status, error (the code that the peer is told), reason (the text of one of
	// this module's errors, from a fixed set) and detail, none of which has a secret in it. nil: silent.
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// A Server guards an API: it lets a request pass whose access token is valid, meant for this API and bound to the
// key that has signed the request's proof. It is safe for concurrent use.
type Server struct {
	cfg    Config
	tokens *accesstoken.Verifier
	proofs *dpop.Verifier

	challenge tokenbinding.Challenge
}

// New checks and copies cfg. The error lists everything that is wrong with it.
func New(cfg Config) (*Server, error) {
	if cfg.BaseURLs = slices.Clone(cfg.BaseURLs); cfg.BaseURLs == nil && cfg.URLs == nil {
		cfg.BaseURLs = []string{syntax.Origin(cfg.Resource)}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = wire.FutureSkew
	}
	errs := []error{cfg.check()}
	s := &Server{cfg: cfg}
	var err error
	if cfg.Introspection == nil && cfg.Tokens == nil {
		s.tokens, err = accesstoken.NewVerifier(accesstoken.VerifierConfig{
			Issuer: cfg.Issuer, Audience: []string{cfg.Resource}, Keys: cfg.Keys, Revoked: cfg.Revoked, FutureSkew: cfg.FutureSkew, Now: cfg.Now,
		})
		errs = append(errs, err)
	}
	s.proofs, err = dpop.NewVerifier(dpop.VerifierConfig{
		BaseURLs: cfg.BaseURLs, URLs: cfg.URLs, Replay: cfg.Proofs, Nonces: cfg.Nonces, FutureSkew: cfg.FutureSkew, Now: cfg.Now,
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("resourceserver: %w", err)
	}
	// PRM-5-1: for either scheme
	s.challenge = tokenbinding.Challenge{Algorithms: s.proofs.Algorithms(), Realm: s.cfg.Realm, ResourceMetadata: s.cfg.ResourceMetadata}
	if s.cfg.Certificates != nil { // DPOP-7.2-2
		s.challenge.Schemes = []tokenbinding.Scheme{tokenbinding.DPoP, tokenbinding.Bearer}
	}
	return s, nil
}

func (cfg *Config) check() error {
	errs := []error{profile.CheckIssuer(cfg.Issuer)}
	if !syntax.IsResource(cfg.Resource) {
		errs = append(errs, fmt.Errorf("Resource %q is no absolute URI without fragment", cfg.Resource))
	}
	// SP-5.2.1-1: tokens do not go about in the clear. A URL by which no client comes would make every proof wrong, too.
	for _, base := range cfg.BaseURLs {
		if problem := syntax.HTTPSProblem(base); problem != "" {
			errs = append(errs, fmt.Errorf("BaseURLs: %q %s", base, problem))
		}
	}
	if cfg.Tokens != nil && (cfg.Keys != nil || cfg.Revoked != nil || cfg.Introspection != nil) {
		errs = append(errs, errors.New("Tokens is exclusive with Keys, Revoked and Introspection"))
	}
	if cfg.Introspection != nil && (cfg.Keys != nil || cfg.Revoked != nil) {
		errs = append(errs, errors.New("Introspection is exclusive with Keys and Revoked"))
	}
	return errors.Join(errs...)
}

// Verify checks a request to the API in full: the token (SP-5.3.4-3), how it is presented (SP-5.3.4-1, SP-5.3.4-2), that it
// has all these scopes (SP-5.3.4-4), and the proof of possession with its replay check (SP-5.3.4-5). Nothing is recorded of
// a request that fails. Answer it with [Server.WriteError].
func (s *Server) Verify(r *http.Request, scopes ...string) (*Token, error) {
	ctx := r.Context()
	presented, err := tokenbinding.FromRequest(r) // CS-18: the scheme in whatever case
	if err != nil {
		return nil, err
	}
	token, err := s.read(ctx, presented.Token) // BCP-2.3-2: meant for this API
	if err != nil {
		return nil, err
	}
	// DPOP-7.2-1: before the proof, so that a bound token sent as Bearer is refused whatever else the request has.
	binding := tokenbinding.Confirmation{JKT: token.JKT(), X5TS256: token.X5TS256()}
	if err := binding.CheckScheme(presented.Scheme); err != nil {
		return nil, err
	}
	var proof dpop.Proof
	var proved tokenbinding.Proof
	// Both members of a cnf have to be met, if there are both: neither a certificate nor a proof makes up for the other.
	if proved.X5TS256, err = s.certificate(r, binding.X5TS256 != ""); err != nil {
		return nil, err
	}
	if binding.JKT != "" {
		// CS-16, DPOP-7.1-2: the proof's own checks. AM-5.2: with the next one, whoever has the token alone can do nothing.
		if proof, err = s.proofs.CheckToken(r, presented.Token, token.JKT()); err != nil {
			return nil, err
		}
		proved.JKT = proof.Thumbprint()
	}
	if err := binding.Check(presented.Scheme, proved); err != nil { // MTLS-3-3, DPOP-4.3-12b
		return nil, err
	}
	if err := token.CheckScope(scopes...); err != nil { // SP-5.3.4-4, BASE-6750-3.1-1
		return nil, err
	}
	if binding.JKT != "" {
		if err := s.proofs.Commit(expiring.WithOwner(ctx, token.ClientID()), proof); err != nil {
			return nil, err
		}
	}
	if err := s.archive(ctx, token); err != nil {
		return nil, err
	}
	return &Token{claims: token, now: s.cfg.Now, details: &tokenDetails{registry: s.cfg.AuthorizationDetails, resource: s.cfg.Resource}}, nil
}

// certificate returns the thumbprint of the certificate that a request comes with, empty if there is none.
func (s *Server) certificate(r *http.Request, needed bool) (thumbprint string, err error) {
	if s.cfg.Certificates == nil {
		if needed {
			err = fmt.Errorf("%w: this API takes no certificate-bound tokens", tokenbinding.ErrNoCertificate)
		}
		return "", err
	}
	// BCP-4.13-1: a forged header is refused even if the token needs no certificate.
	certificate, err := s.cfg.Certificates.Certificate(r)
	switch {
	case errors.Is(err, tokenbinding.ErrCertificate) && !needed:
		return "", nil
	case errors.Is(err, tokenbinding.ErrCertificate): // MTLS-3-3: as good as none
		err = oautherr.Describe(fmt.Errorf("%w: %w", tokenbinding.ErrNoCertificate, err), "Client certificate is not valid")
	}
	return certificate.Thumbprint, err
}

// Handler lets only verified requests through to next, which finds the token with [TokenFromContext].
func (s *Server) Handler(next http.Handler) http.Handler { return s.Require(next) }

// Require is Handler for an API that needs scopes, all of them.
//
// A request's x-fapi-interaction-id comes back in the response, whatever becomes of it, if it is a UUID.
func (s *Server) Require(next http.Handler, scopes ...string) http.Handler {
	scopes = slices.Clone(scopes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := s.Verify(r, scopes...)
		if err != nil {
			s.WriteError(w, r, err, scopes...)
			return
		}
		echoInteractionID(w, r)
		s.proofs.SetNonce(w.Header()) // DPOP-8.2-1: clients learn the next nonce without an extra round trip
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
	})
}

// WriteError answers a request that was refused: status, WWW-Authenticate with the algorithms and, if they are given, the
// scopes that the API needs, and a nonce where nonces are in use (DPOP-9-1). err may be any error.
func (s *Server) WriteError(w http.ResponseWriter, r *http.Request, err error, scopes ...string) {
	wire.LogRejection(s.cfg.Logger, r, err)
	echoInteractionID(w, r)
	s.proofs.SetNonce(w.Header())
	wire.SetRetryAfter(w, err)
	challenge := s.challenge
	challenge.Parameters = stepUpParameters(err)
	challenge.Scope = strings.Join(scopes, " ")
	challenge.WriteError(w, r, err)
}

// echoInteractionID returns the identifier by which a client finds its request in both sides' logs. Only a UUID: nothing
// that a client makes up otherwise gets into our headers.
func echoInteractionID(w http.ResponseWriter, r *http.Request) {
	const name = "X-Fapi-Interaction-Id"
	if values := r.Header[name]; len(values) == 1 && isUUID(values[0]) {
		w.Header().Set(name, values[0])
	}
}

// isUUID says whether s has the form of a UUID (RFC 9562 §4).
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'):
			return false
		}
	}
	return true
}

type tokenKey struct{}

// TokenFromContext returns the token of a request that has passed [Server.Handler].
func TokenFromContext(ctx context.Context) (token *Token, ok bool) {
	token, ok = ctx.Value(tokenKey{}).(*Token)
	return token, ok
}
