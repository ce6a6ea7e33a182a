package main

import (
	"bytes"
	"maps"
	"net/http"
	"sync"
	"time"
)

const (
	answerKept = 30 * time.Second
	maxAnswers = 10_000
)

// answers returns the same response again to a browser that sends a form twice.
// The zero value is ready.
type answers struct {
	mu    sync.Mutex
	byKey map[string]*answer
}

// An answer is the stored response to one form.
type answer struct {
	once    sync.Once
	expires time.Time
	status  int
	header  http.Header
	body    bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// once lets handle write the response to the first request with a key. It
// writes the same response to later requests while the response is stored. The
// key contains the browser's session, so no other browser receives the
// response. An error response is not stored, so that the user can try again.
func (s *answers) once(w http.ResponseWriter, key string, now time.Time, handle func(w http.ResponseWriter)) {
	a := s.of(key, now)
	a.once.Do(func() {
		handle(a)
		a.WriteHeader(http.StatusOK)
	})
	if a.status == 0 { // handle has panicked, which ended the first request
		a.WriteHeader(http.StatusInternalServerError)
	}
	if a.status >= http.StatusBadRequest {
		s.drop(key, a)
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	w.Write(a.body.Bytes()) //nolint:errcheck // the browser is gone
}

func (s *answers) of(key string, now time.Time) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.byKey[key]; a != nil && a.expires.After(now) {
		return a
	}
	if s.byKey == nil {
		s.byKey = map[string]*answer{}
	}
	if len(s.byKey) >= maxAnswers/2 {
		maps.DeleteFunc(s.byKey, func(_ string, a *answer) bool {
			return !a.expires.After(now) || len(s.byKey) >= maxAnswers
		})
	}
	a := &answer{header: http.Header{}, expires: now.Add(answerKept)}
	s.byKey[key] = a
	return a
}

// has reports whether a response with this key is stored.
func (s *answers) has(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.byKey[key]
	return a != nil && a.expires.After(now)
}

func (s *answers) drop(key string, a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[key] == a {
		delete(s.byKey, key)
	}
}
