// Package testkit is the test harness shared by this module's tests: published vectors from files, keys that are made
// once, a clock that tests move by hand, one-character damage to a signed token, and many goroutines let go at once.
//
// Only _test.go files import it.
package testkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// LoadVectors reads every file that matches glob (relative to the directory of the package under test), each holding a
// JSON array of T, and returns their elements in the order of the file names.
//
// It ends the test when the pattern matches no file, when a file holds no vector, and when a vector has a member that T
// does not know: a set of vectors that nobody reads would pass every test.
func LoadVectors[T any](t testing.TB, glob string) []T {
	t.Helper()
	vectors, err := loadVectors[T](glob)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return vectors
}

func loadVectors[T any](glob string) ([]T, error) {
	files, err := filepath.Glob(glob)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", glob, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file matches %q", glob)
	}
	var all []T
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		vectors, err := decodeVectors[T](data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, vectors...)
	}
	return all, nil
}

func decodeVectors[T any](data []byte) ([]T, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var vectors []T
	if err := decoder.Decode(&vectors); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("bytes after the array")
	}
	if len(vectors) == 0 {
		return nil, errors.New("no vector in it")
	}
	return vectors, nil
}
