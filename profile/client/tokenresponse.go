package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/tokenbinding"
	"golang.org/x/oauth2"
)

// Keys of the Extra values that this package adds to a token. Their values have
// types that no JSON document can produce.
const (
	verifiedKey = "client: verified ID token"
	detailsKey  = "client: authorization_details"
)

// A tokenResponse is a token response that the client may still reject.
type tokenResponse struct {
	token    *oauth2.Token
	extra    map[string]any
	details  json.RawMessage // nil if missing or malformed
	verified *idtoken.Token  // nil until the ID token is verified
	key      *proofKey       // nil if the token is bound to DPoPKey or a certificate
}

// parseToken reads a token response.
func parseToken(response *http.Response, body []byte, want tokenbinding.Scheme, now time.Time) (*tokenResponse, error) {
	o, err := strictjson.ParseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	// Some servers report errors with status 200.
	if failure, _ := o.Text("error"); failure != "" && failure != "null" && failure != `""` {
		if received := retrieveError(response, body); received.ErrorCode != "" {
			return nil, received
		}
		return nil, fmt.Errorf("%w: malformed error", ErrTokenResponse)
	}
	token := &oauth2.Token{}
	if token.AccessToken, _, err = o.String("access_token"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	if !headerSafe(token.AccessToken) {
		return nil, fmt.Errorf("%w: missing or malformed access_token", ErrTokenResponse)
	}
	if token.TokenType, _, err = o.String("token_type"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	// DPOP-5-7, BASE-6749-5.1-2: a token of another type is not bound as
	// requested. CS-19: case does not matter.
	if want.CheckTokenType(token.TokenType) != nil {
		return nil, fmt.Errorf("%w: token_type %.32q, want %s", ErrTokenResponse, token.TokenType, want)
	}
	token.TokenType = string(want) // AT-6-1: the client does not read the token itself
	// The code or the refresh token is used up. An optional member of the wrong
	// type (RFC 6749 §5.1) therefore counts as absent.
	token.RefreshToken, _, _ = o.String("refresh_token")
	if seconds := expiresIn(o); seconds > 0 { // CS-19: expires_in is optional
		token.ExpiresIn, token.Expiry = seconds, now.Add(time.Duration(seconds)*time.Second)
	}
	parsed := &tokenResponse{token: token, extra: members(o)}
	if details, ok := o.Get("authorization_details"); ok && checkDetails(details) == nil { // RAR-7-1
		parsed.details = bytes.Clone(details)
	}
	return parsed, nil
}

// result returns the token. It removes an ID token that was not verified.
func (t *tokenResponse) result() *oauth2.Token {
	delete(t.extra, detailsKey)
	if t.details != nil {
		t.extra[detailsKey] = t.details
	}
	if t.verified == nil {
		delete(t.extra, "id_token")
	} else {
		t.extra[verifiedKey] = t.verified
	}
	if t.key != nil {
		t.extra[proofKeyKey] = t.key
	}
	return t.token.WithExtra(t.extra)
}

// IDToken returns the verified ID token that came with a token of
// [Client.Finish]. It returns false if there was none, if the token came from a
// refresh, or if the token was stored in the meantime.
func IDToken(token *oauth2.Token) (verified *idtoken.Token, ok bool) {
	if token == nil {
		return nil, false
	}
	verified, ok = token.Extra(verifiedKey).(*idtoken.Token)
	return verified, ok
}

// AuthorizationDetails returns the authorization_details of a token of this
// package, byte for byte as the server sent them (RFC 9396 §7). The Extra
// values of the token contain them as well, but with numbers as float64, which
// may round amounts. A [StoredToken] keeps them. The result is nil if the
// response had none, or if the host has stored the token. It is also nil unless
// the value is an array of objects that each have a type.
func AuthorizationDetails(token *oauth2.Token) json.RawMessage {
	if token == nil {
		return nil
	}
	details, _ := token.Extra(detailsKey).(json.RawMessage)
	return bytes.Clone(details)
}

// headerSafe reports whether an Authorization header can carry a token
// unchanged.
func headerSafe(token string) bool {
	return token != "" && syntax.IsVisible(token)
}

// members returns all members in the types of encoding/json, as
// oauth2.Token.Extra has them. A number that float64 cannot represent remains a
// json.RawMessage, so that the client does not reject the token because of it.
func members(o strictjson.Object) map[string]any {
	all := make(map[string]any)
	for _, name := range o.Names() {
		raw, _ := o.Get(name)
		var value any
		if json.Unmarshal(raw, &value) != nil {
			value = json.RawMessage(bytes.Clone(raw))
		}
		all[name] = value
	}
	return all
}

// expiresIn returns the lifetime in seconds, at most one year, and 0 if it is
// missing or malformed. Some servers send a string or a fraction.
func expiresIn(o strictjson.Object) int64 {
	raw, _ := o.Get("expires_in")
	var n json.Number
	if json.Unmarshal(raw, &n) != nil {
		return 0
	}
	f, _ := n.Float64() // infinity if it is too large
	if !(f > 0) {
		return 0
	}
	const year = 365 * 24 * 60 * 60
	return int64(math.Ceil(min(f, year)))
}
