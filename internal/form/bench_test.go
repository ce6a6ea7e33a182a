package form_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// BenchmarkRead compares Read with a bare url.ParseQuery of the same body. The
// bodies are a pushed request, and the same with a parameter that makes it 252
// KiB long. A server rejects the latter after Read.
func BenchmarkRead(b *testing.B) {
	assertion := testkit.SignPayload(b, `{"iss":"client-1","sub":"client-1","aud":"https://as.example.com",`+
		`"exp":1700000060,"iat":1700000000,"jti":"f81d4fae7dec11d0a76500a0c91e6bf6"}`,
		jose.SignerOptions{KeyID: "key-1", Type: "client-authentication+jwt"}, testkit.ECKey(b, "client-1"))
	honest := url.Values{
		"client_id": {"client-1"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"response_type":         {"code"}, "redirect_uri": {"https://client.example.com/callback?tenant=1"},
		"scope": {"openid accounts payments"}, "state": {"s 1&2"}, "nonce": {"n-0S6_WzA2Mj"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode()
	rest := 252<<10 - len(honest+"&x=")
	for name, body := range map[string]string{
		"honest": honest, "plain": honest + "&x=" + strings.Repeat("x", rest),
		"escaped": honest + "&x=" + strings.Repeat("%41", rest/3),
	} {
		testkit.Benchmark(b, name+"/read", func() bool {
			_, err := form.Read(&http.Request{
				Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
				Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
			})
			return err == nil
		})
		testkit.Benchmark(b, name+"/bare", func() bool { _, err := url.ParseQuery(body); return err == nil })
	}
}
