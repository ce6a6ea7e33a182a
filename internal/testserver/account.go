package testserver

import (
	"os"
	"os/user"
	"strconv"
)

// An account is the user that a server runs as. A nil account is the user of
// the test.
type account struct{ uid, gid int }

// accountOf returns the first user that exists. It returns nil if the test does
// not run as root, because only root can change the user.
func accountOf(names []string) *account {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range append(names, "nobody") {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(found.Uid)
		gid, err2 := strconv.Atoi(found.Gid)
		if err1 == nil && err2 == nil {
			return &account{uid, gid}
		}
	}
	return nil
}

// own makes the account the owner of a file.
func (a *account) own(name string) error {
	if a == nil {
		return nil
	}
	return os.Chown(name, a.uid, a.gid)
}
