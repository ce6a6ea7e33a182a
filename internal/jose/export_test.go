package jose

// The published vectors of JWE do not contain JWTs, and those of its parts are
// no JWE.
var (
	ConcatKDF = concatKDF
	Unwrap    = unwrap
)

// DecryptAny is Decrypt for content that is not a JWT.
func (d *Decrypter) DecryptAny(token string, max int) (string, error) {
	s, err := parseJWE(token, max, d.Accepts)
	if err != nil {
		return "", err
	}
	return d.open(&s)
}
