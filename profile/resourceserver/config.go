package resourceserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A Config configures [New]. Most APIs set Resource and Issuers. All functions
// are called concurrently.
type Config struct {
	// Resource is the resource identifier of the API (RFC 8707), which a token
	// must have as audience. Required.
	Resource string
	// Issuers are the authorization servers whose tokens are accepted.
	// Required.
	Issuers []Issuer

	// BaseURLs are the external https URLs of the API as clients see them. The
	// path of a request is appended, and a proof must name one of the results.
	// Behind a proxy or http.StripPrefix, the removed prefix belongs here. The
	// default is scheme and host of Resource. Headers of a request are ignored.
	BaseURLs []string
	// URLs returns the external URLs of a request, in place of BaseURLs: see
	// [dpop.VerifierConfig].
	URLs func(r *http.Request) ([]*url.URL, error)

	// AuthorizationDetails are the types of authorization details (RFC 9396)
	// that the API acts on: see [Token.Details] and [Server.Allows]. If nil,
	// the API uses scopes only.
	AuthorizationDetails *rar.Registry

	// Certificates returns the certificate of a client. If nil, the API does
	// not accept certificate-bound tokens (RFC 8705 §3).
	// new(tokenbinding.CertificateSource) reads it from the TLS connection. The
	// TLS server must request a certificate, for example with
	// tls.RequestClientCert, and need not verify it.
	Certificates *tokenbinding.CertificateSource

	// RequireCertificate requires a certificate with each request, even if the
	// token is not bound to one. Any certificate that Certificates returns is
	// accepted, so TLS or the proxy decides which ones exist. It requires
	// Certificates. If false, only certificate-bound tokens require one.
	RequireCertificate bool

	// FutureSkew is how far ahead the times of a JWT access token or a proof
	// may lie. The clock of the API may be behind. The default is 30 seconds,
	// the minimum 10 seconds, the maximum 1 minute. Expiry has no leeway,
	// because a token must not outlive the time that its issuer set. An
	// introspection client has its own setting.
	FutureSkew time.Duration

	// Replay remembers used proofs. If nil, they are kept in memory, which
	// suits an API of one process.
	Replay dpop.ReplayStore
	// SeveralInstances declares that several processes serve the API. New then
	// rejects what only one process can use: a nil or memory Replay, and Nonces
	// with a random key. It does not recognize a memory store that is wrapped
	// in another type.
	SeveralInstances bool
	// Nonces requires a recent nonce in each proof. If nil, nonces are not
	// required.
	Nonces *dpop.NonceSource

	// Realm is the parameter realm of challenges. If empty, there is no such
	// parameter.
	Realm string
	// ResourceMetadata is the URL of the API's metadata, for challenges (RFC
	// 9728 §5.1). If empty, there is no such parameter.
	ResourceMetadata string

	// InteractionIDs is the treatment of x-fapi-interaction-id, by which both
	// sides find a request in their logs, at every entry point except
	// [Server.Verify]. With "echo" the response has the ID of the request.
	// "make" also makes an ID for a request without one, which the handler
	// finds in the header of its request. "require" also rejects such a
	// request. An ID is a UUID, and any other value is ignored. The default is
	// "echo".
	InteractionIDs string

	// Hooks follow what the resource server does.
	Hooks Hooks
}

// Hooks are functions of a host that follow what a resource server does. The
// zero value has none. They may be called concurrently.
type Hooks struct {
	// Evidence receives the signed introspection response for each request that
	// passes all checks. A cached response comes again. If Evidence returns an
	// error, the request is rejected. If nil, nothing is recorded.
	Evidence func(ctx context.Context, e profile.Evidence) error

	// Observe receives one event for each request, with the endpoint
	// "resource", when the result of [Server.Verify] is known. Issuer and
	// ClientID are empty for a token that was rejected. Every entry point calls
	// Verify. A later rejection, for example by [Token.CheckDetails], is not
	// observed. If nil, nothing is observed.
	Observe func(ctx context.Context, e profile.Event)
	// Logger logs each rejection with method, path, status, error, reason and
	// detail. The error is the code that the client receives. The reason is the
	// text of one of this module's errors, from a fixed set. No attribute
	// contains a secret. If nil, nothing is logged.
	Logger *slog.Logger
	// Now is the clock. If nil, time.Now is used.
	Now func() time.Time
}

// setDefaults copies what the caller may change later and sets defaults.
func (cfg *Config) setDefaults() {
	cfg.Issuers = slices.Clone(cfg.Issuers)
	cfg.BaseURLs = slices.Clone(cfg.BaseURLs)
	if cfg.BaseURLs == nil && cfg.URLs == nil && syntax.IsResource(cfg.Resource) {
		cfg.BaseURLs = []string{syntax.Origin(cfg.Resource)}
	}
	if cfg.Hooks.Logger == nil {
		cfg.Hooks.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Hooks.Now == nil {
		cfg.Hooks.Now = time.Now
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = wire.FutureSkew
	}
}

// check returns every problem that no other package finds.
func (cfg *Config) check() (problems []error) {
	if cfg.Resource == "" {
		problems = append(problems, errors.New("missing Resource"))
	} else if !syntax.IsResource(cfg.Resource) {
		problems = append(problems, fmt.Errorf("malformed Resource %q, want a URI without fragment", cfg.Resource))
	}
	// SP-5.2.1-1: tokens are sent over TLS only. No proof would match another
	// URL, either.
	for _, base := range cfg.BaseURLs {
		if problem := syntax.HTTPSProblem(base); problem != "" {
			problems = append(problems, fmt.Errorf("BaseURLs: %q %s", base, problem))
		}
	}
	if cfg.RequireCertificate && cfg.Certificates == nil {
		problems = append(problems, errors.New("RequireCertificate without Certificates"))
	}
	if problem := wire.InteractionIDsProblem(cfg.InteractionIDs); problem != "" {
		problems = append(problems, errors.New(problem))
	}
	if cfg.SeveralInstances {
		for _, problem := range []string{wire.Unshared("Replay", cfg.Replay), wire.UnsharedNonces(cfg.Nonces)} {
			if problem != "" {
				problems = append(problems, errors.New(problem))
			}
		}
	}
	if len(cfg.Issuers) == 0 {
		problems = append(problems, errors.New("missing Issuers"))
	}
	for i := range cfg.Issuers {
		same := func(other Issuer) bool { return other.ID == cfg.Issuers[i].ID }
		if slices.ContainsFunc(cfg.Issuers[:i], same) {
			problems = append(problems, fmt.Errorf("Issuers[%d]: repeated ID %q", i, cfg.Issuers[i].ID))
		}
	}
	return problems
}
