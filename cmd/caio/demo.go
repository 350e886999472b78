package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

//go:embed all:demo/acme
var acmeFS embed.FS

// demoTime, demoSeed and the keys that follow from it make every run of the demonstration the same.
var (
	demoTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	demoSeed = [32]byte([]byte("caio demo: fixed seed, key, time"))
)

const demoTenant = "acme"

func newDemo(o *options) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch requests being routed and refused, with proofs that verify and a forgery that does not",
		Long: `Watch requests being routed and refused, with proofs that verify and a forgery that does not.

It runs a real server with a real store in a temporary folder, on the loopback interface, with a fixed seed, key and time: everybody sees the same.`,
		Example: "  caio demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := newDemonstration(o, cmd, dir)
			if err != nil {
				return err
			}
			return errors.Join(d.tell(cmd.Context()), d.close())
		},
	}
	cmd.Flags().StringVarP(&dir, "output", "o", "caio-demo", "`FOLDER` for the evidence that it leaves")
	return cmd
}

// demonstration is a server with what its story needs around it.
type demonstration struct {
	*presenter
	dir, temporary string
	clock          time.Time
	random         io.Reader
	signer         *verify.Signer
	logKey         ed25519.PrivateKey
	development    *auth.Development
	app, approver  *options // clients
	store          *sqlite.Store
	subjects       *seal.Subjects
	server         *server.Server
	http           *http.Server
	documents      []*verify.Document // of every decision, in order
}

func newDemonstration(o *options, cmd *cobra.Command, dir string) (*demonstration, error) {
	d := &demonstration{presenter: o.present(cmd), dir: dir, clock: demoTime, random: rand.NewChaCha8(demoSeed)}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, unable("%w", err)
	}
	temporary, err := os.MkdirTemp("", "caio-demo-")
	if err != nil {
		return nil, unable("%w", err)
	}
	d.temporary = temporary
	if d.signer, err = verify.NewSigner(ed25519.NewKeyFromSeed(demoSeed[:])); err != nil {
		return nil, err
	}
	logSeed := sha256.Sum256(demoSeed[:])
	d.logKey = ed25519.NewKeyFromSeed(logSeed[:])
	if d.development, _, err = auth.OpenDevelopment(filepath.Join(temporary, "keys"), d.random); err != nil {
		return nil, err
	}
	d.app, err = d.client(contracts.Principal{
		Tenant: demoTenant, Subject: "support-app", Roles: []string{"app", "auditor", "author"}, Permissions: []string{"ai.embed", "ai.search", auth.PermissionSeed}, Trust: 5 * contracts.Micro,
	})
	if err != nil {
		return nil, err
	}
	d.approver, err = d.client(contracts.Principal{Tenant: demoTenant, Subject: "dpo@acme.example", Roles: []string{"approver"}})
	return d, err
}

func (d *demonstration) client(p contracts.Principal) (*options, error) {
	token, err := d.development.Token(p, demoTime, 24*time.Hour)
	return &options{token: token}, err
}

// start runs the server with ACME's own policy as it is given, over the store that is there.
func (d *demonstration) start(ctx context.Context, acme fs.FS) error {
	if err := d.stop(); err != nil {
		return err
	}
	bundles, err := demoBundles(acme)
	if err != nil {
		return err
	}
	if d.store, err = sqlite.Open(ctx, filepath.Join(d.temporary, "caio.db")); err != nil {
		return err
	}
	if d.subjects, err = seal.Open(ctx, filepath.Join(d.temporary, "caio-subjects.db"), d.random); err != nil {
		return err
	}
	d.server, err = server.New(ctx, server.Config{
		Store: d.store, Subjects: d.subjects, Clock: func() time.Time { return d.clock }, Rand: d.random, Signer: d.signer, LogSigner: d.logKey, Issuer: "caio-demo", Installation: demoTenant,
		Bundles: bundles, AllowUnsigned: true, Auth: auth.Config{Issuers: []auth.Issuer{d.development.Issuer()}},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return unable("%w", err)
	}
	d.http = &http.Server{Handler: d.server.Handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = d.http.Serve(listener) }()
	d.app.server = "http://" + listener.Addr().String()
	d.approver.server = d.app.server
	return nil
}

// demoBundles are everybody's policies and ACME's own.
func demoBundles(acme fs.FS) ([]*rego.Bundle, error) {
	var bundles []*rego.Bundle
	var faults contracts.Diagnostics
	for _, b := range []struct {
		name string
		fs.FS
	}{{"baseline", policies.FS}, {"acme", acme}} {
		bundle, ds := rego.ReadFS(b.name, b.FS)
		bundles, faults = append(bundles, bundle), append(faults, ds...)
	}
	return bundles, faults.Err()
}

// stop ends the server; what it answered is in the store.
func (d *demonstration) stop() error {
	var err error
	if d.server != nil {
		err = d.server.Shutdown(d.http)
		d.server = nil
	}
	if d.subjects != nil {
		err = errors.Join(err, d.subjects.Close())
		d.subjects = nil
	}
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
		d.store = nil
	}
	return err
}

func (d *demonstration) close() error { return errors.Join(d.stop(), os.RemoveAll(d.temporary)) }

// acmeWith is ACME's policy with a line added at its end.
func acmeWith(line string) (fs.FS, error) {
	root, err := fs.Sub(acmeFS, "demo/acme")
	if err != nil || line == "" {
		return root, err
	}
	changed := fstest.MapFS{}
	err = fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if filepath.Ext(path) == ".rego" {
			text = append(text, "\n"+line+"\n"...)
		}
		changed[path] = &fstest.MapFile{Data: text}
		return err
	})
	return changed, err
}

// decide sends a request, a second after the one before, and fetches the evidence of the decision.
func (d *demonstration) decide(ctx context.Context, request string) (*verify.Evidence, *verify.Document, error) {
	d.clock = d.clock.Add(time.Second)
	var answer server.Answer
	if err := d.app.call(ctx, http.MethodPost, "/v1/decisions", "application/json", []byte(request), &answer); err != nil {
		return nil, nil, err
	}
	data, err := d.app.fetch(ctx, http.MethodGet, answer.Links.Evidence, "", nil)
	if err != nil {
		return nil, nil, err
	}
	evidence, err := verify.ReadEvidence(data)
	if err != nil {
		return nil, nil, err
	}
	document, err := verify.DecodeDocument(evidence.Document)
	if err == nil {
		d.documents = append(d.documents, document)
	}
	return evidence, document, err
}

func (d *demonstration) register(ctx context.Context, id string, text []byte) error {
	return d.app.call(ctx, http.MethodPut, "/v1/services/"+url.PathEscape(id), "application/yaml", text, nil)
}

func (d *demonstration) attest(ctx context.Context, c *contracts.Contract, level contracts.Attestation) error {
	body, err := json.Marshal(server.AttestationRequest{Contract: c.Digest(), Level: level, Reason: "reviewed for the demonstration"})
	if err != nil {
		return err
	}
	return d.approver.call(ctx, http.MethodPut, "/v1/services/"+url.PathEscape(c.ID)+"/attestation", "application/json", body, nil)
}

// leave writes evidence into the output folder.
func (d *demonstration) leave(name string, evidence *verify.Evidence) (file string, data []byte, err error) {
	var packed bytes.Buffer
	if err := verify.WriteEvidence(&packed, evidence); err != nil {
		return "", nil, err
	}
	file = filepath.Join(d.dir, name)
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		return "", nil, unable("%w", err)
	}
	return file, packed.Bytes(), nil
}

// trust is what an auditor would have pinned before: the issuer, the log, and the key.
func (d *demonstration) trust(ctx context.Context) (verify.Trust, error) {
	t, err := d.server.Trust(ctx, demoTenant)
	if err != nil {
		return t, err
	}
	text, err := t.Encode()
	if err != nil {
		return t, err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "trust.json"), text, 0o644); err != nil {
		return t, unable("%w", err)
	}
	return t, nil
}
