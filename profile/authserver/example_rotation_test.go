package authserver_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
)

// fileTime is the time in the name of a key file, in UTC.
const fileTime = "20060102T150405Z"

// keyDirectory returns the signing keys in a directory. A file is named after
// the key and the time from which it signs, for example
// bank-2026.20260701T060000Z.pem, and contains a private key in PKCS #8. Rename
// a complete file into the directory. Files with other names are not keys.
func keyDirectory(dir string) func(context.Context) ([]profile.SigningKey, error) {
	return func(context.Context) ([]profile.SigningKey, error) {
		files, err := filepath.Glob(filepath.Join(dir, "*.*.pem")) // in the order of their names
		if err != nil {
			return nil, err
		}
		var keys []profile.SigningKey
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".pem")
			kid := strings.TrimSuffix(name, filepath.Ext(name))
			key := profile.SigningKey{KeyID: kid}
			if key.SignsFrom, err = time.Parse("."+fileTime, filepath.Ext(name)); err != nil {
				return nil, fmt.Errorf("key %q: malformed time in the name of the file", kid)
			}
			if key.Key, err = readKey(file); err != nil {
				return nil, fmt.Errorf("key %q: %w", kid, err)
			}
			keys = append(keys, key)
		}
		return keys, nil
	}
}

// readKey reads a private key. Its errors do not quote the file.
func readKey(file string) (crypto.Signer, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("missing PRIVATE KEY")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("malformed PRIVATE KEY")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of type %T cannot sign", key)
	}
	return signer, nil
}

// writeKey makes a key and renames a complete file into the directory.
func writeKey(dir, kid string, from time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, kid+"."+from.UTC().Format(fileTime)+".pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(file+".new", block, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// The keys are files in a directory. A new file rotates the key. Each instance
// reads the directory every minute, or at once by RefreshKeys.
func ExampleServer_RefreshKeys() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	now := time.Now()
	if err := writeKey(dir, "bank-2025", now.AddDate(-1, 0, 0)); err != nil {
		log.Fatal(err)
	}
	server, err := authserver.New(authserver.Config{
		Issuer: "https://as.example", Resources: []string{"https://api.example"},
		KeySource: keyDirectory(dir),
		Clients: func(context.Context, string) (*profile.ClientMetadata, error) {
			return nil, clientauth.ErrUnknownClient
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	printKeys(server)
	if err := writeKey(dir, "bank-2026", now.AddDate(0, 0, 1)); err != nil { // signs tomorrow
		log.Fatal(err)
	}
	if err := server.RefreshKeys(context.Background()); err != nil {
		log.Fatal(err)
	}
	printKeys(server)

	if err := os.WriteFile(filepath.Join(dir, "bank-2027.soon.pem"), nil, 0o600); err != nil {
		log.Fatal(err)
	}
	fmt.Println(server.RefreshKeys(context.Background()))
	printKeys(server)
	// Output:
	// bank-2025
	// bank-2025 bank-2026
	// authserver: KeySource: key "bank-2027": malformed time in the name of the file
	// bank-2025 bank-2026
}

// printKeys prints the kids of the JWK Set.
func printKeys(server *authserver.Server) {
	document, err := json.Marshal(server.Keys())
	if err != nil {
		log.Fatal(err)
	}
	var set struct {
		Keys []struct {
			KeyID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		log.Fatal(err)
	}
	var kids []string
	for _, key := range set.Keys {
		kids = append(kids, key.KeyID)
	}
	fmt.Println(strings.Join(kids, " "))
}
