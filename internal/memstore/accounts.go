package memstore

import "strings"

type usage struct{ entries, bytes int }

func (u usage) plus(v usage) usage { return usage{u.entries + v.entries, u.bytes + v.bytes} }

func (u usage) minus(v usage) usage { return usage{u.entries - v.entries, u.bytes - v.bytes} }

func (u usage) within(max usage) bool { return u.entries <= max.entries && u.bytes <= max.bytes }

// An account is the usage of an owner that has entries.
type account struct {
	owner string
	usage
	next int32 // of the free accounts
}

// Accounts have numbers from 1 on, so that an entry refers to its owner in four
// bytes and without a pointer. Number 0 is the empty owner, which has no
// account.
type accounts struct {
	array[account]
	numbers map[string]int32
	free    int32 // the first of the free accounts
}

func newAccounts() accounts {
	return accounts{array: array[account]{len: 1}, numbers: make(map[string]int32)}
}

// of returns the usage of an owner.
func (a *accounts) of(owner string) usage {
	if id := a.numbers[owner]; id > 0 {
		return a.at(int(id)).usage
	}
	return usage{}
}

// name returns the owner of an account.
func (a *accounts) name(id int32) string {
	if id == 0 {
		return ""
	}
	return a.at(int(id)).owner
}

// open returns the number of the owner's account, which it creates if
// necessary.
func (a *accounts) open(owner string) int32 {
	id := a.numbers[owner]
	if id > 0 || owner == "" {
		return id
	}
	if id = a.free; id == 0 {
		id = int32(a.push())
	} else {
		a.free = a.at(int(id)).next
	}
	owner = strings.Clone(owner)
	a.at(int(id)).owner, a.numbers[owner] = owner, id
	return id
}

// count adds growth to an account. It removes an account without entries.
func (a *accounts) count(id int32, growth usage) {
	if id == 0 {
		return
	}
	account := a.at(int(id))
	if account.usage = account.plus(growth); account.entries == 0 {
		delete(a.numbers, account.owner)
		account.owner, account.next = "", a.free
		a.free = id
	}
}
