package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/jar"
)

// A requestObject signs the parameters of a pushed request (RFC 9101).
type requestObject struct {
	signer *jar.Signer
	forged func(good string) (string, error) // changes the object; may be nil
	raw    string                            // sent instead of a new one
}

// newRequestObject returns the request object of a client, with a change.
func (w *world) newRequestObject(c *application, change func(*jar.SignerConfig)) (*requestObject, error) {
	cfg := jar.SignerConfig{ClientID: c.id, Audience: w.asURL, Key: c.auth, KeyID: authKeyID, Now: w.clock.Now}
	if change != nil {
		change(&cfg)
	}
	signer, err := jar.NewSigner(cfg)
	return &requestObject{signer: signer}, err
}

func (o *requestObject) sign(params url.Values) (string, error) {
	if o.raw != "" {
		return o.raw, nil
	}
	good, err := o.signer.Sign(params)
	if err != nil || o.forged == nil {
		return good, err
	}
	return o.forged(good)
}

// content returns the form of a post before client authentication.
func (p *post) content() (url.Values, error) {
	if p.signed == nil {
		return maps.Clone(p.form), nil
	}
	object, err := p.signed.sign(p.form)
	if err != nil {
		return nil, err
	}
	form := url.Values{"request": {object}}
	if p.auth != nil {
		form.Set("client_id", p.w.ours.id)
	}
	return form, nil
}

// newPushByRSA returns a request like that of newPush, with the client's RSA
// key and PS256.
func newPushByRSA(ctx context.Context, w *world) (*post, error) {
	p, err := newPush(ctx, w)
	if err != nil {
		return nil, err
	}
	p.signed, err = w.newRequestObject(w.ours, func(cfg *jar.SignerConfig) {
		cfg.Key, cfg.KeyID = w.ours.authRSA, authRSAKeyID
	})
	return p, err
}

// newQuestion returns an introspection request for a token in the name of a
// client.
func (w *world) newQuestion(c *application, token string) (*post, error) {
	p := &post{w: w, url: w.introspectionEndpoint(), form: url.Values{"token": {token}}}
	return p, p.authenticateAs(c)
}

// newAPIQuestion returns an introspection request of the API for a token of
// alice.
func newAPIQuestion(ctx context.Context, w *world) (*post, error) {
	token, err := w.newToken(ctx)
	if err != nil {
		return nil, err
	}
	return w.newQuestion(w.apiClient, token.AccessToken)
}

// change changes parameters of the authorization response in the URL. An empty
// value removes a parameter. A signed response is signed again with the
// server's own key. Otherwise the client would reject its signature, and not
// the change.
func (v *visit) change(changes map[string]string) error {
	if !v.w.advanced() {
		return v.query(changes)
	}
	claims := object{}
	for name, value := range changes {
		if claims[name] = value; value == "" {
			claims[name] = nil
		}
	}
	return v.reforge(es256(v.w.bankKey), object{}, claims)
}

// reforge changes the signed response in the URL and signs it again.
func (v *visit) reforge(sign signature, header, claims object) error {
	query, err := queryOf(v.url)
	if err != nil {
		return err
	}
	forged, err := reforge(query.Get("response"), sign, with(header, claims))
	if err != nil {
		return err
	}
	return v.query(map[string]string{"response": forged})
}

// codeInactive stands for an introspection response without information about
// the token. It is not an error.
const codeInactive = "inactive"

// saysInactive reports whether a response is an introspection response, signed
// or not, whose only member is "active": false (RFC 7662 §2.2).
func saysInactive(response *http.Response, body []byte) bool {
	said := object{}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/token-introspection+jwt") {
		_, claims, err := unseal(string(body))
		if err != nil {
			return false
		}
		said, _ = claims["token_introspection"].(object)
	} else if json.Unmarshal(body, &said) != nil {
		return false
	}
	return len(said) == 1 && said["active"] == false
}
