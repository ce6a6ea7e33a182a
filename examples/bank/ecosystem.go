package main

import "github.com/gofapi/fapi2/examples/internal/configfile"

// ecosystemMembers returns the members of a configuration file by which the
// bank plays a bank of an ecosystem.
func (c *config) ecosystemMembers() []configfile.Member {
	return []configfile.Member{
		{Name: "interaction_ids", Into: &c.interactionIDs, Default: "echo",
			Meaning: "The treatment of x-fapi-interaction-id: echo, make one for a request without it, or require it."},
		{Name: "acr_values", Into: &c.acrValues, Default: "none",
			Meaning: "The authentication context classes that a login at this bank meets, the first one by default."},
		{Name: "authorization_details_types", Into: &c.detailTypesFile, Default: "the bank's own types",
			Meaning: "A file with further types of authorization details, as a JSON object from the type to its " +
				"JSON Schema. They have no meaning at the bank's API."},
		{Name: "consents", Into: &c.consents, Default: "none",
			Meaning: "Endpoints at which a client creates consents before the authorization request, with a token of " +
				"the client credentials grant. Each has a path and the scope of that token. media_type is json or " +
				"jwt, for signed messages in both directions. schema is a file with the JSON Schema of a request. " +
				"id and status are the members of the response that have the identifier and the state, and expires " +
				"is the member of the request that has the end, for example Data.ConsentId. id_prefix begins each " +
				"identifier. states has the names of awaiting, authorised, rejected, revoked and expired."},
	}
}
