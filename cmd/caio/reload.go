package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

// reloadable are the keys of the configuration that a running server takes over.
var reloadable = []string{"policies", "policy_keys", "approver_keys", "settings", "tenant_settings", "locked_settings"}

// reloading is a server that reads its configuration again when it is asked to.
type reloading struct {
	options *options
	cmd     *cobra.Command
	read    func() (config, error)
	current config
	setup   server.Config
	server  *server.Server
}

// hangups are the SIGHUPs of the process, each of which would otherwise end it. One that comes before they are answered waits until they are.
type hangups chan os.Signal

func catchHangups() hangups {
	h := make(hangups, 1)
	signal.Notify(h, syscall.SIGHUP)
	return h
}

// answer has each of them reload, until stop, which waits for the one under way.
func (h hangups) answer(reload func()) (stop func()) {
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-h:
				reload()
			case <-stopped:
				return
			}
		}
	}()
	return func() {
		close(stopped)
		<-done
	}
}

// reload takes over what can be, all or none of it, and says what became of it.
func (r *reloading) reload(ctx context.Context) {
	logger := r.setup.Logger
	r.rotate(ctx)
	c, err := r.read()
	if err == nil {
		c.Development = r.current.Development // which bundles are taken is said at the start
		err = r.options.policyConfig(r.cmd, c, &r.setup)
	}
	if err == nil {
		err = r.server.Reload(ctx, r.setup)
	}
	if err != nil {
		logger.Error("SIGHUP: nothing was reloaded, and what was in force stays", slog.Any("error", err))
		return
	}
	if late := changedOtherwise(r.current, c); len(late) > 0 {
		logger.Warn("SIGHUP: these keys of the configuration have changed, and take effect at a restart", slog.String("keys", strings.Join(late, ", ")))
	}
	if !r.options.quiet {
		fmt.Fprintln(r.cmd.ErrOrStderr(), "SIGHUP: reloaded", strings.Join(reloadable, ", "))
	}
}

// rotate hands the logs over to the key that lies in the folder, if one does.
func (r *reloading) rotate(ctx context.Context) {
	logger, keys := r.setup.Logger, r.current.signing()
	if !keys.pending() {
		return // and nobody is asked for a passphrase
	}
	next, err := keys.open()
	if err == nil {
		err = r.server.Rotate(ctx, next.signer, next.authorizations)
	}
	if err != nil {
		logger.Error("SIGHUP: the key did not change", slog.Any("error", err))
		return
	}
	if err := keys.settle(); err != nil { // the next start tries again
		logger.Error("SIGHUP: the key has changed, and its files could not be moved", slog.Any("error", err))
	}
	if !r.options.quiet {
		fmt.Fprintln(r.cmd.ErrOrStderr(), "SIGHUP: the key that signs is now", next.signer.KeyID())
	}
}

// changedOtherwise names the keys that differ and can't be reloaded.
func changedOtherwise(before, after config) (names []string) {
	t := reflect.TypeFor[config]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if !slices.Contains(reloadable, name) && !reflect.DeepEqual(reflect.ValueOf(before).Field(i).Interface(), reflect.ValueOf(after).Field(i).Interface()) {
			names = append(names, name)
		}
	}
	return names
}

// policyConfig reads the part of the configuration that can be reloaded: policies, the keys that sign and approve them, and settings.
func (o *options) policyConfig(cmd *cobra.Command, c config, setup *server.Config) error {
	keys, err := readPolicyKeys(c.PolicyKeys)
	if err != nil {
		return err
	}
	bundles, err := o.bundlesInForce(cmd, c, keys)
	if err != nil {
		return err
	}
	approvers, err := readApproverKeys(c.ApproverKeys)
	if err != nil {
		return err
	}
	tenants := make(map[string]map[string]any, len(c.TenantSettings))
	for tenant, settings := range c.TenantSettings {
		tenants[tenant] = exactSettings(settings)
	}
	setup.Bundles, setup.PolicyKeys, setup.ApproverKeys = bundles, keys, approvers
	setup.Settings, setup.TenantSettings, setup.LockedSettings = exactSettings(c.Settings), tenants, c.LockedSettings
	return nil
}
