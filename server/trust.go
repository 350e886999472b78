package server

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"slices"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// Trust is what an auditor pins, as `caio trust export` writes it: the installation's name, one tenant's log and those that were given up before it, each with the key of its checkpoints, the keys that sign entries, and what the offline root has revoked.
func (s *Server) Trust(ctx context.Context, tenant string) (verify.Trust, error) {
	log, err := s.ledger.Reader.Log(ctx, tenant)
	if err != nil {
		return verify.Trust{}, err
	}
	trust := verify.Trust{Issuer: s.config.Issuer, Root: s.config.Root, Policy: s.config.Witnesses.policy(s.witnesses)}
	if err := s.trustPolicies(&trust); err != nil {
		return trust, err
	}
	if trust.Keys, err = s.publicKeys(ctx); err != nil {
		return trust, err
	}
	logs, err := s.logsBefore(ctx, log, trust.Keys)
	if err != nil {
		return trust, err
	}
	chain, err := s.chainOf(ctx, log)
	if err == nil {
		trust.Keys, err = believed(log.Origin, chain, trust.Keys)
	}
	if err != nil {
		return trust, err
	}
	trust.Revocations, trust.FormerRoots = chain.Revocations(), formerRoots(s.config.FormerRoots)
	bound(trust.FormerRoots, log.Origin, chain)
	elsewhere := chain.Elsewhere()
	var origins []string
	for i, link := range logs {
		origins = append(origins, link.Origin)
		trust.Logs = append(trust.Logs, verify.Log{Origin: link.Origin, Key: link.vkey(), Follows: link.follows})
		if i > 0 {
			older, err := s.trustGivenUp(ctx, link, elsewhere, &trust)
			if err != nil {
				return trust, err
			}
			elsewhere = append(elsewhere, older...)
		}
	}
	// What other tenants' logs there are is no business of this one's.
	trust.Keys = trust.Keys.In(origins...)
	// One that never said anything is believed in nothing.
	trust.FormerRoots = slices.DeleteFunc(trust.FormerRoots, func(root verify.Key) bool { return root.Intervals == nil })
	return trust, nil
}

// bound gives former roots the intervals of the log in which they said something.
func bound(roots verify.Keys, origin string, chain *verify.KeyChain) {
	for i := range roots {
		in, said := chain.Words()[roots[i].ID()]
		switch {
		case !said:
			continue
		case roots[i].Intervals == nil:
			roots[i].Intervals = map[string]verify.Interval{}
		}
		roots[i].Intervals[origin] = in
	}
}

// trustGivenUp adds what a log says that was given up, and what those that follow say of its keys; it returns what it says of the keys of those before it. It may be damaged: then none of its keys is believed, and that is told.
func (s *Server) trustGivenUp(ctx context.Context, log link, later []verify.Revocation, trust *verify.Trust) (elsewhere []verify.Revocation, err error) {
	chain, err := s.chainOf(ctx, log.Log)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		s.config.Logger.Error("the keys of a log that was given up don't hold: trust files have none of them for it", "log", log.Origin, slog.Any("error", err))
		chain = verify.NewKeyChain("", log.Origin, nil)
	}
	for _, r := range later {
		if r.Log == log.Origin && !slices.ContainsFunc(chain.Revocations(), func(known verify.Revocation) bool { return known.JWS == r.JWS }) {
			chain.Revoke(r)
		}
	}
	trust.Revocations = append(trust.Revocations, chain.Revocations()...)
	bound(trust.FormerRoots, log.Origin, chain)
	if trust.Keys, err = believed(log.Origin, chain, trust.Keys); err == nil {
		trust.Keys = closed(trust.Keys, log.Origin, log.size)
	}
	return chain.Elsewhere(), err
}

// believed takes off the keys of one log what the root has revoked of it, but for the intervals, which an auditor's own copy of the revocations cuts.
func believed(origin string, chain *verify.KeyChain, keys verify.Keys) (list verify.Keys, err error) {
	left, err := chain.Sound()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		delete(key.Intervals, origin)
		if sound, ok := left.Find(key.ID()); ok {
			key.Intervals[origin] = sound.Intervals[origin]
		}
		if len(key.Intervals) > 0 {
			list = append(list, key)
		}
	}
	return list, nil
}

// link is one of the logs of a tenant, which follow one another.
type link struct {
	store.Log
	key     ed25519.PublicKey // of its checkpoints; nil where nobody knows it
	follows string            // origin of the one before, "" for the first, or where its entry does not hold
	size    int64             // how many entries it ever had
}

func (l link) vkey() string {
	if l.key == nil {
		return ""
	}
	return ledger.VKey(l.Origin, l.key)
}

// logsBefore are a log, and those that were given up one after the other until it was begun, the last one first. The first entry of each names the one before, and the key of its checkpoints.
func (s *Server) logsBefore(ctx context.Context, log store.Log, keys verify.Keys) ([]link, error) {
	links := []link{{Log: log, key: s.logKey(), size: log.Size}}
	for {
		last := &links[len(links)-1]
		r, err := s.recoveryOf(ctx, last.Log, keys)
		if err != nil || r == nil {
			return links, err
		}
		before, ok := s.ledger.Origin(r.Lost)
		if !ok || before.Was != holder(log).name || slices.ContainsFunc(links, func(l link) bool { return l.Origin == r.Lost }) {
			return links, nil
		}
		last.follows = r.Lost
		links = append(links, link{Log: before, key: formerKey(r, last.key), size: lastSize(r)})
	}
}

// lastSize is how many entries a log ever had that was given up: as many as were published of it, or as the store keeps.
func lastSize(r *verify.RecoveryRecord) int64 {
	head, err := tlog.ParseCheckpoint([]byte(r.Checkpoint))
	if err != nil { // none is known
		return r.Kept
	}
	return max(head.Size, r.Kept)
}

// closed ends what is open at the end of a log that takes no more entries: who has a key of then, and the key of its checkpoints, could go on with it.
func closed(keys verify.Keys, origin string, size int64) (list verify.Keys) {
	last := size - 1
	for _, key := range keys {
		if in, ok := key.Intervals[origin]; ok && (in.NotAfter == nil || *in.NotAfter > last) {
			if in.NotAfter = &last; in.NotBefore <= last {
				key.Intervals[origin] = in
			} else if delete(key.Intervals, origin); len(key.Intervals) == 0 {
				continue
			}
		}
		list = append(list, key)
	}
	return list
}

// formerKey is the key of the log before, by the word of the one that follows it, whose own key it was in records of before these said it.
func formerKey(r *verify.RecoveryRecord, next ed25519.PublicKey) ed25519.PublicKey {
	if r.Key == "" && r.Why == "" {
		return next
	}
	key, err := tlog.ParseKey(r.Key)
	if err != nil || key.Name != r.Lost || key.Algorithm != tlog.Ed25519 {
		return nil
	}
	return key.Public
}

// recoveryOf reads the first entry of a log, where that is the word on a log before; nil where it is none, or does not hold.
func (s *Server) recoveryOf(ctx context.Context, log store.Log, keys verify.Keys) (*verify.RecoveryRecord, error) {
	entries, err := s.ledger.Entries(ctx, log.Tenant, 0, 1)
	if err != nil || len(entries) == 0 || entries[0].Type != verify.TypRecovery {
		return nil, err
	}
	var r verify.RecoveryRecord
	key, err := verify.Verify(verify.TypRecovery, entries[0].Leaf, keys, &r)
	if err == nil {
		err = holder(log).belongs(r.RecordHead, 1, key) // it stands before the entry that lets its key in
	}
	if err != nil {
		s.config.Logger.Error("the word on the log before does not hold: trust files leave that one out", "log", log.Origin, slog.Any("error", err))
		return nil, nil
	}
	return &r, nil
}

// getTrust is the trust file of the caller's tenant (spec/proof.md, "The statement and the signature").
func (s *Server) getTrust(c *call) error {
	trust, err := s.Trust(c.ctx(), c.who.Principal.Tenant)
	if err != nil {
		return err
	}
	text, err := trust.Encode()
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "application/json", text)
}
