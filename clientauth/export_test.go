package clientauth

// The normal forms of names, for the properties that hold of them.
var (
	ParseName   = parseName
	EncodedName = encodedName
)
