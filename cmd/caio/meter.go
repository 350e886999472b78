package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// meter shows on a terminal how far long work has come, how fast it is, and how long it will still take. Nowhere else it shows anything.
type meter struct {
	w          io.Writer // nil shows nothing
	what, unit string
	start      time.Time
	shown      time.Time
}

// meterEvery is how often it is drawn.
const meterEvery = 100 * time.Millisecond

func (o *options) meter(cmd *cobra.Command, what, unit string) *meter {
	m := &meter{what: what, unit: unit, start: time.Now()}
	if w := cmd.ErrOrStderr(); !o.quiet && isTerminal(w) {
		m.w = w
	}
	return m
}

// step shows done of total.
func (m *meter) step(done, total int64) { m.share(done, float64(done)/float64(max(1, total))) }

// share shows how many are done, where of the whole only the share is known.
func (m *meter) share(done int64, share float64) {
	if now := time.Now(); m.due(now) {
		fmt.Fprintf(m.w, "\r%s\033[K", m.line(done, min(1, max(0, share)), now.Sub(m.start)))
	}
}

// count shows how many are done, where nobody knows of how many.
func (m *meter) count(done int64) {
	if m.due(time.Now()) {
		fmt.Fprintf(m.w, "\r%s  %s %s\033[K", m.what, grouped(done), m.unit)
	}
}

// due says whether it is time to draw.
func (m *meter) due(now time.Time) bool {
	if m.w == nil || now.Sub(m.shown) < meterEvery {
		return false
	}
	m.shown = now
	return true
}

const meterCells = 24

// line is what is shown after some time.
func (m *meter) line(done int64, share float64, took time.Duration) string {
	full := int(share * meterCells)
	text := fmt.Sprintf("%s  %s%s %3.0f %%  %s %s", m.what, strings.Repeat("█", full), strings.Repeat("░", meterCells-full), 100*share, grouped(done), m.unit)
	if took < time.Second || share == 0 {
		return text
	}
	text += fmt.Sprintf(", %s a second", grouped(int64(float64(done)/took.Seconds())))
	if left := time.Duration(float64(took) * (1 - share) / share).Round(time.Second); left > 0 {
		text += fmt.Sprintf(", %s left", left)
	}
	return text
}

// end takes the line away.
func (m *meter) end() {
	if m.w != nil {
		fmt.Fprint(m.w, "\r\033[K")
	}
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// metered counts what is read.
type metered struct {
	io.Reader
	n atomic.Int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.n.Add(int64(n))
	return n, err
}
