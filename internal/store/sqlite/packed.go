package sqlite

import (
	"bytes"
	"compress/flate"
	"database/sql"
	"encoding/binary"
	"io"
)

// A document lists what every service of the registry came to, so that a large one is long and repeats itself: packed it takes a tenth of its length, and writing that costs less than packing it. How it stands in a row:
//
//	its bytes, as they are         begins with anything but 01: short ones, and all of releases before
//	01 | length, uvarint | DEFLATE  (RFC 1951) what is longer than plainBytes
const (
	packed = 1
	// plainBytes is how long a document may be that stands as it is: three of them fill a page, with their leaves.
	plainBytes = 4 << 10
	// maxPacked bounds what is unpacked, whatever a row says, and firstBytes what is set aside for it before anything is.
	maxPacked  = 256 << 20
	firstBytes = 1 << 20
	// packLevel is DEFLATE's: the higher ones take longer and gain little.
	packLevel = 2
)

// packer packs documents. It is for one goroutine.
type packer struct{ deflate *flate.Writer }

// pack is the form of a document in a row; nil stays nil.
func (p *packer) pack(document []byte) ([]byte, error) {
	plain := len(document) == 0 || document[0] != packed
	if plain && len(document) <= plainBytes || len(document) > maxPacked {
		return document, nil
	}
	var out bytes.Buffer
	out.WriteByte(packed)
	out.Write(binary.AppendUvarint(nil, uint64(len(document))))
	if p.deflate == nil {
		var err error
		if p.deflate, err = flate.NewWriter(&out, packLevel); err != nil {
			return nil, err
		}
	} else {
		p.deflate.Reset(&out)
	}
	_, err := p.deflate.Write(document)
	if err == nil {
		err = p.deflate.Close()
	}
	if plain && out.Len() >= len(document) {
		return document, err
	}
	return out.Bytes(), err
}

// unpack is the inverse of pack. What pack did not make is given as it stands: it is no document, and who reads one holds it to the digest in its statement.
func unpack(row []byte) []byte {
	if len(row) == 0 || row[0] != packed {
		return row
	}
	length, n := binary.Uvarint(row[1:])
	if n <= 0 || length > maxPacked {
		return row
	}
	var document bytes.Buffer
	document.Grow(int(min(length, firstBytes)) + bytes.MinRead)
	rest := bytes.NewReader(row[1+n:])
	_, err := document.ReadFrom(io.LimitReader(flate.NewReader(rest), int64(length)+1))
	if err != nil || uint64(document.Len()) != length || rest.Len() > 0 {
		return row
	}
	return document.Bytes()
}

func scanDocument(row *sql.Rows, v *[]byte) error {
	err := row.Scan(v)
	*v = unpack(*v)
	return err
}
