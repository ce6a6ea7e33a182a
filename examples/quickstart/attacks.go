package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A group contains the attacks under one title of the dialogue.
type group struct {
	title   string
	attacks []attack
}

// An attack is a request that must be rejected with exactly this status and
// code.
type attack struct {
	name, clause string
	status       int
	code         string
	says         string // text that the response must contain; may be empty
	// try first sends the unchanged request, which must succeed, and then the
	// attack.
	try func(ctx context.Context, w *world) (answer, error)
}

func (a attack) run(ctx context.Context, w *world) result {
	got, err := a.try(ctx, w)
	w.wire.take() // the dialogue shows no messages of attacks
	r := result{Kind: "attack", Name: a.name, Clause: a.clause, Status: got.status, Code: got.code}
	switch {
	case err != nil:
		r.Reason = err.Error()
	case got.status != a.status || got.code != a.code:
		r.Reason = fmt.Sprintf("%v, expected %v", got, answer{status: a.status, code: a.code})
	case !strings.Contains(string(got.body), a.says):
		r.Reason = fmt.Sprintf("%v, without a word of %s", got, a.says)
	default:
		r.OK = true
	}
	return r
}

// saying returns an attack whose rejection must contain a text.
func (a attack) saying(what string) attack {
	a.says = what
	return a
}

// A change spoils a request. It may send others before.
type change[R request] func(ctx context.Context, r R) error

// one is a change of the request alone.
func one[R request](f func(r R)) change[R] {
	return func(_ context.Context, r R) error { f(r); return nil }
}

// against makes an attack of a request that succeeds with the status passes and
// of what spoils it.
func against[R request](fresh func(context.Context, *world) (R, error), passes int, name, clause string, status int,
	code string, spoil change[R]) attack {
	return attack{name: name, clause: clause, status: status, code: code,
		try: func(ctx context.Context, w *world) (answer, error) {
			good, err := fresh(ctx, w)
			if err != nil {
				return answer{}, err
			}
			switch control, err := good.send(ctx); {
			case err != nil:
				return control, err
			case control.status != passes || control.code != "":
				return control, fmt.Errorf("the unchanged request is rejected: %v", control)
			}
			bad, err := fresh(ctx, w)
			if err != nil {
				return answer{}, err
			}
			if err := spoil(ctx, bad); err != nil {
				return answer{}, err
			}
			return bad.send(ctx)
		}}
}

// attackGroups returns the attacks that apply to a combination.
func attackGroups(c combination) []group {
	signed := c.advanced()
	groups := []group{
		{"At the API, with a stolen access token", stolenTokens(c)},
		{"At the API, with a forged access token", forgedTokens()},
		{"At the token endpoint, with a stolen code or refresh token", stolenGrants(c)},
		{"At the token endpoint, in the name of a client", forgedClients(c)},
		{"At the pushed authorization request endpoint", pushes(c)},
		{"At the pushed authorization request endpoint, with a forged request object",
			either(signed, requestObjects, none)()},
		{"At the API, with more than the payment that was granted", payments(c)},
		{"At the token endpoint, for more than was granted", widenings()},
		{"At the pushed authorization request endpoint, with bad details", badDetails(c)},
		{"At the grant management endpoint", grantCalls(c)},
		{"With what a grant that has changed leaves behind", leftovers(c)},
		{"At the pushed authorization request endpoint, about grants", grantPushes()},
		{"In the browser, at the authorization server", visits()},
		{"In the browser, at the client", callbacks(c)},
		{"In the browser, at the client, with a forged response", either(signed, responses, none)()},
		{"At the introspection endpoint", either(signed, questions, none)()},
		{"At the API, with a forged introspection response", either(signed, introspections, none)()},
		{"When time has passed", latecomers(c)},
	}
	return slices.DeleteFunc(groups, func(g group) bool { return len(g.attacks) == 0 })
}
