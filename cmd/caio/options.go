package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/spf13/cobra"
)

// options are the flags that every command has.
type options struct {
	config, server, token, tenant string
	format                        string
	quiet, noColor                bool
}

func addOptions(root *cobra.Command) *options {
	o := &options{}
	flags := root.PersistentFlags()
	flags.StringVar(&o.config, "config", os.Getenv("CAIO_CONFIG"), "configuration `FILE` (CAIO_CONFIG)")
	flags.StringVar(&o.server, "server", or(os.Getenv("CAIO_SERVER"), "http://127.0.0.1:8080"), "`URL` of the server (CAIO_SERVER)")
	flags.StringVar(&o.token, "token", os.Getenv("CAIO_TOKEN"), "bearer `TOKEN` (CAIO_TOKEN)")
	flags.Lookup("token").DefValue = "" // help does not show what is secret
	flags.StringVar(&o.tenant, "tenant", os.Getenv("CAIO_TENANT"), "`ID` of the tenant that is asked or spoken about, default if not given (CAIO_TENANT)")
	flags.StringVar(&o.format, "format", "pretty", "`FORM` of the output: pretty, json or yaml")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but the result")
	flags.BoolVar(&o.noColor, "no-color", os.Getenv("NO_COLOR") != "", "no colours (NO_COLOR)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		known := append([]string{"pretty", "json", "yaml"}, strings.Fields(cmd.Annotations[moreFormats])...)
		if slices.Contains(known, o.format) {
			return nil
		}
		last := len(known) - 1
		return misused("--format is %s or %s, not %q", strings.Join(known[:last], ", "), known[last], o.format)
	}
	return o
}

// moreFormats is the annotation of a command with the forms that it has besides those of every command, separated by blanks.
const moreFormats = "formats"

// addFormats gives a command forms of its own, separated by blanks, and lists them in its help.
func (o *options) addFormats(cmd *cobra.Command, more string) {
	cmd.Annotations = map[string]string{moreFormats: more}
	cmd.Flags().StringVar(&o.format, "format", "pretty", "`FORM` of the output: pretty, json, yaml, "+strings.ReplaceAll(more, " ", " or "))
}

// tenantOrDefault is the tenant that was named, or the one of a first try.
func (o *options) tenantOrDefault() string { return or(o.tenant, "default") }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// machine reports whether the output is for machines.
func (o *options) machine() bool { return o.format != "pretty" }

// present lays out for people on the command's standard output.
func (o *options) present(cmd *cobra.Command) *presenter {
	w := cmd.OutOrStdout()
	return newPresenter(w, !o.noColor && isTerminal(w))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// emit writes v in the machine's form that was asked for: JSON on one line, or a document of YAML.
func (o *options) emit(cmd *cobra.Command, v any) error {
	text, err := encode(o.format, v)
	if err == nil {
		_, err = cmd.OutOrStdout().Write(text)
	}
	return err
}

// encode is v as YAML where that is the form, and otherwise as JSON on one line.
func encode(form string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	switch {
	case err != nil:
		return nil, err
	case form == "yaml":
		return toYAML(text)
	}
	return append(escapedJSON(text), '\n'), nil
}

// tell writes the result of a command: v for machines, a sentence for people, and for people in a hurry nothing.
func (o *options) tell(cmd *cobra.Command, v any, format string, args ...any) error {
	if o.machine() {
		return o.emit(cmd, v)
	}
	if o.quiet {
		return nil
	}
	w := cmd.OutOrStdout()
	_, err := fmt.Fprintln(w, folded(harmless(fmt.Sprintf(format, args...), false), widthOf(w)))
	return err
}

// diagnose shows diagnostics and reports whether any is an error.
func (o *options) diagnose(cmd *cobra.Command, diagnostics contracts.Diagnostics) bool {
	w := cmd.ErrOrStderr()
	o.showFaults(newPresenter(w, !o.noColor && isTerminal(w)), isTerminal(w), diagnostics, func(contracts.Diagnostic) string { return "" })
	return diagnostics.HasErrors()
}

// waiting tells on a terminal how long a server has been at work; the returned function ends the line, as often as it is called.
func (o *options) waiting(cmd *cobra.Command, what string) (end func()) {
	w := cmd.ErrOrStderr()
	if o.quiet || !isTerminal(w) {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for start := time.Now(); ; {
			fmt.Fprintf(w, "\r%s, %d s", what, int(time.Since(start).Seconds()))
			select {
			case <-ticker.C:
			case <-done:
				fmt.Fprint(w, "\r\033[K")
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(done); <-ended })
}

// progress tells on a terminal how far long work has come; the returned function ends the line.
func (o *options) progress(cmd *cobra.Command, what string) (step func(done, total int), end func()) {
	w := cmd.ErrOrStderr()
	if o.quiet || !isTerminal(w) {
		return func(int, int) {}, func() {}
	}
	return func(done, total int) { fmt.Fprintf(w, "\r%s %d of %d", what, done, total) }, func() { fmt.Fprint(w, "\r\033[K") }
}
