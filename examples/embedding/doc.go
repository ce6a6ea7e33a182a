// Package embedding shows the use of single packages without package profile.
// An existing API uses them in api_test.go. An existing authorization server
// adds pushed authorization requests, PKCE and client authentication in
// server_test.go. Both are examples that run and that you can copy.
package embedding
