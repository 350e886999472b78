// Command caio decides which AI service may handle a request, and proves that the decision was right.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/smarthausgroup/caio/contracts/source"
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

// not ends it for the same reason, and tells it.
func not(format string, args ...any) error { return &exitError{exitNo, fmt.Errorf(format, args...)} }

// misused ends the command because it was called in a wrong way.
func misused(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// unable ends the command because something around it is missing: a file, a server.
func unable(format string, args ...any) error {
	return &exitError{exitEnvironment, fmt.Errorf(format, args...)}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	exit := &exitError{exitUsage, errors.New(inOurWords(err.Error()))} // what cobra itself finds is a wrong call
	errors.As(err, &exit)
	if exit.err == nil {
		return exit.code
	}
	fmt.Fprintln(stderr, folded("caio: "+harmless(exit.err.Error(), false), widthOf(stderr)))
	if exit.code == exitUsage {
		fmt.Fprintf(stderr, "usage: %s\nfor an example: %s --help\n", cmd.UseLine(), cmd.CommandPath())
	}
	return exit.code
}

// cobraTexts are texts of cobra's, and how we say the same.
var cobraTexts = []struct {
	text *regexp.Regexp
	ours string
}{
	{regexp.MustCompile(`^accepts (\d+) arg\(s\), received (\d+)$`), "the number of arguments is $1, and not $2"},
	{regexp.MustCompile(`^accepts at most (\d+) arg\(s\), received (\d+)$`), "the number of arguments is at most $1, and not $2"},
	{regexp.MustCompile(`^requires at least (\d+) arg\(s\), only received (\d+)$`), "the number of arguments is at least $1, and not $2"},
	{regexp.MustCompile(`^accepts between (\d+) and (\d+) arg\(s\), received (\d+)$`), "the number of arguments is between $1 and $2, and not $3"},
	{regexp.MustCompile(`^at least one of the flags in the group \[(.*)\] is required$`), "one of these flags is needed: $1"},
	{regexp.MustCompile(`^if any flags in the group \[(.*)\] are set none of the others can be; \[(.*)\] were all set$`), "only one of these flags can be given: $1; and there are $2"},
	{regexp.MustCompile(`^required flag\(s\) (.*) not set$`), "these flags are needed: $1"},
}

func inOurWords(text string) string {
	for _, f := range cobraTexts {
		text = f.text.ReplaceAllString(text, f.ours)
	}
	return text
}

// group is a command that is nothing without one of those below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use + " COMMAND",
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			names := []string{}
			for _, c := range below {
				names = append(names, c.Name())
			}
			if len(args) == 0 {
				return misused("%s is followed by one of %s", cmd.CommandPath(), strings.Join(names, ", "))
			}
			return misused("there is no %s %q%s; there are %s", cmd.CommandPath(), args[0], source.DidYouMean(args[0], names), strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(below...)
	examples := []string{}
	for _, c := range below {
		first, _, _ := strings.Cut(c.Example, "\n")
		examples = append(examples, first)
	}
	cmd.Example = strings.Join(examples, "\n")
	return cmd
}

// environmental turns every error of a command that has no exit code of its own into one of its environment.
func environmental(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if exit := (*exitError)(nil); err == nil || errors.As(err, &exit) {
				return err
			}
			return &exitError{exitEnvironment, err}
		}
	}
	for _, below := range cmd.Commands() {
		environmental(below)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "caio",
		Short:         "Decide which AI service may handle a request, and prove it",
		Example:       "  caio demo\n  caio serve\n  caio decide -f request.json --contracts contracts/catalog",
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
		newSettings(o),
		newVerify(o),
		newProof(o),
		newTrust(o),
		newLog(o),
		newWitness(o),
		newKey(o),
		newToken(o),
		newAPIKey(o),
		newSubject(o),
		newVersion(o),
	)
	environmental(root)
	exemplify(root)
	helpToWidth(root)
	return root
}

// exemplify gives an example to the commands that cobra adds.
func exemplify(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  caio help decide"
		case "completion":
			cmd.Example = "  caio completion bash > /etc/bash_completion.d/caio"
			for _, shell := range cmd.Commands() {
				shell.Example = "  caio completion " + shell.Name() + " > caio." + shell.Name()
			}
		}
	}
}
