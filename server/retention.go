package server

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/verify"
)

// Retention says for how long content and documents of decisions are kept (spec/proof.md, "Commitments and erasure"). Nothing is erased for its age where nothing is said.
type Retention struct {
	// Classes are ages by the name of a class, which statements claim. The class standard needs no entry.
	Classes map[string]RetentionClass
	// Tenants are classes by tenant; standard for those that are not named.
	Tenants map[string]string
}

// RetentionClass is after how many days what is erased, counted from the end of the month (UTC) in which it was decided; 0 is never. Documents go with, or after, the content.
type RetentionClass struct{ ContentDays, DocumentDays int }

var classForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (r Retention) class(tenant string) string {
	if class, ok := r.Tenants[tenant]; ok {
		return class
	}
	return verify.RetentionStandard
}

func (r Retention) check() error {
	for _, name := range slices.Sorted(maps.Keys(r.Classes)) {
		c := r.Classes[name]
		switch {
		case !classForm.MatchString(name):
			return fmt.Errorf("server: a class of retention has a name of the form %s, not %q", classForm, name)
		case c.ContentDays < 0 || c.DocumentDays < 0:
			return fmt.Errorf("server: the class of retention %s: days are 0 or more", name)
		case c.DocumentDays > 0 && (c.ContentDays == 0 || c.ContentDays > c.DocumentDays):
			return fmt.Errorf("server: the class of retention %s: documents can't go before the content that they commit to", name)
		}
	}
	for tenant, name := range r.Tenants {
		if _, ok := r.Classes[name]; !ok && name != verify.RetentionStandard {
			return fmt.Errorf("server: the retention of the tenant %s is %q, and there is no such class", tenant, name)
		}
	}
	return nil
}

// due is the last month of which everything is older than so many days; false for 0 days.
func due(now time.Time, days int) (month int64, ok bool) {
	return seal.MonthOf(now.AddDate(0, 0, -days)) - 1, days > 0
}
