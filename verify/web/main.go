// Command web writes verify.html: a page of one file, in which a browser checks evidence without a server (spec/proof.md, "What a verifier checks").
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/smarthausgroup/caio/verify"
)

var (
	//go:embed index.html
	pageHTML string
	//go:embed style.css
	style string
	//go:embed page.js
	pageScript string
	//go:embed worker.js
	workerScript string
)

func main() {
	to := flag.String("o", "bin/verify.html", "where to write the page")
	flag.Parse()
	page, err := build(context.Background())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(*to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(*to, page.text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify/web:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: %d bytes, SHA-256 %x\nchecker: %d bytes of WebAssembly, %d compressed\n", *to, len(page.text), sha256.Sum256(page.text), page.program, page.compressed)
}

// page is what was built, with the sizes of the program in it.
type page struct {
	text                []byte
	program, compressed int
}

// build compiles the checker, with the go of the path, and puts everything into one text. The same sources and the same Go give the same page.
func build(ctx context.Context) (page, error) {
	program, err := compile(ctx)
	if err != nil {
		return page{}, err
	}
	runtime, err := goRuntime(ctx)
	if err != nil {
		return page{}, err
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return page{}, err
	}
	if _, err := z.Write(program); err != nil {
		return page{}, err
	}
	if err := z.Close(); err != nil {
		return page{}, err
	}
	script, err := fill(pageScript, map[string]any{"MaxEvidence": verify.MaxEvidenceBytes, "MaxTrust": verify.MaxTrustBytes})
	if err != nil {
		return page{}, err
	}
	text, err := fill(pageHTML, map[string]any{
		"Policy": policy(script, style), "Style": style, "Page": script, "Worker": runtime + workerScript, "Checker": base64.StdEncoding.EncodeToString(packed.Bytes()),
	})
	if err != nil {
		return page{}, err
	}
	return page{[]byte(text), len(program), packed.Len()}, nil
}

// policy is the Content-Security-Policy: the one script and the one style, a worker made of this page, WebAssembly, and no connection to anywhere.
func policy(script, style string) string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src " + hash(script) + " 'wasm-unsafe-eval'", "style-src " + hash(style), "worker-src blob:",
		"base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "trusted-types caio-worker",
	}, "; ")
}

func fill(text string, with map[string]any) (string, error) {
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var filled strings.Builder
	err = t.Execute(&filled, with)
	return filled.String(), err
}

// compile makes the checker for a browser.
func compile(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "caio-web-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "checker.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", file, "github.com/smarthausgroup/caio/verify/web/checker")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the checker: %w\n%s", err, out)
	}
	return os.ReadFile(file)
}

// goRuntime is the script that Go brings to start a program in a browser; it belongs to the version of the compiler.
func goRuntime(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err == nil && bytes.Contains(text, []byte("</script")) {
		err = fmt.Errorf("wasm_exec.js can't be put into a page: it holds the end of a script")
	}
	return string(text), err
}
