package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// sizeType is the type of the answer that says which size the witness knows.
const sizeType = "text/x.tlog.size"

// Handler serves the witness: POST /add-checkpoint, and for monitors GET /<SHA-256 of the origin, in hex>/checkpoint (C2SP tlog-witness, "HTTP Interface").
//
// The logger is told of every checkpoint that a log signed and that does not extend the one before: together with that it may show that the log forked.
func (w *Witness) Handler(logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(rw http.ResponseWriter, r *http.Request) { w.serveAdd(rw, r, logger) })
	mux.HandleFunc("GET /{log}/checkpoint", func(rw http.ResponseWriter, r *http.Request) { w.serveLatest(rw, r, logger) })
	return mux
}

func (w *Witness) serveAdd(rw http.ResponseWriter, r *http.Request, logger *slog.Logger) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, int64(MaxRequestBytes)))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(rw, err.Error(), status)
		return
	}
	request, err := ParseRequest(body)
	var cosignature tlog.Signature
	if err == nil {
		cosignature, err = w.Add(r.Context(), request)
	}
	if err != nil {
		refuse(rw, request, err, logger)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = rw.Write(cosignature.Encode()) // a client that is gone asks again
}

// refuse answers with the status that the specification has for the reason.
func refuse(rw http.ResponseWriter, r Request, err error, logger *slog.Logger) {
	var size *SizeError
	switch {
	case errors.As(err, &size):
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", size.Size)
	case errors.Is(err, tlog.ErrMalformed):
		http.Error(rw, err.Error(), http.StatusBadRequest)
	case errors.Is(err, ErrUnknownLog):
		http.Error(rw, err.Error(), http.StatusNotFound)
	case errors.Is(err, tlog.ErrUntrusted), errors.Is(err, tlog.ErrSignature):
		http.Error(rw, err.Error(), http.StatusForbidden)
	case errors.Is(err, tlog.ErrProof):
		logger.Warn("a checkpoint does not extend the latest one that was cosigned", slog.Any("error", err), slog.String("checkpoint", string(r.Checkpoint.Encode())))
		http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
	case errors.Is(err, ErrClock):
		logger.Error("nothing is cosigned until the clock has passed the latest cosignature", slog.Any("error", err))
		http.Error(rw, err.Error(), http.StatusServiceUnavailable)
	default:
		fault(rw, err, logger)
	}
}

// fault answers that the witness is not well; why is for its operator.
func fault(rw http.ResponseWriter, err error, logger *slog.Logger) {
	logger.Error("a request failed", slog.Any("error", err))
	http.Error(rw, "the witness could not read or write its state", http.StatusInternalServerError)
}

func (w *Witness) serveLatest(rw http.ResponseWriter, r *http.Request, logger *slog.Logger) {
	var note []byte
	err := ErrUnknownLog
	for origin := range *w.logs.Load() {
		if sum := sha256.Sum256([]byte(origin)); hex.EncodeToString(sum[:]) == r.PathValue("log") {
			note, err = w.Latest(r.Context(), origin)
		}
	}
	switch {
	case errors.Is(err, ErrUnknownLog):
		http.Error(rw, err.Error(), http.StatusNotFound)
	case err != nil:
		fault(rw, err, logger)
	case note == nil:
		http.Error(rw, "nothing of this log was cosigned", http.StatusNotFound)
	default:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.Header().Set("Cache-Control", "no-cache")
		_, _ = rw.Write(note)
	}
}
