package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
)

// The two ways to authenticate a client that are played here, and the two to bind its access tokens, by the names that the
// flags have for them. Those of the first are the specifications' own.
var (
	auths    = []string{clientauth.MethodPrivateKeyJWT, clientauth.MethodTLSClientAuth}
	bindings = []string{"dpop", "mtls"}
)

// A combination is one way to authenticate the client with one way to bind its access tokens.
type combination struct{ auth, binding string }

// combinations returns those with auth and binding, an empty one of which stands for both.
func combinations(auth, binding string) (all []combination, err error) {
	for _, flag := range []struct {
		name, value string
		known       []string
	}{{"auth", auth, auths}, {"binding", binding, bindings}} {
		if flag.value != "" && !slices.Contains(flag.known, flag.value) {
			return nil, fmt.Errorf("-%s is %s, not %.40q", flag.name, strings.Join(flag.known, " or "), flag.value)
		}
	}
	for _, a := range auths {
		for _, b := range bindings {
			if (auth == "" || auth == a) && (binding == "" || binding == b) {
				all = append(all, combination{a, b})
			}
		}
	}
	return all, nil
}

func (c combination) String() string { return c.auth + "+" + c.binding }

func (c combination) byJWT() bool  { return c.auth == clientauth.MethodPrivateKeyJWT }
func (c combination) byDPoP() bool { return c.binding == "dpop" }

// usesCertificates reports whether the client presents its certificate to the authorization server, for either purpose.
func (c combination) usesCertificates() bool { return !c.byJWT() || !c.byDPoP() }

// either returns what is for the first case or what is for the second.
func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
