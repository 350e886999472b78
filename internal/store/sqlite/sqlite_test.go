package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store {
		s, err := sqlite.Open(context.Background(), filepath.Join(dir, "caio.db"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
