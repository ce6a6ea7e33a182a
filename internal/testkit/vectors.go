// Package testkit has the helpers of this module's tests. It reads test
// vectors, generates keys once, and has a clock that tests move. It damages
// tokens, and starts goroutines together. Only _test.go files import it.
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

// LoadVectors returns the elements of all files that match glob, in the order
// of the file names. Each file has a JSON array of T. The pattern is relative
// to the directory of the tested package.
//
// LoadVectors fails the test if no file matches, if a file has no vector, or if
// a vector has an unknown member. Vectors that are not read would pass every
// test.
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
		return nil, errors.New("no vectors")
	}
	return vectors, nil
}
