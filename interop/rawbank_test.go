package interop_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// The names are like those of replies. The column of errors also contains the
// result of introspection. The status of a request without authentication is
// that of RFC 9701 §5.
var bankReplies = []reply{
	{"authorize: no request_uri", 400, "invalid_request"},
	{"authorize: parameters in place of a request_uri", 400, "invalid_request"},
	{"authorize: an unknown request_uri", 400, "invalid_request_uri"},
	{"authorize: a request_uri once more", 400, "invalid_request_uri"},
	{"authorize: another client's request_uri", 400, "invalid_request"},
	{"authorize: two client_ids", 400, "invalid_request"},
	{"authorize: where certificates are asked for", 404, ""},
	{"authorize: good", 303, ""},
	{"code: by another client", 400, "invalid_grant"},
	{"code: another verifier", 400, "invalid_grant"},
	{"code: no verifier", 400, "invalid_grant"},
	{"code: another redirect_uri", 400, "invalid_grant"},
	{"code: another key than that of dpop_jkt", 400, "invalid_grant"},
	{"code: no proof", 400, "invalid_dpop_proof"},
	{"code: no authentication", 401, "invalid_client"},
	{"code: twice in one form", 400, "invalid_request"},
	{"code: good after all that", 200, ""},
	{"code: again", 400, "invalid_grant"},
	{"code: its token when it has come again", 401, "invalid_token"},
	{"code: its refresh token when it has come again", 400, "invalid_grant"},
	{"refresh: by another client", 400, "invalid_grant"},
	{"refresh: no authentication", 401, "invalid_client"},
	{"refresh: no proof", 400, "invalid_dpop_proof"},
	{"refresh: more scope", 400, "invalid_scope"},
	{"refresh: details that were not granted", 400, "invalid_authorization_details"},
	{"refresh: an access token", 400, "invalid_grant"},
	{"refresh: good with another key", 200, ""},
	{"refresh: good with less scope", 200, ""},
	{"details: an unknown type", 400, "invalid_authorization_details"},
	{"details: a type that is not registered", 400, "invalid_authorization_details"},
	{"details: no type", 400, "invalid_authorization_details"},
	{"details: Type", 400, "invalid_authorization_details"},
	{"details: no array", 400, "invalid_authorization_details"},
	{"details: no objects", 400, "invalid_authorization_details"},
	{"details: null", 400, "invalid_authorization_details"},
	{"details: no JSON", 400, "invalid_authorization_details"},
	{"details: two arrays", 400, "invalid_authorization_details"},
	{"details: an unknown member", 400, "invalid_authorization_details"},
	{"details: an amount that is a number", 400, "invalid_authorization_details"},
	{"details: no amount", 400, "invalid_authorization_details"},
	{"details: the amount twice", 400, "invalid_authorization_details"},
	{"details: a negative amount", 400, "invalid_authorization_details"},
	{"details: good", 201, ""},
	{"payment: no token", 401, ""},
	{"payment: a token without details", 403, "insufficient_scope"},
	{"payment: more", 403, "insufficient_scope"},
	{"payment: less", 403, "insufficient_scope"},
	{"payment: another currency", 403, "insufficient_scope"},
	{"payment: another payee", 403, "insufficient_scope"},
	{"payment: two", 400, "invalid_request"},
	{"payment: no JSON", 400, "invalid_request"},
	{"payment: the amount twice", 400, "invalid_request"},
	{"payment: too long", 413, "invalid_request"},
	{"payment: GET", 405, ""},
	{"payment: a proof for the accounts", 401, "invalid_dpop_proof"},
	{"payment: accounts with the payment's token", 403, "insufficient_scope"},
	{"payment: good", 201, ""},
	{"payment: good once more", 409, "payment_already_made"},
	{"userinfo: good", 200, ""},
	{"userinfo: good by POST", 200, ""},
	{"userinfo: no token", 401, ""},
	{"userinfo: the token in the query", 400, "invalid_request"},
	{"userinfo: the token in the body", 401, ""},
	{"userinfo: a token without openid", 403, "insufficient_scope"},
	{"userinfo: a refresh token", 401, "invalid_token"},
	{"userinfo: as a bearer token", 401, "invalid_token"},
	{"userinfo: as a bearer token with a proof", 401, "invalid_token"},
	{"userinfo: no proof", 401, "invalid_dpop_proof"},
	{"userinfo: a proof for the API", 401, "invalid_dpop_proof"},
	{"userinfo: another key", 401, "invalid_token"},
	{"userinfo: PUT", 405, ""},
	{"certificate: none for a code", 401, "invalid_client"},
	{"certificate: another one for a code", 401, "invalid_client"},
	{"certificate: good for a code", 200, ""},
	{"certificate: good at userinfo", 200, ""},
	{"certificate: none at userinfo", 401, "invalid_token"},
	{"certificate: another one at userinfo", 401, "invalid_token"},
	{"certificate: userinfo where none is asked for", 401, "invalid_token"},
	{"introspect: good", 200, "active true"},
	{"introspect: by a client that serves no API", 200, "active false"},
	{"introspect: a refresh token", 200, "active false"},
	{"introspect: nonsense", 200, "active false"},
	{"introspect: no token", 400, "invalid_request"},
	{"introspect: no authentication", 400, "invalid_client"},
	{"introspect: GET", 405, "invalid_request"},
	{"grant: good", 200, ""},
	{"grant: good with a token of another authorization", 200, ""},
	{"grant: no token", 401, ""},
	{"grant: a token for another API", 401, "invalid_token"},
	{"grant: revocation without its scope", 403, "insufficient_scope"},
	{"grant: as a bearer token", 401, "invalid_token"},
	{"grant: a proof for another one", 401, "invalid_dpop_proof"},
	{"grant: another key", 401, "invalid_token"},
	{"grant: another client's", 404, ""},
	{"grant: revocation of another client's", 404, ""},
	{"grant: an unknown one", 404, ""},
	{"grant: none", 404, ""},
	{"grant: POST", 405, ""},
	{"grant: create with a grant_id", 400, "invalid_request"},
	{"grant: a grant_id without an action", 400, "invalid_request"},
	{"grant: an unknown action", 400, "invalid_request"},
	{"grant: merge without a grant_id", 400, "invalid_request"},
	{"grant: merge with an unknown one", 400, "invalid_grant_id"},
	{"grant: merge with another client's", 400, "invalid_grant_id"},
	{"grant: replacement of another client's", 400, "invalid_grant_id"},
	{"grant: still good after all that", 200, ""},
	{"grant: good revocation", 204, ""},
	{"grant: its token after that", 401, "invalid_token"},
	{"grant: its refresh token after that", 400, "invalid_grant"},
	{"grant: gone", 404, ""},
	{"grant: merge with one that is gone", 400, "invalid_grant_id"},
	{"revoke: no authentication", 401, "invalid_client"},
	{"revoke: no token", 400, "invalid_request"},
	{"revoke: nonsense", 200, ""},
	{"revoke: an unknown hint", 200, ""},
	{"revoke: GET", 405, "invalid_request"},
	{"revoke: another client's refresh token", 400, "invalid_grant"},
	{"revoke: another client's access token", 400, "invalid_grant"},
	{"revoke: still good after all that", 200, ""},
	{"revoke: good", 200, ""},
	{"revoke: good once more", 200, ""},
	{"revoke: its refresh token after that", 400, "invalid_grant"},
	{"revoke: its access token after that", 401, "invalid_token"},
	{"revoke: userinfo after that", 401, "invalid_token"},
	{"revoke: introspection after that", 200, "active false"},
	{"revoke: another client's tokens after that", 200, ""},
	{"revoke: good by the access token", 200, ""},
	{"revoke: the refresh token that came with it", 400, "invalid_grant"},
}

// rawRequestsToBanks sends the requests of TestRawRequests to the banks, and
// requests that only the bank supports.
func rawRequestsToBanks(t *testing.T, w *world, banks map[kindOfBank]*bank) {
	t.Parallel()
	testkit.RequirePeers(t, "dpop", "jose", "undici")
	all := kindsOfBank()
	for i, b := range []*bank{banks[all[0]], banks[all[1]]} {
		servers := map[string]any{
			"issuer": b.issuer, "advanced": banks[all[2+i]].issuer, "api": b.issuer + "/accounts", "apiMTLS": b.mtlsURL + "/accounts",
			"another": otherClientID, "server": apiClientID, "payment": json.RawMessage(strings.Replace(payment, "ACME", "Acme & Sons", 1)), // not the payment of another test
		}
		t.Run(b.tokenForm(), func(t *testing.T) {
			t.Parallel()
			w.sendRaw(t, "raw.mjs", replies, servers)
		})
		t.Run("own, "+b.tokenForm(), func(t *testing.T) {
			t.Parallel()
			w.sendRaw(t, "bank.mjs", bankReplies, servers)
		})
	}
}
