package interop_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// TestAFintechWithThreeBanks runs a fintech and its banks as processes. One
// bank is down at the first start, another one at the second start, and the
// third one has other signing keys then. The user stays connected to all.
func TestAFintechWithThreeBanks(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	one, two, three := s.banks[0], s.banks[1], s.banks[2]
	one.start()
	three.start()
	fintech := s.startFintech()
	s.requireAccounts(http.MethodPost, "/connect", one.form(), one)
	s.requireAccounts(http.MethodPost, "/connect", three.form(), one, three)
	status, page := s.open(http.MethodPost, "/connect", two.form())
	require.Equal(t, http.StatusBadGateway, status, "%s", page)
	s.requireAccounts(http.MethodGet, "/accounts", nil, one, three)

	two.start()
	s.eventually("/connect", two.form(), one, two, three)
	require.NoError(t, fintech.Stop())
	three.replaceKeys()
	three.stop() // its API does not check tokens again for some minutes
	three.start()
	one.stop()
	fintech = s.startFintech()
	s.requireAccounts(http.MethodGet, "/accounts", nil, two, three)
	one.start()
	s.eventually("/accounts", nil, one, two, three)
	s.requireAccounts(http.MethodPost, "/connect", three.form(), one, two, three) // an ID token with the new key

	for i, b := range s.banks {
		order := b.form()
		for name, value := range map[string]string{"payee": "ACME", "iban": "DE89370400440532013000", "amount": "12.34"} {
			order.Set(name, value)
		}
		status, page := s.open(http.MethodPost, "/payment", order)
		require.Equal(t, http.StatusOK, status, "%s", page)
		require.Contains(t, page, "<p>"+b.name+"</p>")
		require.Equal(t, i+1, strings.Count(page, ">Paid</strong>"), "%s", page)
	}
	require.NoError(t, fintech.Stop())
	s.startFintech()
	s.requireAccounts(http.MethodGet, "/accounts", nil, one, two, three)
}

// A street has a fintech and the banks of its configuration.
type street struct {
	t       *testing.T
	dir     string
	tls     map[string]any // the members of all configurations
	fintech string         // its base URL
	key     *ecdsa.PrivateKey
	banks   []*branch
	browser *http.Client
}

// A branch is a bank that approves everything. It can end and start again.
type branch struct {
	*street
	name, issuer, operator string
	process                *testkit.Process
}

func newStreet(t *testing.T) *street {
	t.Helper()
	authority := testkit.NewAuthority(t)
	s := &street{t: t, dir: t.TempDir(), fintech: "https://" + freeAddress(t), key: testkit.NewKey(t), browser: authority.HTTPClient(t)}
	server := authority.ServerPEM(t)
	s.tls = map[string]any{"tls_cert_file": writeFile(t, s.dir, "own.crt", server.Cert), "tls_key_file": writeFile(t, s.dir, "own.key", server.Key)}
	writeFile(t, s.dir, "ca.pem", server.CA)
	s.browser.Jar, _ = cookiejar.New(nil) // never fails
	s.browser.CheckRedirect = nil         // ten redirects
	for i := range 3 {
		s.banks = append(s.banks, &branch{street: s, name: fmt.Sprintf("bank-%d", i+1), issuer: "https://" + freeAddress(t), operator: freeAddress(t)})
	}
	return s
}

// launch starts a program and returns when it is ready.
func (s *street) launch(program, name string, settings map[string]any) *testkit.Process {
	s.t.Helper()
	for member, value := range s.tls {
		settings[member] = value
	}
	document, err := json.Marshal(settings)
	require.NoError(s.t, err)
	process, err := testkit.Launch(exec.Command(testkit.Build(s.t, program), "-config", writeFile(s.t, s.dir, name+".json", string(document))))
	require.NoError(s.t, err)
	s.t.Cleanup(process.Kill)
	_, err = process.FirstLine()
	require.NoError(s.t, err, name)
	return process
}

func (s *street) startFintech() *testkit.Process {
	s.t.Helper()
	var banks []any
	for _, b := range s.banks {
		banks = append(banks, map[string]any{"name": b.name, "issuer": b.issuer, "resource_url": b.issuer + "/accounts"})
	}
	return s.launch("fintech", "fintech", map[string]any{
		"banks": banks, "client_id": "fintech", "redirect_uri": s.fintech + "/callback", "scope": "openid accounts payments offline_access",
		"jwks": map[string]any{"keys": []any{testkit.JWK(s.t, s.key, "k", "ES256")}}, "ca_file": "ca.pem",
	})
}

func (b *branch) start() {
	b.t.Helper()
	b.process = b.launch("bank", b.name, map[string]any{
		"issuer": b.issuer, "openid": true, "require_dpop_nonce": true, "operator_listen": b.operator, "operator_secret": operatorSecret,
		"users": []any{map[string]string{"username": "alice", "password": "correct horse"}}, "auto_approve": "alice",
		"clients": []any{map[string]any{
			"client_id": "fintech", "redirect_uris": []string{b.fintech + "/callback"}, "dpop_bound_access_tokens": true,
			"grant_types":                 []string{"authorization_code", "refresh_token", "client_credentials"},
			"scope":                       "openid accounts payments offline_access grant_management_query grant_management_revoke",
			"authorization_details_types": []string{"payment_initiation", "account_information"},
			"jwks":                        map[string]any{"keys": []any{testkit.PublicJWK(b.t, b.key, "k", "ES256")}}, "token_endpoint_auth_method": "private_key_jwt",
		}},
	})
}

func (b *branch) stop() { assert.NoError(b.t, b.process.Stop()) }

// form returns the form that chooses the bank.
func (b *branch) form() url.Values { return url.Values{"bank": {b.issuer}} }

var operatorForm = regexp.MustCompile(`<form method="post" action="/keys">\s*<input type="hidden" name="form" value="([^"]*)"`)

// replaceKeys has the operator report that the signing keys are stolen.
func (b *branch) replaceKeys() {
	b.t.Helper()
	before := b.keys()
	page := b.operate(http.MethodGet, "/", nil)
	form := operatorForm.FindStringSubmatch(page)
	require.NotNil(b.t, form, "%s", page)
	b.operate(http.MethodPost, "/keys", url.Values{"form": {form[1]}, "stolen": {"on"}})
	require.NotEqual(b.t, before, b.keys())
}

// operate returns a page of the operator.
func (b *branch) operate(method, path string, form url.Values) string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+b.operator+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	r.SetBasicAuth("operator", operatorSecret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, page := b.do(r)
	require.Equal(b.t, http.StatusOK, status, "%s", page)
	return page
}

// keys returns the published keys.
func (b *branch) keys() string {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.issuer+"/jwks", nil)
	require.NoError(b.t, err)
	_, set := b.do(r)
	return set
}

func (s *street) do(r *http.Request) (status int, page string) {
	s.t.Helper()
	response, err := s.browser.Do(r)
	require.NoError(s.t, err)
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, string(body)
}

// open returns the page of the fintech at the end of all redirects.
func (s *street) open(method, path string, form url.Values) (status int, page string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.fintech+path, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return s.do(r)
}

// requireAccounts opens a page, which shows the accounts at these banks only.
func (s *street) requireAccounts(method, path string, form url.Values, want ...*branch) {
	s.t.Helper()
	status, page := s.open(method, path, form)
	require.Equal(s.t, http.StatusOK, status, "%s", page)
	require.True(s.t, shows(page, want), "%s", page)
}

// shows reports whether a page has the accounts at these banks only.
func shows(page string, banks []*branch) bool {
	for _, b := range banks {
		_, section, _ := strings.Cut(page, "<h2>"+b.name+"</h2>")
		section, _, _ = strings.Cut(section, "<h2>")
		if !anIBAN.MatchString(section) {
			return false
		}
	}
	return strings.Count(page, "Accounts of alice") == len(banks)
}

// eventually waits until the accounts at these banks are shown. The fintech
// makes pauses between its attempts to reach a bank.
func (s *street) eventually(path string, form url.Values, want ...*branch) {
	s.t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	var page string
	require.Eventually(s.t, func() bool {
		_, page = s.open(method, path, form)
		return shows(page, want)
	}, 30*time.Second, 200*time.Millisecond, "%s", page)
}
