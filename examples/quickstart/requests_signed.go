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

// A requestObject is how the parameters of a pushed request are signed (RFC 9101).
type requestObject struct {
	signer *jar.Signer
	forged func(good string) (string, error) // what becomes of the object; nil: nothing
	raw    string                            // sent instead of a new one
}

// newRequestObject signs as a client does, but for what change changes.
func (w *world) newRequestObject(c *client, change func(*jar.SignerConfig)) (*requestObject, error) {
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

// content is the form of a post as its sender has made it, before it is authenticated.
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

// newPushByRSA is newPush with the client's other key, and PS256.
func newPushByRSA(ctx context.Context, w *world) (*post, error) {
	p, err := newPush(ctx, w)
	if err != nil {
		return nil, err
	}
	p.signed, err = w.newRequestObject(w.ours, func(cfg *jar.SignerConfig) { cfg.Key, cfg.KeyID = w.ours.authRSA, authRSAKeyID })
	return p, err
}

// newQuestion is a question about a token, in the name of a client.
func (w *world) newQuestion(c *client, token string) (*post, error) {
	p := &post{w: w, url: w.introspectionEndpoint(), form: url.Values{"token": {token}}}
	return p, p.authenticateAs(c)
}

// newAPIQuestion is a question of the API about a token of alice's.
func newAPIQuestion(ctx context.Context, w *world) (*post, error) {
	token, err := w.newToken(ctx)
	if err != nil {
		return nil, err
	}
	return w.newQuestion(w.apiClient, token.AccessToken)
}

// change changes what the answer in the URL says; an empty value leaves a parameter out. A signed answer is signed again by
// the authorization server's own key: what is to be refused is what it says, or it would not show that this is looked at.
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

// reforge changes the signed answer in the URL and signs it anew.
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

// codeInactive stands for what is no error: a token about which an introspection response says nothing.
const codeInactive = "inactive"

// saysInactive reports whether an answer is an introspection response, signed or not, that says "active": false, and
// nothing else (RFC 7662 §2.2).
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
