// Package frameworks guards APIs on chi, gin, echo and gRPC. Each file has the
// adapter of one framework, to be copied. docs/api.md explains them.
package frameworks
