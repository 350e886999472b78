package server

import (
	"crypto/ed25519"
	"fmt"
	"net/http"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// ledgerOptions are those of the server's ledger.
func (s *Server) ledgerOptions() ledger.Options {
	return ledger.Options{
		Random: s.config.Rand, Observe: s.observe, Outcomes: outcomeTypes,
		Signer: s.config.LogSigner, Folder: ledger.Folder(s.config.CheckpointDir), Missing: s.unpinned, Planting: s.planting(),
	}
}

// logKey verifies checkpoints. That it is an Ed25519 key was found when the ledger was opened.
func (s *Server) logKey() ed25519.PublicKey { return s.config.LogSigner.Public().(ed25519.PublicKey) }

// unpinned tells of a log that could be an older copy, for all that can be seen.
func (s *Server) unpinned(log store.Log) {
	s.config.Logger.Warn("no checkpoint of a log is kept outside the store, so that an older copy of it would not be noticed; from now on there is one",
		"log", log.Origin, "entries", log.Size, "folder", s.config.CheckpointDir)
}

// plantingStep is how many entries go by between two words on the progress.
const plantingStep = 100_000

// planting tells of the trees of logs that were written before logs had trees.
func (s *Server) planting() func(log store.Log, done int64) {
	told := map[string]int64{}
	return func(log store.Log, done int64) {
		if done < log.Size && done < told[log.Origin]+plantingStep {
			return
		}
		told[log.Origin] = done
		s.config.Logger.Warn("making the tree of a log that an earlier release wrote; this is done once", "log", log.Origin, "progress", fmt.Sprintf("%d of %d entries", done, log.Size))
	}
}

// getCheckpoint and getTile serve a log as c2sp.org/tlog-tiles has it, to the tenant's own auditors and operators (spec/proof.md, "The log").
func (s *Server) getCheckpoint(c *call) error {
	log, err := s.logOf(c)
	if err != nil {
		return err
	}
	latest := s.ledger.Checkpoint(log.Tenant)
	if latest, err = s.withCosignatures(c.ctx(), log, latest); err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Blob(http.StatusOK, textMedia, latest)
}

// textMedia is of checkpoints and receipts.
const textMedia = "text/plain; charset=utf-8"

// getTile gives a tile, which never changes: one that isn't full has its width in its name. Only the caller may keep it.
func (s *Server) getTile(c *call) error {
	log, err := s.logOf(c)
	if err != nil {
		return err
	}
	t, err := tlog.ParseTile("tile/" + c.Param("*"))
	if err != nil {
		return notFound()
	}
	data, err := s.ledger.TileOf(c.ctx(), log.Tenant, t)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	return c.Blob(http.StatusOK, "application/octet-stream", data)
}

// logOf is the caller's log with the origin of the address: the one in use, or one that was given up.
func (s *Server) logOf(c *call) (store.Log, error) {
	log, ok := s.ledger.Origin(c.Param("origin"))
	if !ok || log.Tenant != c.tenant.name && log.Was != c.tenant.name {
		return store.Log{}, notFound()
	}
	return log, nil
}

// getReceipt proves that the statement is in the log.
func (s *Server) getReceipt(c *call) error {
	id, err := c.decisionID()
	if err != nil {
		return err
	}
	t, err := s.withLogOf(c.ctx(), c.tenant, id)
	if err != nil {
		return err
	}
	d, err := s.ledger.Decision(c.ctx(), t.logName(), id)
	if err != nil {
		return err
	}
	proof, err := s.ledger.Proof(c.ctx(), t.logName(), d.Index)
	if err != nil {
		return t.unproved(err)
	}
	return c.Blob(http.StatusOK, textMedia, proof)
}
