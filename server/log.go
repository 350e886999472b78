package server

import (
	"crypto/ed25519"
	"fmt"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
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
