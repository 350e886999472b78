package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// watchPause is between two looks at the files.
const watchPause = 300 * time.Millisecond

// watchAndRun runs the tests, and again whenever a file changed, until the command is interrupted. What a run finds wrong is told, and does not end it.
func (t *policyTest) watchAndRun(o *options, cmd *cobra.Command, paths []string) error {
	for {
		before := filesState(paths)
		if err := t.runAll(o, cmd, paths); err != nil && cmd.Context().Err() == nil {
			exit := &exitError{exitEnvironment, err}
			if errors.As(err, &exit); exit.code == exitUsage {
				return err
			}
			if exit.err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "caio:", exit.err)
			}
		}
		if !o.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\nwatching %s\n", strings.Repeat("*", 80), strings.Join(paths, ", "))
		}
		if !changed(cmd.Context(), paths, before) {
			return nil
		}
	}
}

// changed waits until the files are not as they were, and then until whoever changes them has come to rest. It is false if ctx ended.
func changed(ctx context.Context, paths []string, before uint64) bool {
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	for last := before; ; {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		now := filesState(paths)
		if now != before && now == last {
			return true
		}
		last = now
	}
}

// filesState is a sum over names, sizes and times of all files. What can't be read now counts as not there.
func filesState(paths []string) uint64 {
	sum := fnv.New64a()
	for _, path := range paths {
		_ = filepath.WalkDir(walkable(path), func(file string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				if info, err := entry.Info(); err == nil {
					fmt.Fprintln(sum, file, info.Size(), info.ModTime().UnixNano())
				}
			}
			return nil
		})
	}
	return sum.Sum64()
}
