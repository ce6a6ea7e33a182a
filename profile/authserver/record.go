package authserver

import (
	"encoding/json"
	"time"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// Members of records whose JSON is stored and read as it is. Each was checked
// before.
const (
	memberDetails = "authorization_details"
	memberChange  = "change"
)

// newRecord begins a record of a kind.
func newRecord(kind string) *strictjson.Writer {
	w := new(strictjson.Writer)
	w.String("kind", kind)
	return w
}

// readRecord reads a record of a kind. A record of another kind is damaged.
func readRecord(kind string, value []byte) *strictjson.Record {
	r := strictjson.ReadRecord(value, memberDetails, memberChange)
	if r.String("kind") != kind {
		r.Damage("another kind of record")
	}
	return r
}

// pushedData is stored together with the parameters of a pushed request.
type pushedData struct {
	Time   int64 // of the push
	Signed bool  // by a request object
}

func (d *pushedData) encode() []byte {
	var w strictjson.Writer
	w.Int("time", d.Time)
	w.Bool("signed", d.Signed)
	return w.Bytes()
}

func (d *pushedData) decode(value []byte) error {
	r := strictjson.ReadRecord(value)
	*d = pushedData{Time: r.Int("time"), Signed: r.Bool("signed")}
	return r.Err()
}

// A codeRecord is the stored value of an authorization code. It contains the
// code_challenge, and the code does not (PKCE-4.4-1).
type codeRecord struct {
	Binding Binding
	Grant   grant
	Expires int64 // of the code; the record is kept longer
	// Change takes effect with the redemption of the code.
	Change *grants.Change
	// Attempt is the ID of the token request that redeemed the code. The record
	// of a redeemed code has only the Binding, Expires and the ID of the Grant.
	Attempt string
}

func (c *codeRecord) encode() []byte {
	w := newRecord(kindCode)
	w.String("attempt", c.Attempt)
	w.Int("expires", c.Expires)
	w.String("client_id", c.Binding.ClientID)
	w.String("redirect_uri", c.Binding.RedirectURI)
	w.String("code_challenge", c.Binding.CodeChallenge)
	w.String("dpop_jkt", c.Binding.DPoPThumbprint)
	w.Object("grant", c.Grant.write)
	if c.Change != nil {
		change, _ := c.Change.MarshalJSON() // a Change is always JSON
		w.Raw(memberChange, change)
	}
	return w.Bytes()
}

func (c *codeRecord) decode(value []byte) error {
	r := readRecord(kindCode, value)
	*c = codeRecord{
		Attempt: r.String("attempt"),
		Expires: r.Int("expires"),
		Binding: Binding{
			ClientID: r.String("client_id"), RedirectURI: r.String("redirect_uri"),
			CodeChallenge: r.String("code_challenge"), DPoPThumbprint: r.String("dpop_jkt"),
		},
		Grant: readGrant(r.Object("grant")),
	}
	if change := r.Raw(memberChange); change != nil {
		c.Change = new(grants.Change)
		if c.Change.UnmarshalJSON(change) != nil {
			r.Damage("malformed change of a grant")
		}
	}
	return r.Err()
}

// A refreshRecord is the stored value of a refresh token.
type refreshRecord struct {
	Grant   grant
	Expires int64
}

func (t *refreshRecord) encode() []byte {
	w := newRecord(kindRefresh)
	w.Int("expires", t.Expires)
	w.Object("grant", t.Grant.write)
	return w.Bytes()
}

func (t *refreshRecord) decode(value []byte) error {
	r := readRecord(kindRefresh, value)
	*t = refreshRecord{Expires: r.Int("expires"), Grant: readGrant(r.Object("grant"))}
	return r.Err()
}

// grant is what was approved, as it is kept with codes and refresh tokens.
type grant struct {
	ID       string
	ClientID string
	Subject  string
	Scopes   []string
	Targets  []string
	Nonce    string
	AuthTime int64
	ACR      string
	AMR      []string
	Details  json.RawMessage
	// Managed is the ID of the managed grant that this authorization belongs
	// to, or "".
	Managed string
	// Ends is the end of the authorization, or zero if it has no end. A managed
	// authorization ends with its grant, which stores the time.
	Ends      time.Time
	NoRefresh bool
	// Claims are stored as they were encoded for the first time. A float64
	// could not hold a large number.
	Claims map[string]json.RawMessage
	// Members are those of the host in token responses.
	Members map[string]json.RawMessage
}

func (g *grant) write(w *strictjson.Writer) {
	w.String("id", g.ID)
	w.String("client_id", g.ClientID)
	w.String("sub", g.Subject)
	w.Strings("scopes", g.Scopes)
	w.Strings("resources", g.Targets)
	w.String("nonce", g.Nonce)
	w.Int("auth_time", g.AuthTime)
	w.String("acr", g.ACR)
	w.Strings("amr", g.AMR)
	w.Raw(memberDetails, g.Details)
	w.String("grant_id", g.Managed)
	w.Time("ends", g.Ends)
	w.Bool("no_refresh_token", g.NoRefresh)
	w.Raws("claims", g.Claims)
	w.Raws(kindMembers, g.Members)
}

func readGrant(r *strictjson.Record) grant {
	return grant{
		ID:        r.String("id"),
		ClientID:  r.String("client_id"),
		Subject:   r.String("sub"),
		Scopes:    r.Strings("scopes"),
		Targets:   r.Strings("resources"),
		Nonce:     r.String("nonce"),
		AuthTime:  r.Int("auth_time"),
		ACR:       r.String("acr"),
		AMR:       r.Strings("amr"),
		Details:   r.Raw(memberDetails),
		Managed:   r.String("grant_id"),
		Ends:      r.Time("ends"),
		NoRefresh: r.Bool("no_refresh_token"),
		Claims:    r.Raws("claims"),
		Members:   r.Raws(kindMembers),
	}
}

// consent returns the identifier of the consent, the same for all of its
// tokens. It is empty for a client that acts for itself. The user's subject
// never equals the client's ID: see checkApproval.
func (g grant) consent() string {
	switch {
	case g.Subject == g.ClientID:
		return ""
	case g.Managed != "":
		return g.Managed
	}
	return g.ID
}
