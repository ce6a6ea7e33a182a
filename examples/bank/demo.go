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

	"github.com/gofapi/fapi2/rar/openbanking"
)

// The bank that runs without a configuration, and where examples/fintech looks for its own.
const (
	demoIssuer    = "https://localhost:9443"
	demoListen    = "localhost:9443"
	demoMTLS      = "localhost:9444"
	demoClient    = "fintech"
	demoRedirect  = "https://localhost:9445/callback"
	demoUser      = "alice"
	demoPassword  = "correct horse"
	demoDirectory = "fapi2-demo"
	demoScope     = "openid accounts payments"
)

// A demo is the directory that the two examples share. It holds the client's private keys, so it is nobody else's.
type demo struct {
	path string
	root *os.Root
	jwk  map[string]string // of the client, with the private part
}

func newDemo() (*config, *demo, error) {
	d := &demo{path: filepath.Join(os.TempDir(), demoDirectory)}
	var err error
	if d.root, err = ownDirectory(d.path); err != nil {
		return nil, nil, err
	}
	if d.jwk, err = newJWK(); err != nil {
		return nil, nil, err
	}
	public := map[string]string{}
	for name, value := range d.jwk {
		if name != "d" {
			public[name] = value
		}
	}
	document, err := json.Marshal(map[string]any{
		"issuer": demoIssuer, "listen": demoListen, "mtls_listen": demoMTLS, "openid": true, "resource_servers": map[string][]string{},
		"users": []user{{demoUser, demoPassword}},
		"clients": []any{map[string]any{
			"client_id": demoClient, "client_name": "The Fintech", "redirect_uris": []string{demoRedirect},
			"scope":                       demoScope + " grant_management_query grant_management_revoke",
			"authorization_details_types": []string{openbanking.PaymentType, openbanking.AccountInformationType},
			"grant_types":                 []string{"authorization_code", "refresh_token", "client_credentials"}, "token_endpoint_auth_method": "private_key_jwt",
			"dpop_bound_access_tokens": true, "jwks": map[string]any{"keys": []any{public}},
		}},
	})
	if err != nil {
		return nil, nil, err
	}
	cfg, err := parseConfig(document)
	return cfg, d, err
}

// ownDirectory makes a directory, or opens one that is ours alone. Others may write to the directory that it is in: what
// they have put there under its name, a symbolic link above all, would have the keys.
func ownDirectory(path string) (*os.Root, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	there, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil && (!there.IsDir() || !os.SameFile(there, opened) || !isOurs(opened)) {
		err = fmt.Errorf("%s is not a directory that only you can use: remove it, or set TMPDIR", path)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// newJWK makes a key for ES256, as a JWK with its private part.
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

// write gives the client all that it needs: its configuration, a certificate for its own pages, and who vouches for ours.
func (d *demo) write(a *authority) error {
	certificate, err := a.issue()
	if err != nil {
		return err
	}
	key, err := keyPEM(certificate.PrivateKey)
	if err != nil {
		return err
	}
	configuration, err := json.MarshalIndent(map[string]any{
		"issuer": demoIssuer, "client_id": demoClient, "redirect_uri": demoRedirect,
		"jwks": map[string]any{"keys": []any{d.jwk}}, "token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true,
		"scope": demoScope, "openid": true, "message_signing": []string{}, "resource_url": demoIssuer + "/accounts",
		"ca_file": "ca.pem", "tls_cert_file": "fintech.crt", "tls_key_file": "fintech.key",
	}, "", "  ")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{"ca.pem", a.pem()}, {"fintech.crt", certificatePEM(certificate.Certificate[0])}, {"fintech.key", key}, {"fintech.json", configuration},
	} {
		if err := replaceIn(d.root, file.name, file.content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// replaceIn writes a file so that whoever reads it reads all of it, the old one or the new one.
func replaceIn(root *os.Root, name string, content []byte, mode os.FileMode) error {
	unfinished := name + "." + rand.Text()
	if err := root.WriteFile(unfinished, content, mode); err != nil {
		return err
	}
	if err := root.Rename(unfinished, name); err != nil {
		return errors.Join(err, root.Remove(unfinished))
	}
	return nil
}

// replaceFile writes what everybody may read.
func replaceFile(path string, content []byte) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	return replaceIn(root, filepath.Base(path), content, 0o644)
}

func (d *demo) explain(out io.Writer) {
	fmt.Fprintf(out, `The bank is at %[1]s. Start the client, in another terminal:

    go run ./examples/fintech

and open https://localhost:9445/ in a browser. Log in here as

    user      %[2]s
    password  %[3]s

Your browser does not know who has made the certificates of the two. Go on in spite of its warning, or have it trust
%[4]s
which is for localhost alone and for as long as the bank runs. See %[1]s/apps for what you have agreed to.

`, demoIssuer, demoUser, demoPassword, filepath.Join(d.path, "ca.pem"))
}
