// Package enginetest tests package sqlstore with real databases and drivers. It
// is a module of its own, so that users of sqlstore do not require the drivers.
package enginetest
