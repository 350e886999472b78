// Command caio decides which AI service may handle a request, and proves that the decision was right.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes (spec/interface.md, "Command line").
const (
	exitNo           = 1 // the thing asked about is not so
	exitUsage        = 2
	exitEnvironment  = 3 // no server, no file
	exitInconclusive = 4 // it could not be told
)

// exitError ends the command with a code. A nil err has been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// no ends the command because the thing asked about is not so; what is wrong has been told.
func no() error { return &exitError{code: exitNo} }

// unable ends the command because something around it is missing: a file, a server.
func unable(format string, args ...any) error {
	return &exitError{exitEnvironment, fmt.Errorf(format, args...)}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := exitUsage
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		code, err = exit.code, exit.err
	} else if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		code = exitEnvironment
	}
	if err != nil {
		fmt.Fprintln(stderr, "caio:", err)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "caio",
		Short:         "Decide which AI service may handle a request, and prove it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	o := addOptions(root)
	root.AddCommand(
		newDemo(o),
		newServe(o),
		newDecide(o),
		newContract(o),
		newPolicy(o),
		newVerify(o),
		newProof(o),
		newTrust(o),
		newKey(o),
		newToken(o),
	)
	return root
}
