package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/tokenbinding"
)

// newAPI returns the API as it is reached at a base URL, by path. A proof names the URL that it is for, so each base has a
// guard of its own; certificates are asked for at one of them only.
func (b *bank) newAPI(base string, asksCertificates bool) (map[string]http.Handler, error) {
	metadata := b.resourceMetadata()
	if err := metadata.CheckPublished(); err != nil {
		return nil, err
	}
	metadataURL, err := metadata.URL()
	if err != nil {
		return nil, err
	}
	settings := profile.ResourceServerConfig{
		Resource: b.cfg.resources[0], BaseURL: origin(base), ResourceMetadata: metadataURL,
	}
	if settings.Nonces, err = b.cfg.nonces(b.now); err != nil {
		return nil, err
	}
	if asksCertificates {
		if settings.Certificates, err = tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{}); err != nil {
			return nil, err
		}
	}
	guard, err := b.server.ResourceServer(settings)
	if err != nil {
		return nil, err
	}
	return map[string]http.Handler{
		urlPath(metadataURL):    metadata.Handler(),
		b.cfg.path("/accounts"): guard.Require(only(map[string]http.HandlerFunc{http.MethodGet: b.accounts}), "accounts"),
		b.cfg.path("/payments"): guard.Require(only(map[string]http.HandlerFunc{http.MethodPost: b.pay})),
	}, nil
}

func (b *bank) resourceMetadata() *profile.ResourceMetadata {
	server := b.server.Metadata()
	return &profile.ResourceMetadata{
		Resource: b.cfg.resources[0], AuthorizationServers: []string{b.cfg.issuer}, ResourceName: "Accounts and payments",
		ScopesSupported: []string{"accounts", "payments"}, BearerMethodsSupported: []string{"header"},
		TLSClientCertificateBoundAccessTokens: b.cfg.mtlsListen != "", DPoPBoundAccessTokensRequired: b.cfg.mtlsListen == "",
		DPoPSigningAlgValuesSupported: server.DPoPSigningAlgValuesSupported,
	}
}

// An account is what GET /accounts lists.
type account struct {
	IBAN     string `json:"iban"`
	Name     string `json:"name"`
	Currency string `json:"currency"`
}

// accounts lists the accounts of who has let the client in. A client that acts for itself has none.
func (b *bank) accounts(w http.ResponseWriter, r *http.Request) {
	token, ok := profile.TokenFromContext(r.Context())
	if !ok { // served without its guard
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	answer := struct {
		Owner    string    `json:"owner"`
		Accounts []account `json:"accounts"`
	}{token.Subject(), []account{}}
	if b.users.exists(token.Subject()) {
		answer.Accounts = accountsOf(token.Subject())
	}
	writeJSON(w, http.StatusOK, answer)
}

func (b *bank) pay(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusCreated, map[string]string{"status": "accepted"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client is gone
}

// accountsOf makes up accounts, the same ones each time.
func accountsOf(user string) []account {
	digest := sha256.Sum256([]byte(user))
	number := binary.BigEndian.Uint64(digest[:]) % 1_000_000_000
	return []account{
		{fmt.Sprintf("XX00 EXAM %09d 01", number), "Current account", "EUR"},
		{fmt.Sprintf("XX00 EXAM %09d 02", number), "Savings", "EUR"},
	}
}
