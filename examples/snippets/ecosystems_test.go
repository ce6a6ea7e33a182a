package snippets_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
)

var _ = []any{serverUnderRules, twoEcosystems, clientUnderRules, clientWithConsent, changedRules}

type consents interface {
	Check(ctx context.Context, clientID, id string) error
}

func serverUnderRules(config authserver.Config, consents consents) (*authserver.Server, error) {
	//docs:begin serverUnderRules
	set, err := ecosystems.Rules("uk-obl")
	if err != nil {
		return nil, err
	}
	config.Rules = set
	config.Intent = func(ctx context.Context, intent *authserver.Intent) error {
		return consents.Check(ctx, intent.Client.ClientID, intent.ID) // authserver.ErrIntent: not of this client
	}
	return authserver.New(config)
	//docs:end
}

func twoEcosystems(config *authserver.Config, ours, theirs *rules.Set, isTheirs func(clientID string) bool) {
	//docs:begin twoEcosystems
	config.Rules = ours
	config.ClientRules = func(client *profile.ClientMetadata) *rules.Set {
		if isTheirs(client.ClientID) {
			return theirs
		}
		return nil // Rules
	}
	//docs:end
}

func clientUnderRules(ctx context.Context, config client.Config) (*client.Client, error) {
	//docs:begin clientUnderRules
	set, err := ecosystems.Rules("uk-obl")
	if err != nil {
		return nil, err
	}
	config.Rules = set
	return client.New(ctx, config)
	//docs:end
}

func clientWithConsent(ctx context.Context, config client.Config, consent []byte) (*client.Session, error) {
	//docs:begin clientWithConsent
	certificate, err := tls.LoadX509KeyPair("client.crt", "client.key")
	if err != nil {
		return nil, err
	}
	config.MutualTLS = &client.MutualTLS{Certificate: &certificate, BindTokens: true} // the rules permit mTLS alone
	app, err := clientUnderRules(ctx, config)
	if err != nil {
		return nil, err
	}
	api, err := app.HTTPClient(app.ClientCredentialsSource(client.Request{Scopes: []string{"accounts"}}))
	if err != nil {
		return nil, err
	}
	response, err := api.Post("https://mtls.bank.example/account-access-consents", "application/json", bytes.NewReader(consent))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var made struct{ Data struct{ ConsentID string } }
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&made); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusCreated {
		return nil, errors.New(response.Status)
	}
	claims, err := json.Marshal(map[string]any{"id_token": map[string]any{
		"openbanking_intent_id": map[string]any{"essential": true, "value": made.Data.ConsentID},
		"acr":                   map[string]any{"essential": true, "values": []string{"urn:openbanking:psd2:sca"}},
	}})
	if err != nil {
		return nil, err
	}
	return app.Begin(ctx, client.Request{
		Scopes: []string{"openid", "accounts"}, Params: url.Values{"claims": {string(claims)}},
	})
	//docs:end
}

func changedRules() (*rules.Set, error) {
	//docs:begin changedRules
	set, err := ecosystems.Rules("uk-obl")
	if err != nil {
		return nil, err
	}
	set.Name = "my-bank"
	set.Bindings = nil // also DPoP
	if err := set.Validate(); err != nil {
		return nil, fmt.Errorf("more than FAPI 2.0 permits: %w", err)
	}
	//docs:end
	return set, nil
}
