// Command fapi2 makes the keys of FAPI 2.0 programs.
//
//	go run github.com/gofapi/fapi2/cmd/fapi2@latest keygen -out my-app.jwk \
//		-client-id my-app -redirect-uri https://app.example/callback -scope "openid accounts"
//
// The subcommand keygen makes a signing key and writes it, as a private JWK, to
// a file that only its owner can read. It prints one document without a secret:
// the public JWK Set or, with -client-id, the registration of a client, which
// contains the set. jwks.ParsePrivateKey reads the file.
//
// An authorization server needs a key only, so leave out -client-id. For a
// production server, keep the key in a KMS or an HSM instead.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs the command and returns its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] != "keygen" {
		fmt.Fprintln(stderr, "usage: fapi2 keygen [flags], and fapi2 keygen -h lists the flags")
		return 2
	}
	flags := flag.NewFlagSet("fapi2 keygen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var k keygen
	flags.StringVar(&k.algorithm, "alg", "ES256", "`algorithm` of the key: ES256, Ed25519 or PS256")
	flags.StringVar(&k.file, "out", "key.jwk", "`file` for the private key, which must not exist")
	flags.StringVar(&k.keyID, "kid", "", "`name` of the key in the JWK Set (default: its thumbprint)")
	flags.StringVar(&k.clientID, "client-id", "", "`identifier` of a client, whose registration is printed")
	flags.StringVar(&k.redirectURI, "redirect-uri", "", "`URL` to which users return (default: there are no users)")
	flags.StringVar(&k.scope, "scope", "openid", "`scopes` that the client may request, separated by spaces")
	flags.StringVar(&k.idTokenAlg, "id-token-alg", "ES256", "`algorithm` with which the server signs ID tokens")
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "fapi2: unknown argument %q\n", flags.Arg(0))
		return 2
	}
	if err := k.run(stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "fapi2:", err)
		return 1
	}
	return 0
}
