package seal

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawKeys(t *rapid.T) []key {
	keys := make([]key, rapid.IntRange(1, 4).Draw(t, "subjects"))
	for i := range keys {
		copy(keys[i].id[:], rapid.SliceOfN(rapid.Byte(), idSize-1, idSize-1).Draw(t, "id"))
		keys[i].id[idSize-1] = byte(i)
		copy(keys[i].secret[:], rapid.SliceOfN(rapid.Byte(), keySize, keySize).Draw(t, "secret"))
		keys[i].subject[0] = byte(i)
	}
	return keys
}

// TestSaltIsHKDF holds salts against RFC 5869 written out: extract from the keys in order of their ids, then one block of expand.
func TestSaltIsHKDF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := drawKeys(t)
		decision := rapid.StringMatching(`[a-z0-9-]{1,36}`).Draw(t, "decision")
		name := rapid.String().Draw(t, "name")
		record, err := newRecord("acme", decision, keys)
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.SortedFunc(slices.Values(keys), func(a, b key) int { return cmp.Compare(string(a.id[:]), string(b.id[:])) })
		var material []byte
		for _, k := range sorted {
			material = append(material, k.secret[:]...)
		}
		extract := mac([]byte("caio.record/v1\x00acme\x00"+decision), material)
		want := mac(extract, append([]byte("caio.salt/v1\x00"+name), 1))[:SaltSize]
		if got := record.Salt(name); !bytes.Equal(got, want) {
			t.Fatalf("salt of %q: %x, want %x", name, got, want)
		}
	})
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

// TestSameKeysSameRecord: the order in which subjects are named changes nothing, and everything else changes everything.
func TestSameKeysSameRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, text := drawKeys(t), rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		of := func(tenant, decision string, keys []key) ([]byte, []byte) {
			r, err := newRecord(tenant, decision, keys)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := r.Seal("disclosures", text)
			if err != nil {
				t.Fatal(err)
			}
			return r.Salt("intent.text"), sealed
		}
		salt, sealed := of("acme", "d", keys)
		if again, sealedAgain := of("acme", "d", rapid.Permutation(keys).Draw(t, "order")); !bytes.Equal(salt, again) || !bytes.Equal(sealed, sealedAgain) {
			t.Fatal("the same keys give another record")
		}
		other := slices.Clone(keys)
		n := rapid.IntRange(0, len(keys)-1).Draw(t, "which")
		other[n].secret[rapid.IntRange(0, keySize-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for what, from := range map[string]func() ([]byte, []byte){
			"another key":      func() ([]byte, []byte) { return of("acme", "d", other) },
			"another tenant":   func() ([]byte, []byte) { return of("acme2", "d", keys) },
			"another decision": func() ([]byte, []byte) { return of("acme", "e", keys) },
		} {
			if again, sealedAgain := from(); bytes.Equal(salt, again) || bytes.Equal(sealed, sealedAgain) {
				t.Fatalf("%s gives the same record", what)
			}
		}
	})
}

// TestSealedBytes: they open under their own keys, tenant, decision and name, and not after any one bit was changed.
func TestSealedBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, text := drawKeys(t), rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		record, _ := newRecord("acme", "d", keys)
		sealed, err := record.Seal("disclosures", text)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := record.unseal("disclosures", sealed)
		if err != nil || !bytes.Equal(opened, text) {
			t.Fatalf("%q, %v", opened, err)
		}
		if ids, err := keyIDs(sealed); err != nil || len(ids) != len(keys) {
			t.Fatalf("%d ids, %v", len(ids), err)
		}
		changed := slices.Clone(sealed)
		changed[rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		tests := map[string]func() ([]byte, error){
			"changed":      func() ([]byte, error) { return record.unseal("disclosures", changed) },
			"shortened":    func() ([]byte, error) { return record.unseal("disclosures", sealed[:len(sealed)-1]) },
			"another name": func() ([]byte, error) { return record.unseal("payload", sealed) },
			"another decision": func() ([]byte, error) {
				r, _ := newRecord("acme", "e", keys)
				return r.unseal("disclosures", sealed)
			},
			"another tenant": func() ([]byte, error) {
				r, _ := newRecord("acme2", "d", keys)
				return r.unseal("disclosures", sealed)
			},
		}
		for what, open := range tests {
			if got, err := open(); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s: %q, %v", what, got, err)
			}
		}
	})
}

func TestRecordErrors(t *testing.T) {
	one := []key{{}}
	for name, of := range map[string]func() (*Record, error){
		"no tenant":   func() (*Record, error) { return newRecord("", "d", one) },
		"no decision": func() (*Record, error) { return newRecord("acme", "", one) },
		"no subject":  func() (*Record, error) { return newRecord("acme", "d", nil) },
		"a NUL":       func() (*Record, error) { return newRecord("acme\x00d", "e", one) },
		"too many":    func() (*Record, error) { return newRecord("acme", "d", make([]key, 1<<16)) },
	} {
		if _, err := of(); err == nil {
			t.Errorf("%s: a record was made", name)
		}
	}
}

// FuzzKeyIDs: what is read as the header of sealed bytes is what Seal would have written.
func FuzzKeyIDs(f *testing.F) {
	record, _ := newRecord("acme", "d", []key{{id: [idSize]byte{1}}, {id: [idSize]byte{2}}})
	sealed, err := record.Seal("disclosures", []byte("text"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{version, 0, 0})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		ids, err := keyIDs(sealed)
		if err != nil {
			return
		}
		keys := make([]key, len(ids))
		for i := range ids {
			keys[i].id = ids[i]
		}
		r, err := newRecord("acme", "d", keys)
		if err != nil || !bytes.HasPrefix(sealed, r.header) {
			t.Fatalf("%x is read as %x", sealed, ids)
		}
	})
}
