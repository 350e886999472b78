package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe into which nobody writes holds the command up until it is ended, and a device without an end not at all.
func TestReadBounded(t *testing.T) {
	folder := t.TempDir()
	pipe, other, file := filepath.Join(folder, "pipe"), filepath.Join(folder, "other"), filepath.Join(folder, "file")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), syscall.Mkfifo(other, 0o600), os.WriteFile(file, []byte("12345"), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if _, err := readBounded(ctx, pipe, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("a pipe without an end: %v", err)
	}
	for path, limit := range map[string]int64{"/dev/zero": 1 << 20, file: 4} {
		var large *largeError
		if _, err := readBounded(t.Context(), path, limit); !errors.As(err, &large) || large.limit != limit {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := readBounded(t.Context(), file, 5); err != nil || string(text) != "12345" {
		t.Errorf("%q %v", text, err)
	}
	go os.WriteFile(other, []byte("through"), 0o600)
	if text, err := readBounded(t.Context(), other, 10); err != nil || string(text) != "through" {
		t.Errorf("%q %v", text, err)
	}
}
