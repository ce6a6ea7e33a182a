package conformance

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile"
)

// ServerConfig configures [Server] and [CheckServer]. Issuer, ClientID, Key and
// RedirectURI are required.
type ServerConfig struct {
	// Issuer is the issuer identifier of the tested server.
	Issuer string
	// ClientID is a client that is registered for the test. It authenticates by
	// private_key_jwt, has DPoP-bound tokens and the grant type
	// authorization_code.
	ClientID string
	// Key signs the client assertions: P-256, Ed25519, or RSA of at least 2048
	// bits.
	Key crypto.Signer
	// KeyID is the kid of Key. If empty, the assertions have none.
	KeyID string
	// RedirectURI is registered for the client.
	RedirectURI string
	// Scope is the requested scope. If empty, requests have no scope.
	Scope string
	// Approve is the user. It opens an authorization URL, logs in, approves,
	// and returns the redirect URI with the authorization response. It must
	// return when ctx ends. If nil, the cases that require it are skipped.
	Approve func(ctx context.Context, authorizationURL string) (callback *url.URL, err error)

	// RootCAs verify the certificate of the server. If nil, the roots of the
	// operating system are used.
	RootCAs *x509.CertPool
	// Remote permits addresses that are not loopback. Set it only for a server
	// that you may test.
	Remote bool
	// Interval is the shortest time between two requests. The default is 20
	// milliseconds.
	Interval time.Duration
	// MaxRequests is the maximum number of requests. The default is 500.
	MaxRequests int
	// Timeout is the maximum duration of a request. The default is 10 seconds.
	Timeout time.Duration
	// ApproveTimeout is the maximum duration of Approve. The default is 2
	// minutes.
	ApproveTimeout time.Duration
}

// validate reports all problems and sets the defaults.
func (cfg *ServerConfig) validate() error {
	var problems []error
	if err := profile.CheckIssuer(cfg.Issuer); err != nil {
		problems = append(problems, err)
	}
	if cfg.ClientID == "" {
		problems = append(problems, errors.New("missing ClientID"))
	}
	if u, err := url.Parse(cfg.RedirectURI); err != nil || !u.IsAbs() {
		problems = append(problems, errors.New("missing or malformed RedirectURI"))
	}
	if cfg.Key == nil {
		problems = append(problems, errors.New("missing Key"))
	} else if _, err := algorithmOf(cfg.Key); err != nil {
		problems = append(problems, err)
	}
	if cfg.Interval < 0 || cfg.MaxRequests < 0 || cfg.Timeout < 0 || cfg.ApproveTimeout < 0 {
		problems = append(problems, errors.New("negative Interval, MaxRequests, Timeout or ApproveTimeout"))
	}
	cfg.Interval = cmp.Or(cfg.Interval, 20*time.Millisecond)
	cfg.MaxRequests = cmp.Or(cfg.MaxRequests, 500)
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.ApproveTimeout = cmp.Or(cfg.ApproveTimeout, 2*time.Minute)
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("conformance: invalid configuration: %w", err)
	}
	return nil
}

// Server tests an authorization server. Each case is a subtest with the name
// of its ID. A failed case fails, a warning is logged, and a skipped case is
// skipped with its reason.
func Server(t *testing.T, cfg ServerConfig) {
	t.Helper()
	p, err := newProber(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range serverCases() {
		t.Run(c.ID, func(t *testing.T) {
			switch r := p.result(t.Context(), c.ID); r.Outcome {
			case Fail:
				t.Error(r)
			case Warn:
				t.Log(r)
			case Skip:
				t.Skip(r)
			}
		})
	}
}

// CheckServer runs all cases and returns their results. The error is about the
// configuration. An unreachable server is a failed case, and the cases that
// depend on it are skipped.
func CheckServer(ctx context.Context, cfg ServerConfig) (*Report, error) {
	p, err := newProber(cfg)
	if err != nil {
		return nil, err
	}
	report := &Report{Issuer: cfg.Issuer}
	for _, c := range serverCases() {
		report.Results = append(report.Results, p.result(ctx, c.ID))
	}
	report.Requests = p.wire.sent
	return report, nil
}

// ServerCases returns the cases of [Server] in the order in which they run.
func ServerCases() []Case {
	var list []Case
	for _, c := range serverCases() {
		list = append(list, c.Case)
	}
	return list
}

// A serverCase is a case with its procedure.
type serverCase struct {
	Case
	needs string // the ID of the case that must pass before
	run   func(ctx context.Context, p *prober, r *Result) error
}

func serverCases() []serverCase {
	return slices.Concat(metadataCases(), keyCases(), pushCases(), assertionCases(), tokenCases(), proofCases())
}
