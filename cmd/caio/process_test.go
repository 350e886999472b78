package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// process is a `caio serve` of its own, or a `caio witness serve`.
type process struct {
	cmd    *exec.Cmd
	url    string
	token  string // that it printed at its first start
	ended  chan error
	stderr string // file
}

var (
	listening = regexp.MustCompile(`listening on (http://\S+),`)
	printed   = regexp.MustCompile(`export CAIO_TOKEN=(\S+)`)
)

// startServer starts a server in a folder on a port of the system's choice, and waits until it listens.
func startServer(dir string, env []string, args ...string) (*process, error) {
	return startListening(dir, env, "serve.err", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
}

// startWitness does the same with a witness.
func startWitness(dir string, env []string, args ...string) (*process, error) {
	return startListening(dir, env, "witness.err", append([]string{"witness", "serve", "--listen", "127.0.0.1:0"}, args...)...)
}

func startListening(dir string, env []string, stderr string, args ...string) (*process, error) {
	p := &process{ended: make(chan error, 1), stderr: filepath.Join(dir, stderr)}
	binary, err := exec.LookPath("caio")
	if err != nil {
		return nil, err
	}
	out, err := os.Create(p.stderr)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = dir, env, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		text, err := os.ReadFile(p.stderr)
		if err != nil {
			return nil, err
		}
		if m := listening.FindSubmatch(text); m != nil {
			p.url = string(m[1])
			if m := printed.FindSubmatch(text); m != nil {
				p.token = string(m[1])
			}
			return p, nil
		}
		select {
		case err := <-p.ended:
			text, _ = os.ReadFile(p.stderr)
			return nil, fmt.Errorf("the server ended: %w\n%s", err, text)
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.kill()
	return nil, errors.New("the server did not listen within 30 s")
}

// kill ends the process at once, as often as it is called.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended
	err := <-p.ended
	p.ended <- err
}

// terminate asks it to end, and waits until it has.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		p.ended <- err
		return err
	case <-time.After(30 * time.Second):
		return errors.New("the server did not end within 30 s of SIGTERM")
	}
}
