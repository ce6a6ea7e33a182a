package snippets_test

import (
	"context"
	"fmt"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
)

var _ = []any{serverUnderRules, twoEcosystems, clientUnderRules, changedRules}

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
