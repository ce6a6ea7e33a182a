package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A group is what the dialogue shows under one title.
type group struct {
	title   string
	attacks []attack
}

// An attack has to be refused with exactly this status and code.
type attack struct {
	name, clause string
	status       int
	code         string
	says         string // what the answer has to say besides; empty: anything
	// try first shows that the same request succeeds as long as it is right, then sends the attack.
	try func(ctx context.Context, w *world) (answer, error)
}

func (a attack) play(ctx context.Context, w *world) result {
	got, err := a.try(ctx, w)
	w.wire.take() // the dialogue shows outcomes here, no messages
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

// saying makes an attack one whose refusal has to say something.
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

// against makes an attack of a request that succeeds with the status passes and of what spoils it.
func against[R request](fresh func(context.Context, *world) (R, error), passes int, name, clause string, status int, code string, spoil change[R]) attack {
	return attack{name: name, clause: clause, status: status, code: code, try: func(ctx context.Context, w *world) (answer, error) {
		good, err := fresh(ctx, w)
		if err != nil {
			return answer{}, err
		}
		switch control, err := good.send(ctx); {
		case err != nil:
			return control, err
		case control.status != passes || control.code != "":
			return control, fmt.Errorf("the same request, unspoilt, is refused: %v", control)
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

// attackGroups are the attacks that make sense for a combination.
func attackGroups(c combination) []group {
	signed := c.advanced()
	groups := []group{
		{"At the API, with a stolen access token", stolenTokens(c)},
		{"At the API, with a forged access token", forgedTokens()},
		{"At the token endpoint, with a stolen code or refresh token", stolenGrants(c)},
		{"At the token endpoint, in the name of a client", forgedClients(c)},
		{"At the pushed authorization request endpoint", pushes(c)},
		{"At the pushed authorization request endpoint, with a forged request object", either(signed, requestObjects, none)()},
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
