package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

func newLogExport(o *options) *cobra.Command {
	var trustFile string
	cmd := &cobra.Command{
		Use:   "export DIR [URL]",
		Short: "Copy a whole log into a folder, and check it on the way",
		Long: `Copy a whole log into a folder, in the layout of c2sp.org/tlog-tiles, and check it on the way as caio log verify does.

A folder that holds an earlier copy is brought up to date: the log must still hold all that the copy says. What is new is written into DIR/unchecked-…,
and moved to its place when all of it has been checked; nothing that is in the folder is ever changed but the checkpoint. What a log serves that does not hold, or is
another one than the copy, is left in DIR/refused-… as proof of that. One that the witnesses have not cosigned yet, and one of another origin, is refused,
and shows nothing against anybody: nothing of it is left.`,
		Example: "  caio log export log --trust trust.json",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			trust, err := readTrust(cmd.Context(), trustFile)
			if err != nil {
				return err
			}
			source, err := o.logSource(slices.Concat(args[1:], []string{""})[0], trust)
			if err != nil {
				return err
			}
			return o.exportLog(cmd, args[0], source, trust)
		},
	}
	cmd.Flags().StringVar(&trustFile, "trust", "", "the auditor's trust `FILE`")
	markRequired(cmd, "trust")
	return cmd
}

func (o *options) exportLog(cmd *cobra.Command, folder string, source tlog.Source, trust verify.Trust) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := ofFolder(cmd.Context(), folder, source, trust); err != nil {
		return err
	}
	var earlier []string
	if _, err := os.Stat(filepath.Join(folder, tlog.CheckpointPath)); err == nil {
		earlier = []string{filepath.Join(folder, tlog.CheckpointPath)}
	}
	fresh, err := os.MkdirTemp(folder, "unchecked-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) // which is gone where it was refused
	copying := &copySource{source: source, folder: folder, fresh: fresh}
	err = o.checkLog(cmd, copying, trust, earlier, false)
	if err == nil {
		return copying.finish()
	}
	if !isNo(err) || errors.Is(err, tlog.ErrQuorum) { // which shows nothing against anybody
		return err
	}
	return copying.refuse(cmd.Context(), trust, err)
}

// errOtherTile is that a log serves another tile than the copy of it holds.
var errOtherTile = fmt.Errorf("%w: it serves another tile now than it did before", tlog.ErrLog)

// copySource writes what is read of a log into a folder of its own, as far as the copy does not hold it already.
type copySource struct {
	source        tlog.Source
	folder, fresh string // of the copy; of what was not checked yet
	added         []string
	checkpoint    []byte
	// refused is that the log was found out. What else there is of it is copied for proof.
	refused bool
}

// Read implements [tlog.Source]. A tile that the copy holds must be the one that is served: the error wraps [errOtherTile].
func (s *copySource) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path == tlog.CheckpointPath && s.checkpoint != nil {
		return s.checkpoint, nil // one of them, however often it is asked for
	}
	data, err := s.source.Read(ctx, path, limit)
	if err != nil {
		return nil, err
	}
	if path == tlog.CheckpointPath {
		s.checkpoint = data
		return data, writeBelow(s.fresh, path, data)
	}
	held, err := tlog.Folder(os.DirFS(s.folder)).Read(ctx, path, limit)
	switch {
	case s.refused, errors.Is(err, fs.ErrNotExist):
		s.added = append(s.added, path)
		return data, writeBelow(s.fresh, path, data)
	case err != nil:
		return nil, err
	case !bytes.Equal(held, data):
		return nil, fmt.Errorf("%w: %s", errOtherTile, path)
	}
	return data, nil
}

// writeBelow writes a part of a log, durably.
func writeBelow(folder, path string, data []byte) error {
	name := filepath.Join(folder, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return replaceFile(name, data, 0o644)
}

// finish moves what was checked to its place; the checkpoint last, when everything that it speaks of is there.
func (s *copySource) finish() error {
	paths := slices.Compact(slices.Sorted(slices.Values(s.added)))
	if !s.witnessedLess() {
		paths = append(paths, tlog.CheckpointPath)
	}
	for _, path := range paths {
		name := filepath.Join(s.folder, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(s.fresh, filepath.FromSlash(path)), name); err != nil {
			return err
		}
	}
	return nil
}

// witnessedLess reports whether the copy has a checkpoint of the same size with more signatures. The one that is served says nothing new then, and less of who vouches for it.
func (s *copySource) witnessedLess() bool {
	text, err := os.ReadFile(filepath.Join(s.folder, tlog.CheckpointPath))
	if err != nil {
		return false
	}
	held, err := tlog.ParseCheckpoint(text)
	served, also := tlog.ParseCheckpoint(s.checkpoint)
	return err == nil && also == nil && held.Size == served.Size && len(held.Signatures) > len(served.Signatures)
}

// refuse keeps what the log serves beside the copy, all of it where it can be had, and says what both together show.
func (s *copySource) refuse(ctx context.Context, trust verify.Trust, why error) error {
	keys, _, err := logKeys(trust)
	if err != nil {
		return err
	}
	copied, damaged := tlog.CheckLog(ctx, tlog.Folder(os.DirFS(s.folder)), tlog.Options{Keys: keys})
	_, none := os.Stat(filepath.Join(s.folder, tlog.CheckpointPath))
	switch none := errors.Is(none, fs.ErrNotExist); {
	case none && errors.Is(why, errOtherTile):
		return unable("%w. No checkpoint in %s says whose tiles these are: take another folder", why, s.folder)
	case !none && damaged != nil:
		return unable("the copy in %s does not hold by itself any more: %w. Take another folder, and keep this one where its checkpoint is good", s.folder, damaged)
	}
	s.refused = true
	served, other := tlog.CheckLog(ctx, s, tlog.Options{Keys: keys})
	kept := filepath.Join(s.folder, "refused"+filepath.Base(s.fresh)[len("unchecked"):])
	if err := os.Rename(s.fresh, kept); err != nil {
		return errors.Join(why, err)
	}
	told := "what is served was left in " + kept
	if none == nil {
		told = "the copy in " + s.folder + " is as it was; " + told
	}
	if errors.Is(why, tlog.ErrLog) && none == nil && other == nil && served.Checkpoint.Size >= copied.Checkpoint.Size {
		told += ". Each holds by itself: together they prove that the key of the log signed two"
	}
	return not("%w\n%s", why, told)
}
