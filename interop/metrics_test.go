package interop_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

const operatorSecret = "a secret of the operator"

// The metrics of a running bank and of a running fintech have the names and the
// labels of the dashboard and of the alerts.
func TestTheExamplesServeTheMetricsOfTheDashboard(t *testing.T) {
	t.Parallel()
	e := startExamples(t)
	e.connect(t, http.StatusOK, func(url.Values) {})
	e.connect(t, http.StatusBadRequest, func(callback url.Values) { callback.Set("iss", "https://evil.example") })
	e.connect(t, http.StatusBadGateway, func(callback url.Values) { callback.Set("code", "invented") })
	e.get(t, e.fintech+"/accounts", http.StatusOK)
	response, err := e.browser.PostForm(e.bank+"/token", nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	served := map[string][]string{}
	scrape(t, "https://"+e.operator+"/metrics", served)
	scrape(t, "http://"+e.metrics+"/metrics", served)
	for name, expressions := range map[string]map[string]string{"dashboard": dashboardExpressions(t), "alerts": alertExpressions(t)} {
		for title, expression := range expressions {
			names, labels := namesIn(expression)
			for _, metric := range names {
				require.Contains(t, served, metric, "%s of the %s", title, name)
				for _, label := range labels {
					require.Contains(t, append(slices.Clone(served[metric]), "job"), label, "%s of the %s", title, name)
				}
			}
		}
	}
}

// examplesOf are a running bank that approves everything, and a running fintech.
type examplesOf struct {
	bank, fintech     string // base URLs
	operator, metrics string // addresses
	browser           *http.Client
}

// startExamples starts a bank and a fintech with telemetry.
func startExamples(t *testing.T) *examplesOf {
	t.Helper()
	authority, key, dir := testkit.NewAuthority(t), testkit.NewKey(t), t.TempDir()
	server := authority.ServerPEM(t)
	certificate, private, ca := writeFile(t, dir, "own.crt", server.Cert), writeFile(t, dir, "own.key", server.Key), writeFile(t, dir, "ca.pem", server.CA)
	e := &examplesOf{operator: freeAddress(t), metrics: freeAddress(t), browser: authority.HTTPClient(t)}
	e.browser.Jar, _ = cookiejar.New(nil) // never fails
	e.browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	bank, fintech := freeAddress(t), freeAddress(t)
	e.bank, e.fintech = "https://"+bank, "https://"+fintech
	start := func(name string, settings map[string]any) {
		settings["tls_cert_file"], settings["tls_key_file"] = certificate, private
		document, err := json.Marshal(settings)
		require.NoError(t, err)
		process, err := testkit.Launch(exec.Command(testkit.Build(t, name), "-config", writeFile(t, dir, name+".json", string(document))))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, process.Stop()) })
		_, err = process.FirstLine()
		require.NoError(t, err)
	}
	start("bank", map[string]any{
		"issuer": e.bank, "openid": true, "require_dpop_nonce": true, "operator_listen": e.operator, "operator_secret": operatorSecret,
		"users": []any{map[string]string{"username": "alice", "password": "correct horse"}}, "auto_approve": "alice",
		"clients": []any{map[string]any{
			"client_id": "fintech", "redirect_uris": []string{e.fintech + "/callback"}, "scope": "openid accounts", "dpop_bound_access_tokens": true,
			"jwks": map[string]any{"keys": []any{testkit.PublicJWK(t, key, "k", "ES256")}}, "token_endpoint_auth_method": "private_key_jwt",
		}},
	})
	start("fintech", map[string]any{
		"issuer": e.bank, "client_id": "fintech", "redirect_uri": e.fintech + "/callback", "resource_url": e.bank + "/accounts", "scope": "openid accounts",
		"jwks": map[string]any{"keys": []any{testkit.JWK(t, key, "k", "ES256")}}, "ca_file": ca, "metrics_listen": e.metrics,
	})
	return e
}

// connect connects the bank at the fintech. change changes the authorization
// response.
func (e *examplesOf) connect(t *testing.T, want int, change func(callback url.Values)) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.fintech+"/connect", nil)
	require.NoError(t, err)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := e.browser.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	callback, err := url.Parse(e.get(t, response.Header.Get("Location"), http.StatusSeeOther, http.StatusFound))
	require.NoError(t, err)
	query := callback.Query()
	change(query)
	callback.RawQuery = query.Encode()
	e.get(t, e.fintech+e.get(t, callback.String(), http.StatusSeeOther), want)
}

// get returns the redirect of a page, if there is one.
func (e *examplesOf) get(t *testing.T, page string, want ...int) (location string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	require.NoError(t, err)
	response, err := e.browser.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Contains(t, want, response.StatusCode, page)
	return response.Header.Get("Location")
}

// scrape adds the metrics of a page, with all labels that they have.
func scrape(t *testing.T, url string, served map[string][]string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.SetBasicAuth("prometheus", operatorSecret)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // its content is under test
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, 4<<20))
	require.NoError(t, err)
	for name, family := range families {
		require.True(t, strings.HasPrefix(name, "fapi2_") || name == "target_info", "%s is not documented", name)
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				for _, suffix := range []string{"", "_count", "_sum", "_bucket"} {
					if !slices.Contains(served[name+suffix], pair.GetName()) {
						served[name+suffix] = append(served[name+suffix], pair.GetName())
					}
				}
			}
		}
		served[name+"_bucket"] = append(served[name+"_bucket"], "le")
	}
}
