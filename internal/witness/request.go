package witness

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/verify/tlog"
)

const (
	maxProof = 63 // hashes of a consistency proof
	hashLine = 45 // bytes of one, in base64 with its line feed
	// MaxRequestBytes bounds a request.
	MaxRequestBytes = len("old ") + 20 + maxProof*hashLine + 1 + tlog.MaxCheckpointBytes
)

// Request asks a witness to cosign a checkpoint (C2SP tlog-witness, "add-checkpoint").
//
//	old <size>
//	<base64 of a hash of the consistency proof: none to 63 lines>
//
//	<checkpoint>
type Request struct {
	Old        int64 // the size of the latest checkpoint that the witness cosigned, 0 where it cosigned none
	Proof      []tlog.Hash
	Checkpoint tlog.Checkpoint
}

// Encode is the body of the request.
func (r Request) Encode() []byte {
	text := fmt.Appendf(nil, "old %d\n", r.Old)
	for _, hash := range r.Proof {
		text = append(base64.StdEncoding.AppendEncode(text, hash[:]), '\n')
	}
	return append(append(text, '\n'), r.Checkpoint.Encode()...)
}

// ParseRequest reads what [Request.Encode] writes. The checkpoint is one of a foreign log, and may have extension lines. It verifies nothing. Errors wrap tlog.ErrMalformed.
func ParseRequest(body []byte) (Request, error) {
	if len(body) > MaxRequestBytes {
		return Request{}, malformed("%d bytes, at most %d", len(body), MaxRequestBytes)
	}
	head, rest, found := bytes.Cut(body, []byte("\n\n"))
	if !found {
		return Request{}, malformed("no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	size, found := strings.CutPrefix(lines[0], "old ")
	old, err := parseSize(size)
	if !found || err != nil {
		return Request{}, malformed(`the first line %.80q is not "old" and a size`, lines[0])
	}
	r := Request{Old: old}
	if len(lines)-1 > maxProof {
		return Request{}, malformed("%d hashes of a proof, at most %d", len(lines)-1, maxProof)
	}
	for _, line := range lines[1:] {
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != len(tlog.Hash{}) {
			return Request{}, malformed("%.80q is not base64 of a hash", line)
		}
		r.Proof = append(r.Proof, tlog.Hash(raw))
	}
	if r.Checkpoint, err = tlog.ParseExtendedCheckpoint(rest); err != nil {
		return Request{}, err
	}
	if !bytes.Equal(r.Encode(), body) {
		return Request{}, malformed("a size or a hash has another form too")
	}
	return r, nil
}

// parseSize reads the size of a log.
func parseSize(text string) (int64, error) {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || size < 0 || size > tlog.MaxSize || strconv.FormatInt(size, 10) != text {
		return 0, malformed("%.80q is not a number between 0 and %d", text, int64(tlog.MaxSize))
	}
	return size, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("request: %w: %s", tlog.ErrMalformed, fmt.Sprintf(format, args...))
}
