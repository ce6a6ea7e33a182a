package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/message"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// maxConsent bounds the body of a consent in JSON.
const maxConsent = 64 << 10

// addConsents adds the endpoints for consents. They are part of the API, so
// that a token and its binding are checked before.
func (a *api) addConsents(to map[string]http.Handler) {
	for i := range a.cfg.consents {
		of, path := &a.cfg.consents[i], a.cfg.path(a.cfg.consents[i].Path)
		add := func(path string, handlers map[string]http.HandlerFunc) {
			to[path] = a.guard.Require()(only(handlers))
		}
		serve := func(handle func(http.ResponseWriter, *http.Request, *consentAPI, string)) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				token, ok := resourceserver.TokenFromContext(r.Context())
				if !ok { // the handler has no guard
					http.Error(w, "no token", http.StatusInternalServerError)
					return
				}
				if err := token.CheckScope(of.Scope); err != nil {
					a.guard.WriteError(w, r, err, of.Scope)
					return
				}
				if token.Subject() != token.ClientID() {
					writeJSON(w, http.StatusForbidden, object{"error": "insufficient_scope",
						"error_description": "want a token of the client credentials grant"})
					return
				}
				handle(w, r, of, token.ClientID())
			}
		}
		add(path, map[string]http.HandlerFunc{http.MethodPost: serve(a.createConsent)})
		add(path+"/{id}", map[string]http.HandlerFunc{
			http.MethodGet: serve(a.readConsent), http.MethodDelete: serve(a.deleteConsent),
		})
	}
}

// consentAt returns the consent of a client that the last segment of the path
// identifies.
func (a *api) consentAt(r *http.Request, of *consentAPI, clientID string) (id string, one consent, err error) {
	path := r.URL.EscapedPath()
	if id, err = url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:]); err != nil {
		return "", consent{}, errNoConsent
	}
	one, err = a.bank.consents.of(r.Context(), clientID, id)
	if err == nil && one.Path != of.Path {
		err = errNoConsent
	}
	return id, one, err
}

// createConsent stores a consent of a client.
func (a *api) createConsent(w http.ResponseWriter, r *http.Request, of *consentAPI, clientID string) {
	body, err := a.readConsentBody(w, r, of, clientID)
	var one consent
	if err == nil {
		one, err = a.newConsent(of, clientID, body)
	}
	if err != nil {
		a.consentFailed(w, r, err)
		return
	}
	id, err := a.bank.consents.add(r.Context(), of, one)
	if err != nil {
		a.consentFailed(w, r, err)
		return
	}
	a.log.InfoContext(r.Context(), "consent created", "client", clientID)
	a.writeConsent(w, r, http.StatusCreated, of, id, one)
}

// newConsent checks the body of a consent.
func (b *bank) newConsent(of *consentAPI, clientID string, body []byte) (consent, error) {
	now := b.now()
	one := consent{ClientID: clientID, Path: of.Path, Body: body, State: consentAwaiting, Created: now,
		Until: now.Add(refreshTokenLifetime)}
	if _, err := b.cfg.bodies[of.Path].New(bodyType, json.RawMessage(body)); err != nil {
		return one, badConsent{descriptionOf(err)}
	}
	members, err := parseMembers(body)
	if err != nil {
		return one, err
	}
	if text := member(members, of.Expires); text != nil {
		end, err := time.Parse(time.RFC3339, fmt.Sprint(text))
		if err != nil || !end.After(now) || end.After(now.Add(grantLifetime)) {
			return one, badConsent{of.Expires + " is not a time within a year"}
		}
		one.Until = end
	}
	return one, nil
}

// readConsent responds with a consent and its state.
func (a *api) readConsent(w http.ResponseWriter, r *http.Request, of *consentAPI, clientID string) {
	id, one, err := a.consentAt(r, of, clientID)
	if err != nil {
		a.consentFailed(w, r, err)
		return
	}
	a.writeConsent(w, r, http.StatusOK, of, id, one)
}

// deleteConsent ends a consent and the tokens that the client has received for
// it.
func (a *api) deleteConsent(w http.ResponseWriter, r *http.Request, of *consentAPI, clientID string) {
	id, one, err := a.consentAt(r, of, clientID)
	if err == nil {
		one, err = a.bank.consents.revoke(r.Context(), clientID, id)
	}
	if err == nil && one.Authorization != "" {
		err = a.server.Withdraw(r.Context(), one.Authorization)
	}
	if err != nil {
		a.consentFailed(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// A badConsent is an error that the client receives.
type badConsent struct{ text string }

// Error implements error.
func (e badConsent) Error() string { return e.text }

// descriptionOf returns the text of an error for the client.
func descriptionOf(err error) string {
	var described interface {
		OAuthError() (code, description string)
	}
	if errors.As(err, &described) {
		_, text := described.OAuthError()
		return text
	}
	return "malformed consent"
}

// consentFailed sends an error. A failed store and unavailable keys are no
// fault of the client.
func (a *api) consentFailed(w http.ResponseWriter, r *http.Request, err error) {
	var bad badConsent
	switch {
	case errors.As(err, &bad):
		writeJSON(w, http.StatusBadRequest, object{"error": "invalid_request", "error_description": bad.text})
	case errors.Is(err, errNoConsent):
		writeJSON(w, http.StatusNotFound, object{"error": "invalid_request", "error_description": "unknown consent"})
	case errors.Is(err, message.ErrMediaType):
		writeJSON(w, http.StatusUnsupportedMediaType,
			object{"error": "invalid_request", "error_description": "wrong Content-Type"})
	default:
		a.unavailable(w, r, err)
	}
}

// readConsentBody returns the body of a request as a JSON object. For a signed
// message, it returns the members without those of the signature.
func (a *api) readConsentBody(w http.ResponseWriter, r *http.Request, of *consentAPI, clientID string) (
	[]byte, error) {
	if of.MediaType == "jwt" {
		return a.readMessage(r, of, clientID)
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return nil, message.ErrMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxConsent))
	if err != nil {
		return nil, badConsent{"the body is too large or incomplete"}
	}
	return body, nil
}

// readMessage verifies a signed message of a client. The issuer of the message
// is the client, and the recipient is the bank or the endpoint.
func (a *api) readMessage(r *http.Request, of *consentAPI, clientID string) ([]byte, error) {
	token, err := message.ReadBody(r.Header, r.Body)
	if err != nil {
		return nil, messageError(err)
	}
	audience := []string{a.cfg.issuer, a.cfg.issuer + of.Path}
	if a.cfg.mtlsListen != "" {
		audience = append(audience, a.cfg.mtlsURL()+of.Path)
	}
	verifier, err := message.NewVerifier(message.VerifierConfig{
		Issuer: clientID, Audience: audience, Keys: a.keysOf[clientID], Replay: a.kept.main, Now: a.now,
		AllowNoID: true, Algorithms: a.cfg.signingOf(clientID),
	})
	if err != nil {
		return nil, err
	}
	m, err := verifier.Verify(r.Context(), token)
	if err != nil {
		a.log.InfoContext(r.Context(), "message refused", "client", clientID, "reason", err.Error())
		return nil, messageError(err)
	}
	var members map[string]json.RawMessage
	if err := m.Decode(&members); err != nil {
		return nil, err
	}
	for _, name := range []string{"iss", "aud", "iat", "nbf", "exp", "jti", "sub"} {
		delete(members, name)
	}
	return json.Marshal(members)
}

// messageError returns the error for the client, or the error of the bank.
func messageError(err error) error {
	if errors.Is(err, message.ErrReplayStore) || errors.Is(err, message.ErrUnavailable) ||
		errors.Is(err, message.ErrMediaType) {
		return err
	}
	return badConsent{"invalid signed message"}
}

// writeConsent sends a consent with its identifier and its state.
func (a *api) writeConsent(w http.ResponseWriter, r *http.Request, status int, of *consentAPI, id string, one consent) {
	members := object{}
	if one.Body != nil {
		var err error
		if members, err = parseMembers(one.Body); err != nil {
			a.unavailable(w, r, err)
			return
		}
	}
	setMember(members, of.ID, id)
	if of.Status != "" {
		setMember(members, of.Status, of.stateName(one.state(a.now())))
	}
	if of.MediaType == "json" {
		writeJSON(w, status, members)
		return
	}
	signed, err := a.sign(r.Context(), one.ClientID, members)
	if err != nil {
		a.unavailable(w, r, err)
		return
	}
	w.Header().Set("Content-Type", message.MediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, signed) //nolint:errcheck // the client is gone
}

// sign signs a message of the bank for a client, with the key for its ID
// tokens.
func (b *bank) sign(ctx context.Context, clientID string, body object) (string, error) {
	keys, err := b.vault.SigningKeys(ctx)
	if err != nil {
		return "", err
	}
	permitted := b.cfg.signingOf(clientID)
	if client := b.cfg.registered[clientID]; client != nil && client.IDTokenSignedResponseAlg != "" {
		permitted = []string{client.IDTokenSignedResponseAlg}
	}
	var algorithm string
	for _, has := range b.cfg.algorithms {
		if algorithm == "" && (len(permitted) == 0 || slices.Contains(permitted, has)) {
			algorithm = has
		}
	}
	var key profile.SigningKey
	for _, k := range keys {
		if k.Algorithm == algorithm && (key.Key == nil || k.SignsFrom.After(key.SignsFrom)) &&
			!k.SignsFrom.After(b.now()) {
			key = k
		}
	}
	signer, err := message.NewSigner(message.SignerConfig{
		Issuer: b.cfg.issuer, Key: key.Key, Algorithm: algorithm, Now: b.now,
	})
	if err != nil {
		return "", err
	}
	return signer.Sign(clientID, body)
}

// A keySource returns the keys of a client.
type keySource func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)

// newKeysOf returns the keys of all clients, for messages.
func (b *bank) newKeysOf() (map[string]keySource, error) {
	all := make(map[string]keySource, len(b.cfg.registered))
	for id, client := range b.cfg.registered {
		switch {
		case client.JWKS != nil:
			all[id] = client.JWKS.Keys
		case client.JWKSURI != "":
			remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: client.JWKSURI, PublicOnly: true, Now: b.now})
			if err != nil {
				return nil, err
			}
			all[id] = remote.Keys
		default:
			all[id] = func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, nil }
		}
	}
	return all, nil
}

// parseMembers parses an object and keeps its numbers as they are written.
func parseMembers(raw []byte) (members object, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return members, d.Decode(&members)
}

// member returns a member by its path, or nil.
func member(of any, path string) any {
	if path == "" {
		return nil
	}
	for name := range strings.SplitSeq(path, ".") {
		members, _ := of.(object)
		of = members[name]
	}
	return of
}

// setMember sets a member by its path, and makes the objects on the way to it.
func setMember(of object, path string, value any) {
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		next, ok := of[name].(object)
		if !ok {
			next = object{}
			of[name] = next
		}
		of = next
	}
	of[names[len(names)-1]] = value
}
