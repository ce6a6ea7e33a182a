// Package grants implements Grant Management for OAuth 2.0 (draft 03, which is the first Implementer's Draft, with the names
// of draft 04), for both sides.
package grants
