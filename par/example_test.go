package par_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/gofapi/fapi2/par"
)

// The whole dialogue: an authorization server with two endpoints of its own, and a client.
func Example() {
	// The authorization server. What it accepts from which client is its own decision.
	server, _ := par.NewServer(par.ServerConfig{Check: func(_ context.Context, clientID string, params url.Values) error {
		return par.CheckRedirectURI(redirectURIs(clientID), params.Get("redirect_uri"))
	}})
	mux := http.NewServeMux()
	mux.HandleFunc("/par", func(w http.ResponseWriter, r *http.Request) {
		params, err := par.ParseForm(r)
		if err != nil {
			par.WriteError(w, err)
			return
		}
		client := authenticate(r, params) // as at the token endpoint
		pushed, err := server.Push(r.Context(), par.PushRequest{ClientID: client, Params: params})
		if err != nil {
			par.WriteError(w, err)
			return
		}
		pushed.ServeHTTP(w, r)
	})
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		clientID, requestURI, err := par.ParseAuthorizationRequest(r.URL.Query())
		var request par.Request
		if err == nil {
			request, err = server.Load(r.Context(), clientID, requestURI)
		}
		if err != nil {
			http.Error(w, "this link is not valid, or not any more", http.StatusBadRequest)
			return
		}
		// Here the user logs in and consents, usually on several pages that use
		// Resume. The last page continues:
		if err := server.Consume(r.Context(), request, rand.Text()); err != nil {
			http.Error(w, "this link was used before", http.StatusBadRequest)
			return
		}
		answer, _ := url.Parse(request.Get("redirect_uri")) // which may have a query of its own
		query := answer.Query()
		query.Set("code", "SplxlOBeZQQYbYS6WxSbIA")
		query.Set("iss", "https://as.example")
		if state := request.Get("state"); state != "" {
			query.Set("state", state)
		}
		answer.RawQuery = query.Encode()
		http.Redirect(w, r, answer.String(), http.StatusSeeOther)
	})
	as := httptest.NewTLSServer(mux)
	defer as.Close()

	// The client.
	client, _ := par.NewClient(par.ClientConfig{Endpoint: as.URL + "/par", HTTPClient: as.Client(),
		Authenticate: func(_ context.Context, form url.Values) error {
			form.Set("client_assertion", "…") // a new one for each request
			return nil
		}})
	pushed, err := client.Push(context.Background(), url.Values{
		"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"accounts"}, "state": {"af0ifjsldkj"},
	})
	fmt.Println(err, pushed.ExpiresIn)
	location, _ := par.AuthorizationURL(as.URL+"/authorize", "app", pushed.RequestURI)

	// The user's browser, twice.
	fmt.Println(browse(as, location))
	fmt.Println(browse(as, location))
	// Output:
	// <nil> 1m30s
	// 303 https://app.example/cb?code=SplxlOBeZQQYbYS6WxSbIA&iss=https%3A%2F%2Fas.example&state=af0ifjsldkj
	// 400
}

func redirectURIs(string) []string { return []string{"https://app.example/cb"} }

func authenticate(_ *http.Request, params url.Values) string {
	if params.Get("client_assertion") == "" {
		return ""
	}
	return params.Get("client_id")
}

func browse(as *httptest.Server, location string) (status int, to string) {
	resp, err := as.Client().Transport.RoundTrip(httptest.NewRequest("GET", location, nil))
	if err != nil {
		return 0, err.Error()
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}
