package jose

// Some published vectors are for the steps of the decryption.
var (
	ConcatKDF = concatKDF
	Unwrap    = unwrap
)

// DecryptAny is Decrypt for content that is not a JWT. The content of one
// vector has four full stops.
func (d *Decrypter) DecryptAny(token string, max int) (string, error) {
	s, err := parseJWE(token, max, d.Accepts)
	if err != nil {
		return "", err
	}
	return d.open(&s)
}
