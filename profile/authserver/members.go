package authserver

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// kindMembers is the kind of the entries with the members of the host that
// introspection responses contain.
const kindMembers = "members"

const (
	maxMembers     = 4 << 10 // bytes: each code and refresh token stores them
	maxMemberName  = 64
	maxMemberDepth = 8
)

// ownMembers are the members of token responses, of introspection responses and
// of error responses. A host cannot replace them or add them.
var ownMembers = []string{
	"access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token", "authorization_details",
	"grant_id", "issued_token_type", "active", "iss", "sub", "aud", "client_id", "username", "iat", "nbf", "exp",
	"jti", "cnf", "auth_time", "acr", "amr", "error", "error_description", "error_uri",
}

// checkMembers checks the members of a host. Names are those of response
// parameters (RFC 6749 §8.2). A response with other values could be unreadable
// for the client.
func checkMembers(members map[string]json.RawMessage) error {
	if len(members) == 0 {
		return nil
	}
	size := 0
	folded := make(map[string]bool, len(members))
	for name, value := range members {
		size += len(name) + len(value)
		switch {
		case !isMemberName(name):
			return fmt.Errorf("member %.64q: malformed name, want 1 to %d letters, digits, '-', '.' and '_'",
				name, maxMemberName)
		case jwt.Reserved(ownMembers, name):
			return fmt.Errorf("member %q: reserved name", name)
		case folded[strings.ToLower(name)]:
			return fmt.Errorf("member %q: another member whose name differs only by case", name)
		case size > maxMembers:
			return fmt.Errorf("more than %d bytes", maxMembers)
		case !isReadable(value):
			return fmt.Errorf("member %q: malformed JSON", name)
		case depthOf(value) > maxMemberDepth:
			return fmt.Errorf("member %q: more than %d levels", name, maxMemberDepth)
		}
		if err := strictjson.Valid(value); err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
		folded[strings.ToLower(name)] = true
	}
	return nil
}

// isReadable reports whether a value is JSON whose numbers fit into a float64.
// Many parsers reject a response with others.
func isReadable(value json.RawMessage) bool {
	var parsed any
	return json.Unmarshal(value, &parsed) == nil
}

func isMemberName(name string) bool {
	return name != "" && len(name) <= maxMemberName && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
	})
}

// depthOf returns how deeply arrays and objects are nested in a JSON value.
func depthOf(value []byte) (deepest int) {
	depth, inString := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == '{' || c == '['):
			depth++
			deepest = max(deepest, depth)
		case !inString && (c == '}' || c == ']'):
			depth--
		}
	}
	return deepest
}

// keepMembers stores the members of an authorization for introspection
// responses about its access tokens.
func (s *Server) keepMembers(ctx context.Context, g grant) error {
	if len(g.Members) == 0 || s.cfg.Introspection == nil || !s.cfg.Introspection.TokenMembers {
		return nil
	}
	record := newRecord(kindMembers)
	record.Raws(kindMembers, g.Members)
	return s.keep(ctx, kindMembers, g, record.Bytes())
}

// keptMembers returns the members for an introspection response about an access
// token.
func (s *Server) keptMembers(ctx context.Context, tokenID string) (map[string]any, error) {
	if !s.cfg.Introspection.TokenMembers || !wire.HasGrant(tokenID) {
		return nil, nil
	}
	value, version, err := s.stores.refresh.Get(ctx, s.storeKey(kindMembers, tokenID[:wire.GrantIDLength]))
	if err != nil {
		return nil, fmt.Errorf("%w: members of a token: %w", ErrStore, err)
	}
	if version == 0 {
		return nil, nil
	}
	record := readRecord(kindMembers, value)
	members := extraMembers(record.Raws(kindMembers))
	if record.Err() != nil {
		return nil, errMalformedRecord
	}
	return members, nil
}

// extraMembers returns members as package introspection expects them.
func extraMembers(members map[string]json.RawMessage) map[string]any {
	if len(members) == 0 {
		return nil
	}
	extra := make(map[string]any, len(members))
	for name, value := range members {
		extra[name] = value
	}
	return extra
}

// writeMembers writes members in the order of their names.
func writeMembers(w *strictjson.Writer, members map[string]json.RawMessage) {
	if len(members) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		w.Raw(name, members[name])
	}
}
