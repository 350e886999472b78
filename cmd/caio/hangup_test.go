package main

import (
	"os"
	"syscall"
	"testing"
)

// A SIGHUP that comes while the server starts neither ends it nor is lost.
func TestHangupWhileStarting(t *testing.T) {
	hangups := catchHangups()
	process, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan struct{})
	stop := hangups.answer(func() { close(reloaded) })
	<-reloaded
	stop()
}
