package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gofapi/fapi2/examples/internal/demo"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// These are the addresses of the bank without a configuration. The
// configuration of examples/fintech contains them.
const (
	demoIssuer   = "https://localhost:9443"
	demoListen   = "localhost:9443"
	demoMTLS     = "localhost:9444"
	demoClient   = "fintech"
	demoRedirect = "https://localhost:9445/callback"
	demoUser     = "alice"
	demoPassword = "correct horse"
	demoScope    = "openid accounts payments offline_access"
)

// A demonstration is a bank that runs without a configuration. Its directory
// has the private keys of the client and of the CA. They outlive the program,
// so a restarted bank is the same bank to the fintech and to a browser.
type demonstration struct {
	path      string
	root      *os.Root
	jwk       map[string]string // of the client, with the private part
	authority *authority
}

func newDemo(directory string) (*config, *demonstration, error) {
	d := &demonstration{path: demo.Path(directory)}
	var err error
	if d.root, err = demo.Make(d.path); err != nil {
		return nil, nil, err
	}
	if d.jwk, err = d.clientKey(); err != nil {
		return nil, nil, err
	}
	if d.authority, err = d.loadAuthority(); err != nil {
		return nil, nil, err
	}
	public := map[string]string{}
	for name, value := range d.jwk {
		if name != "d" {
			public[name] = value
		}
	}
	document, err := json.Marshal(map[string]any{
		"issuer": demoIssuer, "listen": demoListen, "mtls_listen": demoMTLS, "openid": true,
		"resource_servers": map[string][]string{},
		"users":            []user{{Username: demoUser, Password: demoPassword}},
		"clients": []any{map[string]any{
			"client_id": demoClient, "client_name": "The Fintech", "redirect_uris": []string{demoRedirect},
			"scope":                       demoScope + " grant_management_query grant_management_revoke",
			"authorization_details_types": []string{openbanking.PaymentType, openbanking.AccountInformationType},
			"grant_types":                 []string{"authorization_code", "refresh_token", "client_credentials"},
			"token_endpoint_auth_method":  "private_key_jwt",
			"dpop_bound_access_tokens":    true, "jwks": map[string]any{"keys": []any{public}},
		}},
	})
	if err != nil {
		return nil, nil, err
	}
	cfg, err := parseConfig(document, "sqlite:"+filepath.Join(d.path, "bank.db"))
	if err == nil {
		cfg.authority, cfg.demo = d.authority, d
	}
	return cfg, d, err
}

// clientKey returns the client's key of an earlier run, or a new one.
func (d *demonstration) clientKey() (jwk map[string]string, err error) {
	stored, err := d.root.ReadFile("fintech.jwk")
	if err == nil && json.Unmarshal(stored, &jwk) == nil {
		if _, _, err := jwks.ParsePrivateKey(stored); err == nil {
			return jwk, nil
		}
	}
	if jwk, err = newJWK(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		return nil, err
	}
	return jwk, demo.Replace(d.root, "fintech.jwk", text, 0o600)
}

// loadAuthority returns the CA of an earlier run, or a new one. The name
// constraints of its certificate limit it to localhost. An attacker with the
// key cannot certify other hosts.
func (d *demonstration) loadAuthority() (*authority, error) {
	certificate, noCertificate := d.root.ReadFile("ca.pem")
	key, noKey := d.root.ReadFile("ca.key")
	if noCertificate == nil && noKey == nil {
		if a, err := parseAuthority(certificate, key, localhosts...); err == nil {
			return a, nil
		}
	}
	a, err := newAuthority(localhosts...)
	if err != nil {
		return nil, err
	}
	if key, err = keyPEM(a.key); err != nil {
		return nil, err
	}
	return a, errors.Join(demo.Replace(d.root, "ca.key", key, 0o600), demo.Replace(d.root, "ca.pem", a.pem(), 0o600))
}

// newJWK creates a key for ES256 and returns it as a JWK with its private part.
func newJWK() (map[string]string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	private, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "fintech",
		"x": encode(public[1:33]), "y": encode(public[33:]), "d": encode(private),
	}, nil
}

// write stores the files that the client needs: its configuration, a
// certificate for its pages, and the certificate of the bank's CA.
func (d *demonstration) write() error {
	certificate, err := d.authority.issue()
	if err != nil {
		return err
	}
	key, err := keyPEM(certificate.PrivateKey)
	if err != nil {
		return err
	}
	configuration, err := json.MarshalIndent(map[string]any{
		"issuer": demoIssuer, "client_id": demoClient, "redirect_uri": demoRedirect,
		"jwks": map[string]any{"keys": []any{d.jwk}}, "token_endpoint_auth_method": "private_key_jwt",
		"dpop_bound_access_tokens": true,
		"scope":                    demoScope, "openid": true, "message_signing": []string{},
		"resource_url": demoIssuer + "/accounts",
		"ca_file":      "ca.pem", "tls_cert_file": "fintech.crt", "tls_key_file": "fintech.key",
	}, "", "  ")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{"fintech.crt", certificatePEM(certificate.Certificate[0])}, {"fintech.key", key},
		{"fintech.json", configuration},
	} {
		if err := demo.Replace(d.root, file.name, file.content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile replaces a file that all users of the machine may read.
func replaceFile(path string, content []byte) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	return demo.Replace(root, filepath.Base(path), content, 0o644)
}

func (d *demonstration) explain(out io.Writer) {
	fmt.Fprintf(out, `The bank is at %[1]s. Start the client, in another terminal:

    go run ./examples/fintech

and open https://localhost:9445/ in a browser. Log in here as

    user      %[2]s
    password  %[3]s

Your browser does not know who has made the certificates of the two. Go on in spite of its warning, or have it trust
%[4]s
which is for localhost alone. See %[1]s/apps for what you have agreed to.

`, demoIssuer, demoUser, demoPassword, filepath.Join(d.path, "ca.pem"))
}
