// Package demo manages the directory that the bank and the fintech share when
// they run without configurations. The directory contains private keys.
package demo

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Path returns named, or the default directory if named is empty. The default
// is fapi2-demo in the user's cache directory, or in the system's directory for
// temporary files if the user has no cache directory.
func Path(named string) string {
	if named != "" {
		return named
	}
	parent, err := os.UserCacheDir()
	if err != nil {
		parent = os.TempDir()
	}
	return filepath.Join(parent, "fapi2-demo")
}

// Make opens the directory and creates it if it does not exist.
func Make(path string) (*os.Root, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return Open(path)
}

// Open opens the directory. It returns an error if other users can access it,
// or if it is a symbolic link, because the target could belong to another user.
func Open(path string) (*os.Root, error) {
	there, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil && (!there.IsDir() || !os.SameFile(there, opened) || !isOurs(opened)) {
		err = fmt.Errorf("%s is not a directory that only you can use: remove it, or name another one by -state", path)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// Replace writes a file. A reader sees the old content or the new content.
func Replace(root *os.Root, name string, content []byte, mode os.FileMode) error {
	unfinished := name + "." + rand.Text()
	if err := root.WriteFile(unfinished, content, mode); err != nil {
		return err
	}
	if err := root.Rename(unfinished, name); err != nil {
		return errors.Join(err, root.Remove(unfinished))
	}
	return nil
}
