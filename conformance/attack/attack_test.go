package attack_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/conformance/attack"
)

// weaknesses take away the defences of each script, in their order.
var weaknesses = map[string][]weakness{
	"mix-up of two authorization servers":              {anyAudience, ignoreIss},
	"attacker's code injected into the user's browser": {looseSessions(false)},
	"browser swapping with the attacker's request_uri": {looseSessions(true)},
	"second use of the user's request_uri":             {requestsRepeat, sessionsRepeat},
	"access token stolen from a resource request":      {bearerTokens},
	"DPoP proof replayed with its access token":        {proofsRepeat},
}

func newWorld(t *testing.T, weak ...weakness) *attack.World {
	var cfg attack.Config
	for _, w := range weak {
		w(t, &cfg)
	}
	w, err := attack.NewWorld(cfg)
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

// AM-5.2, AM-5.3, AM-5.4a, AM-5.4b: each attack loses against the roles of this
// module, also with all defences except one, and wins without them.
func TestScripts(t *testing.T) {
	var names []string
	for _, s := range attack.Scripts() {
		names = append(names, s.Name)
		weak := weaknesses[s.Name]
		t.Run(s.Name, func(t *testing.T) {
			require.Len(t, weak, len(s.Defences))
			t.Run("against all defences", func(t *testing.T) {
				result := s.Run(t.Context(), newWorld(t))
				require.Empty(t, result.Broken)
				require.Error(t, result.Stopped)
			})
			t.Run("against no defence", func(t *testing.T) {
				result := s.Run(t.Context(), newWorld(t, weak...))
				require.Contains(t, result.Broken, s.Breaks, "%v", result.Stopped)
			})
			if len(weak) == 1 {
				return
			}
			for i, defence := range s.Defences {
				t.Run("only: "+defence, func(t *testing.T) {
					others := slices.Delete(slices.Clone(weak), i, i+1)
					require.Empty(t, s.Run(t.Context(), newWorld(t, others...)).Broken)
				})
			}
		})
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(weaknesses)), names)
}

// AM-7.5: the protocol does not prevent these attacks.
func TestLimits(t *testing.T) {
	for _, s := range attack.Limits() {
		t.Run(s.Name, func(t *testing.T) {
			require.Empty(t, s.Defences)
			result := s.Run(t.Context(), newWorld(t))
			require.NoError(t, result.Stopped)
			require.Equal(t, []attack.Goal{s.Breaks}, result.Broken)
		})
	}
}

// An honest run breaks no goal, also in each weak world, and also with a login
// at the attacker's server.
func TestHonestRun(t *testing.T) {
	worlds := map[string][]weakness{"no weakness": nil}
	maps.Copy(worlds, weaknesses)
	for name, weak := range worlds {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, weak...)
			a := attack.NewAdversary(w, attack.A1)
			require.NoError(t, a.UserLogsIn(t.Context(), w.Issuer))
			require.NoError(t, a.UserReads(t.Context()))
			require.Empty(t, attack.Broken(w.Events(), w.Issuer))
			require.Subset(t, w.Events(), []attack.Event{
				{Kind: attack.Began, Party: attack.User, Issuer: w.Issuer},
				{Kind: attack.LoggedIn, Party: attack.User, Subject: attack.Alice, Issuer: w.Issuer},
				{Kind: attack.Delivered, Party: attack.Client, Subject: attack.Alice},
				{Kind: attack.Delivered, Party: attack.User, Subject: attack.Alice},
			})
		})
	}
}

func TestBroken(t *testing.T) {
	const honest, rogue = "https://as.example", "https://rogue.example"
	began := func(issuer string) attack.Event {
		return attack.Event{Kind: attack.Began, Party: attack.User, Issuer: issuer}
	}
	login := func(party attack.Party, subject, issuer string) attack.Event {
		return attack.Event{Kind: attack.LoggedIn, Party: party, Subject: subject, Issuer: issuer}
	}
	gets := func(party attack.Party, subject string) attack.Event {
		return attack.Event{Kind: attack.Delivered, Party: party, Subject: subject}
	}
	const alice, mallory, user, foe = attack.Alice, attack.Mallory, attack.User, attack.Foe
	type events = []attack.Event
	type goals = []attack.Goal
	for name, test := range map[string]struct {
		events events
		want   goals
	}{
		"the attacker receives the user's resource": {events{gets(foe, alice)}, goals{attack.Authorization}},
		"the attacker receives its own resource":    {events{gets(foe, mallory)}, nil},
		"the client receives the user's resource":   {events{gets(attack.Client, alice)}, nil},
		"the attacker is logged in as the user":     {events{login(foe, alice, honest)}, goals{attack.Authentication}},
		"the attacker is logged in as itself":       {events{login(foe, mallory, honest)}, nil},
		"the attacker's server asserts the name":    {events{login(foe, alice, rogue)}, nil},
		"the user is logged in as the attacker":     {events{login(user, mallory, honest)}, goals{attack.SessionIntegrity}},
		"the user receives the attacker's resource": {events{gets(user, mallory)}, goals{attack.SessionIntegrity}},
		"the user is logged in at a server unasked": {events{login(user, "x", rogue)}, goals{attack.SessionIntegrity}},
		"the user has chosen the attacker's server": {events{began(rogue), login(user, "x", rogue)}, nil},
		"the user chooses the server only afterward": {
			events{login(user, "x", rogue), began(rogue)}, goals{attack.SessionIntegrity},
		},
		"all goals, in order, once": {
			events{login(user, mallory, honest), login(foe, alice, honest), gets(foe, alice), gets(foe, alice)},
			goals{attack.Authorization, attack.Authentication, attack.SessionIntegrity},
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, attack.Broken(test.events, honest)) })
	}
}

// AM-7.2: the model would prove nothing if a script could do more than its
// attacker.
func TestCapabilities(t *testing.T) {
	w := newWorld(t)
	web := []attack.Capability{attack.SendMessages, attack.TakePart, attack.SendLinks}
	extra := map[attack.Attacker][]attack.Capability{
		attack.A1: nil, attack.A1a: {attack.RunAuthServer}, attack.A3a: {attack.ReadAuthorizationRequests},
		attack.A5: {attack.ReadResourceRequests}, "A6": nil,
	}
	for attacker, more := range extra {
		t.Run(string(attacker), func(t *testing.T) {
			can := more
			if attacker != "A6" {
				can = append(slices.Clone(web), more...)
			}
			require.ElementsMatch(t, can, attacker.Capabilities())
			a, ctx := attack.NewAdversary(w, attacker), t.Context()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.ClientURL+"/", nil)
			require.NoError(t, err)
			for capability, use := range map[attack.Capability]func() error{
				attack.SendMessages:              func() error { _, err := a.Send(r); return err },
				attack.TakePart:                  func() error { _, err := a.Step(ctx, w.ClientURL); return err },
				attack.SendLinks:                 func() error { return a.Lure(ctx, w.ClientURL) },
				attack.RunAuthServer:             func() error { return a.Serve(http.NotFoundHandler()) },
				attack.ReadAuthorizationRequests: func() error { _, err := a.AuthorizationRequests(); return err },
				attack.ReadResourceRequests:      func() error { _, err := a.ResourceRequests(); return err },
			} {
				if slices.Contains(can, capability) {
					require.NotErrorIs(t, use(), attack.ErrCapability, capability)
				} else {
					require.ErrorIs(t, use(), attack.ErrCapability, capability)
				}
			}
			_, err = a.Post(ctx, w.ClientURL, nil)
			require.Equal(t, attacker == "A6", errors.Is(err, attack.ErrCapability))
			_, err = a.Begin(ctx, w.Issuer)
			require.Equal(t, attacker == "A6", errors.Is(err, attack.ErrCapability))
		})
	}
}
