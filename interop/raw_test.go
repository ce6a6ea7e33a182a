package interop_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/profile"
)

// A reply is the response of this module's servers to one request of
// peers/raw.mjs.
type reply struct {
	Name   string `json:"name"`
	Status int    `json:"status"`
	Error  string `json:"error"`
}

// The names describe the error and the endpoint: assertions go to the endpoint
// for pushed requests, proofs to the token endpoint. Valid requests among them
// show that the error causes the rejection.
var replies = []reply{
	{"push: good", 201, ""},
	{"assertion: RS256", 401, "invalid_client"},
	{"assertion: none", 401, "invalid_client"},
	{"assertion: HS256 with the public key", 401, "invalid_client"},
	{"assertion: another key", 401, "invalid_client"},
	{"assertion: aud an array", 401, "invalid_client"},
	{"assertion: aud the endpoint", 401, "invalid_client"},
	{"assertion: aud the token endpoint", 401, "invalid_client"},
	{"assertion: aud the issuer with a slash", 401, "invalid_client"},
	{"assertion: another sub", 401, "invalid_client"},
	{"assertion: no sub", 401, "invalid_client"},
	{"assertion: no exp", 401, "invalid_client"},
	{"assertion: no jti", 401, "invalid_client"},
	{"assertion: expired", 401, "invalid_client"},
	{"assertion: from the future", 401, "invalid_client"},
	{"assertion: good for a year", 401, "invalid_client"},
	{"assertion: an unknown client", 401, "invalid_client"},
	{"assertion: a proof in its place", 401, "invalid_client"},
	{"assertion: jti again", 401, "invalid_client"},
	{"assertion: none at all", 401, "invalid_client"},
	{"assertion: twice", 400, "invalid_request"},
	{"assertion: a secret beside", 400, "invalid_request"},
	{"assertion: another client_id", 401, "invalid_client"},
	{"push: request_uri", 400, "invalid_request"},
	{"push: response_type token", 400, "unsupported_response_type"},
	{"push: no response_type", 400, "invalid_request"},
	{"push: no code_challenge", 400, "invalid_request"},
	{"push: plain", 400, "invalid_request"},
	{"push: a challenge of 42 characters", 400, "invalid_request"},
	{"push: no redirect_uri", 400, "invalid_request"},
	{"push: redirect_uri that is not registered", 400, "invalid_request"},
	{"push: state twice", 400, "invalid_request"},
	{"push: response_mode fragment", 400, "invalid_request"},
	{"push: an unknown scope", 400, "invalid_scope"},
	{"push: a malformed dpop_jkt", 400, "invalid_request"},
	{"push: JSON", 400, "invalid_request"},
	{"push: multipart", 400, "invalid_request"},
	{"push: GET", 405, "invalid_request"},
	{"proof: no nonce", 400, "use_dpop_nonce"},
	{"proof: good", 200, ""},
	{"proof: another nonce", 400, "use_dpop_nonce"},
	{"proof: a private jwk", 400, "invalid_dpop_proof"},
	{"proof: no jwk", 400, "invalid_dpop_proof"},
	{"proof: a symmetric jwk", 400, "invalid_dpop_proof"},
	{"proof: htm in lower case", 400, "invalid_dpop_proof"},
	{"proof: htm GET", 400, "invalid_dpop_proof"},
	{"proof: no htm", 400, "invalid_dpop_proof"},
	{"proof: another htu", 400, "invalid_dpop_proof"},
	{"proof: htu with a slash", 400, "invalid_dpop_proof"},
	{"proof: no htu", 400, "invalid_dpop_proof"},
	{"proof: an hour old", 400, "invalid_dpop_proof"},
	{"proof: from the future", 400, "invalid_dpop_proof"},
	{"proof: no iat", 400, "invalid_dpop_proof"},
	{"proof: no jti", 400, "invalid_dpop_proof"},
	{"proof: an empty jti", 400, "invalid_dpop_proof"},
	{"proof: a jti that is a number", 400, "invalid_dpop_proof"},
	{"proof: typ JWT", 400, "invalid_dpop_proof"},
	{"proof: no typ", 400, "invalid_dpop_proof"},
	{"proof: RS256", 400, "invalid_dpop_proof"},
	{"proof: HS256", 400, "invalid_dpop_proof"},
	{"proof: none", 400, "invalid_dpop_proof"},
	{"proof: another key", 400, "invalid_dpop_proof"},
	{"proof: no JWT", 400, "invalid_dpop_proof"},
	{"proof: empty", 400, "invalid_dpop_proof"},
	{"proof: none at all", 400, "invalid_dpop_proof"},
	{"proof: two", 400, "invalid_dpop_proof"},
	{"proof: an empty one before", 400, "invalid_dpop_proof"},
	{"proof: jti again", 400, "invalid_dpop_proof"},
	{"token: the password grant", 400, "unsupported_grant_type"},
	{"token: nobody's code", 400, "invalid_grant"},
	{"token: nobody's refresh token", 400, "invalid_grant"},
	{"token: an unknown scope", 400, "invalid_scope"},
	{"token: an unknown resource", 400, "invalid_target"},
	{"api: no nonce", 401, "use_dpop_nonce"},
	{"api: good", 200, ""},
	{"api: good with dpop in lower case", 200, ""},
	{"api: jti again", 401, "invalid_dpop_proof"},
	{"api: no ath", 401, "invalid_dpop_proof"},
	{"api: ath of another token", 401, "invalid_dpop_proof"},
	{"api: htm in lower case", 401, "invalid_dpop_proof"},
	{"api: another htu", 401, "invalid_dpop_proof"},
	{"api: another key", 401, "invalid_token"},
	{"api: no proof", 401, "invalid_dpop_proof"},
	{"api: two proofs", 401, "invalid_dpop_proof"},
	{"api: as a bearer token", 401, "invalid_token"},
	{"api: as a bearer token with a proof", 401, "invalid_token"},
	{"api: a changed token", 401, "invalid_token"},
	{"api: the token in the query", 400, "invalid_request"},
	{"api: no token", 401, ""},
	{"request object: good", 201, ""},
	{"request object: good without typ", 201, ""},
	{"request object: RS256", 400, "invalid_request_object"},
	{"request object: none", 400, "invalid_request_object"},
	{"request object: HS256", 400, "invalid_request_object"},
	{"request object: another key", 400, "invalid_request_object"},
	{"request object: another iss", 400, "invalid_request_object"},
	{"request object: another aud", 400, "invalid_request_object"},
	{"request object: no aud", 400, "invalid_request_object"},
	{"request object: no exp", 400, "invalid_request_object"},
	{"request object: no nbf", 400, "invalid_request_object"},
	{"request object: good for two hours", 400, "invalid_request_object"},
	{"request object: two hours old", 400, "invalid_request_object"},
	{"request object: from the future", 400, "invalid_request_object"},
	{"request object: request_uri inside", 400, "invalid_request_object"},
	{"request object: request inside", 400, "invalid_request_object"},
	{"request object: another client_id", 400, "invalid_request_object"},
	{"request object: no code_challenge", 400, "invalid_request"},
	{"request object: response_type token", 400, "unsupported_response_type"},
	{"request object: no redirect_uri", 400, "invalid_request"},
	{"request object: no response_mode", 400, "invalid_request"},
	{"request object: missing", 400, "invalid_request"},
	{"certificate: good", 200, ""},
	{"certificate: none", 401, "invalid_client"},
	{"certificate: with another name", 401, "invalid_client"},
	{"certificate: at the endpoint that asks for none", 401, "invalid_client"},
	{"certificate: good at the API", 200, ""},
	{"certificate: none at the API", 401, "invalid_token"},
	{"certificate: another one at the API", 401, "invalid_token"},
	{"certificate: the DPoP scheme at the API", 401, "invalid_token"},
}

// Requests made with jose and dpop against our authorization server and our API.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	testkit.RequirePeers(t, "dpop", "jose", "undici")
	w := newWorld(t)
	s := w.startServer(t, profile.Baseline)
	advanced := w.startServer(t, profile.Advanced)
	w.guard(t, s.issuer, s.Metadata().JWKSURI)
	w.sendRaw(t, "raw.mjs", replies, map[string]any{
		"issuer": s.issuer, "advanced": advanced.issuer, "api": w.api.at(combination{}), "apiMTLS": w.api.at(byTLS),
	})
}

// sendRaw runs a script that sends invalid requests, and compares the
// responses.
func (w *world) sendRaw(t *testing.T, script string, want []reply, servers map[string]any) {
	t.Helper()
	rsaKey := testkit.JWK(t, w.rsaKey, clientRSAKey, "")
	delete(rsaKey, "alg") // the misuse is to be the server's to find
	config := map[string]any{
		"client": combination{auth: privateKey}.id(), "signer": signing.id(), "mtls": byTLS.id(),
		"key": testkit.JWK(t, w.key, authKeyID, "ES256"), "rsaKey": rsaKey, "redirectURI": redirectURI,
		"tls": w.authority.PEM(t, w.certificate), "otherTLS": w.authority.PEM(t, w.authority.Client(t, "other.example")),
	}
	maps.Copy(config, servers)
	var got struct {
		Results []struct {
			reply
			Nonce bool `json:"nonce"`
		} `json:"results"`
	}
	testkit.Run(t, script, config, &got)
	require.Len(t, got.Results, len(want))
	for i, want := range want {
		t.Run(want.Name, func(t *testing.T) {
			require.Equal(t, want, got.Results[i].reply)
			if want.Error == "use_dpop_nonce" {
				require.True(t, got.Results[i].Nonce)
			}
		})
	}
}
