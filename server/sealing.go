package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// sealedDisclosures is the name under which the disclosures of a record are sealed.
const sealedDisclosures = "disclosures"

// recordOf gives the record under which a decision's content is sealed: of the keys of who asks and of whom the data are about. The caller ends it once the decision is stored.
func (s *Server) recordOf(ctx context.Context, a ask, in *admitted) (*seal.Record, error) {
	return s.config.Subjects.Record(ctx, seal.Of{
		Tenant: a.tenant.name, Decision: in.id, Class: s.config.Retention.class(a.tenant.name), Time: in.time,
		Subjects: append([]string{a.who.Principal.Subject}, in.request.Data.Subjects...),
	})
}

// packDisclosures is the form in which disclosures are sealed: the canonical list of their texts.
func packDisclosures(list []verify.Disclosure) ([]byte, error) {
	texts := make([]string, len(list))
	for i, d := range list {
		text, err := d.Text()
		if err != nil {
			return nil, err
		}
		texts[i] = text
	}
	return canonical.Encode(texts)
}

// unpackDisclosures is the inverse of [packDisclosures].
func unpackDisclosures(packed []byte) (list []verify.Disclosure, err error) {
	var texts []string
	if err := canonical.Decode(packed, &texts); err != nil {
		return nil, err
	}
	list = make([]verify.Disclosure, len(texts))
	for i, text := range texts {
		if list[i], err = verify.ParseDisclosure(text); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// unsealed opens the disclosures of a decision as they are stored: none where none are, and where the key of one of its subjects was destroyed.
func (s *Server) unsealed(ctx context.Context, tenant, id string, sealed []byte) ([]verify.Disclosure, error) {
	if sealed == nil {
		return nil, nil
	}
	packed, err := s.config.Subjects.Unseal(ctx, tenant, id, sealedDisclosures, sealed)
	if errors.Is(err, seal.ErrGone) {
		// What is erased is not stored either, so this is between the two, or the store of subjects is not the one that belongs to this log.
		s.config.Logger.Warn("sealed content can't be opened: the key of a subject is gone", slog.String("tenant", tenant), slog.String("decision", id))
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the disclosures of decision %s: %w", id, err)
	}
	return unpackDisclosures(packed)
}

// disclosures opens what was stored apart from the document of a decision; what was erased is missing.
func (s *Server) disclosures(ctx context.Context, t *tenant, id string) ([]verify.Disclosure, error) {
	sealed, err := s.ledger.Disclosures(ctx, t.logName(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return s.unsealed(ctx, t.name, id, sealed)
}

// clearPage is how many disclosures of an earlier release are sealed in one transaction.
const clearPage = 500

// sealClear seals what an earlier release stored in the clear, under the keys of the subjects that the disclosures name. Their salts stay, since documents commit to them; they can be read in the sealed bytes alone.
func (c *Config) sealClear(ctx context.Context) error {
	holders, err := c.holders(ctx)
	if err != nil {
		return err
	}
	for total := 0; ; {
		page, err := c.Store.Clear(ctx, clearPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			if total > 0 {
				c.Logger.Info("sealed the content of decisions of an earlier release", slog.Int("decisions", total))
			}
			return nil
		}
		for i := range page {
			if err := c.sealOne(ctx, &page[i], holders[page[i].Tenant]); err != nil {
				return fmt.Errorf("server: sealing the content of decision %s, which an earlier release stored in the clear: %w", page[i].ID, err)
			}
		}
		if err := c.Store.Commit(ctx, &store.Batch{Sealed: page}); err != nil {
			return err
		}
		total += len(page)
	}
}

// holders are the tenants whose people the logs in the store are about, by the name under which it keeps each: of one that was given up, whose log it was.
func (c *Config) holders(ctx context.Context) (map[string]string, error) {
	logs, err := c.Store.Logs(ctx)
	holders := map[string]string{}
	for _, log := range logs {
		holders[log.Tenant] = cmp.Or(log.Was, log.Tenant)
	}
	return holders, err
}

func (c *Config) sealOne(ctx context.Context, row *store.Sealed, holder string) error {
	disclosures, err := unpackDisclosures(row.Disclosures)
	if err != nil {
		return err
	}
	decision, err := c.Store.Decision(ctx, row.Tenant, row.ID)
	if err != nil {
		return err
	}
	var subjects []string
	for _, d := range disclosures {
		switch of := d.Value.(type) {
		case string:
			if d.Name == verify.NameSubject {
				subjects = append(subjects, of)
			}
		case []any:
			for _, subject := range of {
				if name, ok := subject.(string); ok && d.Name == verify.NameSubjects {
					subjects = append(subjects, name)
				}
			}
		}
	}
	record, err := c.Subjects.Record(ctx, seal.Of{Tenant: holder, Decision: row.ID, Class: verify.RetentionStandard, Time: decision.Time, Subjects: subjects})
	if err != nil {
		return err
	}
	defer record.Done()
	row.Subjects = slices.Clone(record.Subjects())
	row.Disclosures, err = record.Seal(sealedDisclosures, row.Disclosures)
	return err
}
