package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/internal/witness"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

func newWitness(o *options) *cobra.Command {
	return group("witness", "Vouch for logs that only grow", newWitnessServe(o))
}

// witnessFlags say what a witness is.
type witnessFlags struct {
	name, key, state, listen, file string
	logs                           []string
	show, newState                 bool
}

func newWitnessServe(o *options) *cobra.Command {
	var flags witnessFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a witness: it cosigns the checkpoints of logs that hold all that it cosigned before",
		Long: `Run a witness (c2sp.org/tlog-witness). A log sends it its checkpoints, each with a proof that it holds everything that the one before held. The witness remembers that, durably, and then cosigns with the time;
a log that forgets or forks is refused. It is of use where others than the log's operator run it, and keeps its state: restored from a backup, it would cosign a fork of what came since.

The key is made at the first start, and the state with it. A key without its state is refused, since the witness would not know what it cosigned; --new-state is for a key that has cosigned nothing yet. Where the state of one that did is lost, make a witness with another key. Logs are known by the keys of their checkpoints (vkeys: logs[].key in the output of caio trust export), given one by one or in a file with one a line, which SIGHUP reads again.`,
		Example: "  caio witness serve --name witness.example.org/w1 --logs logs.txt\n  caio witness serve --name witness.example.org/w1 --print-vkey\n  caio witness serve --name witness.example.org/w1 --logs logs.txt --new-state",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.runWitness(cmd, flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.name, "name", "", "`NAME` of its key: a URL without the scheme, which stays the same")
	f.StringVar(&flags.key, "key", "caio-witness.pem", "`FILE` of its key, made when there is none; no other witness may have it")
	f.StringVar(&flags.state, "state", "caio-witness.db", "`FILE` of what it cosigned, made when there is none")
	f.StringVar(&flags.listen, "listen", "127.0.0.1:8085", "`ADDRESS` at which it is asked")
	f.StringArrayVar(&flags.logs, "log", nil, "`VKEY` of a log, may be repeated")
	f.StringVar(&flags.file, "logs", "", "`FILE` of vkeys, one a line, # begins a comment; read again at SIGHUP")
	f.BoolVar(&flags.newState, "new-state", false, "begin with an empty state though the key is there, which must have cosigned nothing yet")
	f.BoolVar(&flags.show, "print-vkey", false, "print the vkey of the witness and end")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func (o *options) runWitness(cmd *cobra.Command, flags witnessFlags) error {
	if !flags.show && len(flags.logs) == 0 && flags.file == "" {
		return misused("a witness is told whose checkpoints to cosign: --log VKEY or --logs FILE")
	}
	logs, err := flags.known()
	if err != nil {
		return err
	}
	keepsState := flags.keepsState() // before the key is made
	key, err := openKey(flags.key)
	if err != nil {
		return err
	}
	vkey, err := tlog.NewKey(flags.name, tlog.CosignatureV1, publicOf(key))
	if err != nil {
		return misused("--name: %v", err)
	}
	if flags.show {
		return o.tell(cmd, map[string]string{"vkey": vkey.String()}, "%s", vkey)
	}
	if keepsState != nil {
		return keepsState
	}
	w, err := witness.Open(cmd.Context(), witness.Config{Name: flags.name, Key: key, State: flags.state, Clock: time.Now})
	if err != nil {
		return err
	}
	if err := w.Know(logs...); err != nil {
		return errors.Join(misused("%v", err), w.Close())
	}
	return errors.Join(o.serveWitness(cmd, flags, w), w.Close())
}

// keepsState refuses a key without its state: what it cosigned is not known any more, so that a fork of that would be cosigned too. A state that is there is not new either, so that nobody leaves --new-state in a script.
func (f witnessFlags) keepsState() error {
	key, err := isThere(f.key)
	state, stateErr := isThere(f.state)
	switch {
	case err != nil || stateErr != nil:
		return errors.Join(err, stateErr)
	case f.newState && state:
		return misused("--new-state: the state %s is there", f.state)
	case key && !state && !f.newState:
		return fmt.Errorf("the key %s is there, and its state %s is not: without that, this witness would cosign forks of what it has cosigned. Put the newest state back. If the key has cosigned nothing yet, say --new-state; if it has, and the state is lost, make a witness with a new name and key", f.key, f.state)
	}
	return nil
}

func isThere(file string) (bool, error) {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (o *options) serveWitness(cmd *cobra.Command, flags witnessFlags, w *witness.Witness) error {
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	listener, err := net.Listen("tcp", flags.listen)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) {
		if !o.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
		}
	}
	defer catchHangups().answer(func() {
		logs, err := flags.known()
		if err == nil {
			err = w.Know(logs...)
		}
		if err != nil {
			logger.Error("SIGHUP: nothing was reloaded, and the logs that were known stay", slog.Any("error", err))
			return
		}
		say("SIGHUP: reloaded %d keys of logs", len(logs))
	})()
	server := &http.Server{
		Handler: w.Handler(logger), ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	say("listening on http://%s, cosigning as %s", listener.Addr(), w.Key())
	select {
	case err := <-ended:
		return err
	case <-cmd.Context().Done():
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), 10*time.Second)
	defer cancel()
	return server.Shutdown(within)
}

// known reads the keys of the logs.
func (f witnessFlags) known() ([]tlog.Key, error) {
	var keys []tlog.Key
	for _, vkey := range f.logs {
		key, err := tlog.ParseKey(vkey)
		if err != nil {
			return nil, misused("--log: %v", err)
		}
		keys = append(keys, key)
	}
	if f.file == "" {
		return keys, nil
	}
	text, err := os.ReadFile(f.file)
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := tlog.ParseKey(line)
		if err != nil {
			return nil, misused("%s:%d: %v", f.file, n, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// witnessConfig is a witness of the server.
type witnessConfig struct {
	URL  string `json:"url" jsonschema:"required" jsonschema_description:"submission prefix: add-checkpoint is below it"`
	VKey string `json:"vkey" jsonschema:"required" jsonschema_description:"verifier key, as caio witness serve --print-vkey prints it"`
}

// witnesses are those of the configuration, and the archive of what they cosign: kept beside the store, and not in it, so that neither holds up the other, and a copy of the one does not bring back the other. Without witnesses there is an archive where there were some before.
func (c config) witnesses(ctx context.Context, store string) (w server.Witnesses, err error) {
	w.Quorum, w.Interval = c.WitnessQuorum, time.Duration(c.WitnessEveryMS)*time.Millisecond
	for i, one := range c.Witnesses {
		key, err := tlog.ParseKey(one.VKey)
		if err != nil {
			return w, misused("witnesses[%d]: %v", i, err)
		}
		client, err := witness.NewClient(one.URL, key, nil)
		if err != nil {
			return w, misused("witnesses[%d]: %v", i, err)
		}
		w.Clients = append(w.Clients, client)
	}
	file := beside(store, "cosigned")
	if _, err := os.Stat(file); len(c.Witnesses) > 0 || err == nil {
		w.Archive, err = witness.OpenArchive(ctx, file)
		return w, err
	}
	return w, nil
}
