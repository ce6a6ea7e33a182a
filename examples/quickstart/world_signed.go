package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

// demands returns the profile of the combination.
func (w *world) demands() profile.Profile {
	return either(w.advanced(), profile.Advanced, profile.Baseline)
}

// settleAPI creates the API. Under Baseline it verifies tokens itself, under
// Advanced it introspects them.
func (w *world) settleAPI() (http.Handler, error) {
	client := w.httpClient("API", either(w.byJWT(), nil, w.apiClient.certificate))
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: w.bank.Metadata().JWKSURI, HTTPClient: client, Now: w.clock.Now})
	if err != nil {
		return nil, err
	}
	cfg := apiConfig{resource: w.apiURL, issuer: w.asURL, evidence: w.archives.api.keep, now: w.clock.Now}
	if !w.advanced() {
		cfg.keys, cfg.revoked = keys.Keys, w.bank.Revoked
		return newAPI(cfg)
	}
	asking := askerConfig{
		resource: w.apiURL, clientID: w.apiClient.id, issuer: w.asURL, endpoint: w.introspectionEndpoint(),
		keys: keys.Keys, now: w.clock.Now,
	}
	if w.byJWT() {
		assertions, err := w.assertions(w.apiClient, nil)
		if err != nil {
			return nil, err
		}
		asking.authenticate = assertions.Authenticate
	}
	w.meddler.next = client.Transport
	client.Transport = &w.meddler
	asking.httpClient = client
	if cfg.introspection, err = newAsker(asking); err != nil {
		return nil, err
	}
	return newAPI(cfg)
}

// introspectionEndpoint returns the URL for introspection. With mutual TLS it
// is the URL at which the API can present its certificate.
func (w *world) introspectionEndpoint() string {
	m := w.bank.Metadata()
	return either(w.byJWT(), m, m.ForMTLS()).IntrospectionEndpoint
}

// A meddler changes a response between the authorization server and the API.
// TLS prevents this on the network. The signature has to prove a response also
// to a party that was not at the connection.
type meddler struct {
	next   http.RoundTripper
	mu     sync.Mutex
	change meddling // changes the next response; may be nil
}

// A meddling changes a response.
type meddling func(body string) (mediaType, changed string, err error)

func (m *meddler) meddle(change meddling) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change = change
}

// RoundTrip implements http.RoundTripper.
func (m *meddler) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := m.next.RoundTrip(r)
	m.mu.Lock()
	change := m.change
	m.change = nil
	m.mu.Unlock()
	if err != nil || change == nil {
		return response, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, err
	}
	mediaType, changed, err := change(string(body))
	if err != nil {
		return nil, err
	}
	response.Header.Set("Content-Type", mediaType)
	response.Header.Set("Content-Length", fmt.Sprint(len(changed)))
	response.Body, response.ContentLength = io.NopCloser(bytes.NewBufferString(changed)), int64(len(changed))
	return response, nil
}

// opened returns the parameters of an authorization response. Under Advanced
// they are inside a JWT.
func (w *world) opened(response url.Values) (url.Values, error) {
	if !w.advanced() {
		return response, nil
	}
	if response.Has("code") || response.Has("state") || response.Has("iss") || response.Has("error") {
		return nil, errors.New("a parameter outside of the signed response") // MS-5.4.1-N
	}
	_, claims, err := unseal(response.Get("response"))
	said := url.Values{}
	for name, value := range claims {
		said.Set(name, fmt.Sprint(value))
	}
	return said, err
}

// answerIn returns the parameters of the authorization response in a URL.
func (w *world) answerIn(target string) (url.Values, error) {
	query, err := queryOf(target)
	if err != nil {
		return nil, err
	}
	return w.opened(query)
}

// answerWithMore continues with a URL that an attacker has extended. The
// following step shows that the addition has no effect.
func answerWithMore(_ context.Context, f *flow) error {
	f.answerURL += "&" + url.Values{"code": {"of the attacker"}, "state": {"of the attacker"},
		"error": {"access_denied"}}.Encode()
	return nil
}

// askForPlain sends an introspection request for plain JSON, as an attacker who
// can change the request would do.
func askForPlain(ctx context.Context, f *flow) error {
	p, err := f.newQuestion(f.apiClient, f.token.AccessToken)
	if err != nil {
		return err
	}
	p.party, p.header = "API", http.Header{"Accept": {"application/json"}}
	a, err := succeed(ctx, p)
	if err != nil {
		return err
	}
	header, claims, err := unseal(string(a.body))
	if err != nil {
		return err
	}
	said, _ := claims["token_introspection"].(object)
	if header["typ"] != "token-introspection+jwt" || claims["aud"] != f.apiClient.id || said["active"] != true {
		return errors.New("the answer is not one to the API about an active token")
	}
	return nil
}

// compareArchives compares the archives. Each message that a party has accepted
// was issued by another, and its signature proves that.
func compareArchives(_ context.Context, f *flow) error {
	app, bank, api := &f.archives.app, &f.archives.bank, &f.archives.api
	for _, m := range []struct {
		kind             string
		issuer, receiver string
		issued, received *archive
		key              *ecdsa.PrivateKey
	}{
		{"request object", "client", "AS", app, bank, f.ours.auth},
		{"authorization response", "AS", "client", bank, app, f.bankKey},
		{"introspection response", "AS", "API", bank, api, f.bankKey},
	} {
		issued, accepted := m.issued.of(m.kind, true), m.received.of(m.kind, false)
		if len(accepted) < 2 || len(issued) < len(accepted) {
			return fmt.Errorf("%s: %d at the %s, %d at the %s", m.kind, len(issued), m.issuer, len(accepted),
				m.receiver)
		}
		for _, e := range accepted {
			same := slices.IndexFunc(issued, func(other profile.Evidence) bool { return other.JWT == e.JWT })
			if same < 0 || e.Key != nil && !m.key.PublicKey.Equal(e.Key) || !m.key.PublicKey.Equal(issued[same].Key) ||
				!verifiesES256(e.JWT, &m.key.PublicKey) {
				return fmt.Errorf("%s: the message that the %s has accepted differs from that of the %s",
					m.kind, m.receiver, m.issuer)
			}
		}
		f.notes = append(f.notes, fmt.Sprintf("%-22s  %d issued and kept by the %s, %d accepted and kept by the %s",
			m.kind, len(issued), m.issuer, len(accepted), m.receiver))
	}
	return nil
}

// verifiesES256 verifies a message of an archive with the public key alone (RFC
// 7518 §3.4).
func verifiesES256(token string, key *ecdsa.PublicKey) bool {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}
