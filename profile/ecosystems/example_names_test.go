package ecosystems_test

import (
	"fmt"

	"github.com/gofapi/fapi2/profile/ecosystems"
)

// A program lists the ecosystems among which its operator chooses.
func ExampleNames() {
	for _, name := range ecosystems.Names() {
		set, err := ecosystems.Rules(name)
		if err != nil {
			panic(err)
		}
		fmt.Println(name, "-", set.Title)
	}
	// Output:
	// au-cdr - Consumer Data Right (Australia)
	// au-connectid - ConnectID (Australia)
	// br-opf - Open Finance Brasil, without registration
	// no-helseid - HelseID (Norway), for clients
	// sa-ksa - KSA Open Banking (SAMA, Saudi Arabia)
	// sg-singpass - Singpass Login and Myinfo v5 (Singapore), for clients
	// uae-cbuae - UAE Open Finance (CBUAE)
	// uk-obl - UK Open Banking (OBL)
}

// A name without a document is an error that lists the names.
func ExampleRules() {
	_, err := ecosystems.Rules("atlantis")
	fmt.Println(err)
	// Output:
	// ecosystems: unknown ecosystem "atlantis", want one of au-cdr, au-connectid, br-opf, no-helseid, sa-ksa, sg-singpass, uae-cbuae, uk-obl
}
