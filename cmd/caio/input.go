package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// largeError is that a file is longer than what it should hold can be.
type largeError struct {
	path           string
	atLeast, limit int64 // bytes
}

func (e *largeError) Error() string {
	return fmt.Sprintf("%s: more than %d bytes", e.path, e.limit)
}

// readBounded reads a file, or what comes out of a pipe, and never more than it may have. Whoever waits for a pipe into which nobody writes can end the command all the same. The error is a [*largeError] for a file that is longer.
func readBounded(ctx context.Context, path string, limit int64) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := readLimited(path, limit)
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", path, ctx.Err())
	case r := <-done:
		return r.text, r.err
	}
}

func readLimited(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > limit {
		return nil, &largeError{path, info.Size(), limit}
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = &largeError{path, int64(len(text)), limit}
	}
	return text, err
}
