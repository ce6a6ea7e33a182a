// Package embedding shows how the packages of this module go together without
// package profile: in an API that has its own ideas of everything else
// (api_test.go), and in an authorization server that exists already and gets
// pushed authorization requests, PKCE and client authentication
// (server_test.go). Both are examples that run; copy from them.
package embedding
