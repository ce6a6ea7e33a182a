package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
)

// These are the profiles, the methods of client authentication and the bindings
// of tokens, by the names in the flags.
var (
	profiles = []string{"baseline", "advanced"}
	auths    = []string{clientauth.MethodPrivateKeyJWT, clientauth.MethodTLSClientAuth}
	bindings = []string{"dpop", "mtls"}
)

// A combination is one way to authenticate the client with one way to bind its
// access tokens, under a profile.
type combination struct{ profile, auth, binding string }

// combinations returns the combinations with profile, auth and binding. An
// empty value stands for both choices.
func combinations(profile, auth, binding string) (all []combination, err error) {
	for _, flag := range []struct {
		name, value string
		known       []string
	}{{"profile", profile, profiles}, {"auth", auth, auths}, {"binding", binding, bindings}} {
		if flag.value != "" && !slices.Contains(flag.known, flag.value) {
			return nil, fmt.Errorf("-%s is %s, not %.40q", flag.name, strings.Join(flag.known, " or "), flag.value)
		}
	}
	chosen := func(flag, value string) bool { return flag == "" || flag == value }
	for _, p := range profiles {
		for _, a := range auths {
			for _, b := range bindings {
				if chosen(profile, p) && chosen(auth, a) && chosen(binding, b) {
					all = append(all, combination{p, a, b})
				}
			}
		}
	}
	return all, nil
}

// String returns the combination without the profile.
func (c combination) String() string { return c.auth + "+" + c.binding }

// advanced reports whether requests, authorization responses and introspection
// responses have to be signed.
func (c combination) advanced() bool { return c.profile == "advanced" }

func (c combination) byJWT() bool  { return c.auth == clientauth.MethodPrivateKeyJWT }
func (c combination) byDPoP() bool { return c.binding == "dpop" }

// usesCertificates reports whether the client presents its certificate to the
// authorization server, for either purpose.
func (c combination) usesCertificates() bool { return !c.byJWT() || !c.byDPoP() }

// either returns a if first is true, otherwise b.
func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
