package replicator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/checkpoint"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/source"
)

// Names of the neighbours, as people call them.
const (
	nameSource    = "PostgreSQL"
	nameSlot      = "the slot"
	nameLog       = "S3"
	nameWarehouse = "Redshift"
)

// neighbour says who a part waits for, judging by the error that it met.
func neighbour(p Part, err error) string {
	var request interface { // an error of the AWS SDK
		Service() string
		Operation() string
	}
	switch {
	case errors.Is(err, source.ErrSlotActive):
		return nameSlot
	case errors.As(err, &request), p == PartLog:
		return nameLog
	case p == PartCapture:
		return nameSource
	}
	return nameWarehouse
}

// why says in a few words what an error means; the whole error stands beside
// it for those who need more.
func why(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if w := sqlWords(pg); w != "" {
			return w
		}
	}
	if w := networkWords(err); w != "" {
		return w
	}
	// An SDK's error has a name that its documentation explains.
	var api interface{ ErrorCode() string }
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	inner := err
	if f, ok := errors.AsType[*change.Fault](err); ok && f.Err != nil {
		inner = f.Err
	}
	return shorten(inner.Error())
}

func sqlWords(pg *pgconn.PgError) string {
	switch pg.Code {
	case "28000", "28P01":
		return "login refused"
	case "3D000":
		return "there is no such database"
	case "42501":
		return "permission denied"
	case "53300":
		return "too many connections"
	case "57P03":
		return "it does not accept connections yet"
	case "57P01", "57P02":
		return "it is shutting down"
	case "57014":
		return "a statement timed out or was cancelled"
	case "40P01":
		return "a deadlock"
	case "XX000":
		if pg.Message == "1023" || pg.Message == "1018" {
			return "another transaction wrote the same tables (error " + pg.Message + ")"
		}
	}
	return ""
}

func networkWords(err error) string {
	var (
		dns     *net.DNSError
		timeout interface{ Timeout() bool }
		cert    *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &dns):
		return "host name not found"
	case errors.As(err, &cert):
		return "its certificate is not accepted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke"
	}
	return ""
}

// shorten keeps a text on one line of bearable length.
func shorten(text string) string {
	const most = 100
	text, _ = splitRemedy(strings.Join(strings.Fields(text), " "))
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// splitRemedy takes the remedy out of a fault's text, see [change.Fault].
func splitRemedy(text string) (reason, remedy string) {
	const mark = " (remedy: "
	i := strings.LastIndex(text, mark)
	if i < 0 || !strings.HasSuffix(text, ")") {
		return text, ""
	}
	return text[:i], text[i+len(mark) : len(text)-1]
}

// summarize says in words what the daemon is doing or waits for.
func summarize(st *Status) string {
	if st.Phase == PhaseStopping {
		return "stopping: sealing and confirming what was received"
	}
	if st.Hold != nil {
		return holdWords(st.Hold)
	}
	for i := range st.Waiting {
		if w := &st.Waiting[i]; w.Part != PartApply || st.Phase == PhaseStreaming {
			return waitWords(w, st)
		}
	}
	switch st.Phase {
	case PhaseStarting:
		return "starting" + prefixed(": ", st.Step)
	case PhaseLoading:
		return loadWords(st.Tables)
	case PhaseStreaming, PhaseStopping:
	}
	if name, state := pendingTable(st.Tables); name != "" {
		return fmt.Sprintf("waiting for table %s (%s)", name, state)
	}
	return lagWords(st)
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func holdWords(h *HoldStatus) string {
	if h.Until != nil {
		return h.Reason + ", goes on at " + h.Until.UTC().Format("2006-01-02 15:04 MST")
	}
	return h.Reason
}

// waitWords leaves the time of the next try to who shows it, in seconds, for
// it is over soon.
func waitWords(w *Waiting, st *Status) string {
	text := "waiting for " + w.For + ": " + w.Why
	if w.For == nameSlot {
		text = "waiting for the slot: another session holds it"
		if pid := st.Slot.ActivePID; pid != 0 {
			text = "waiting for the slot: held by pid " + strconv.FormatInt(int64(pid), 10)
		}
	}
	if s := int64(w.NextSeconds + 0.5); s > 0 {
		return fmt.Sprintf("%s, next try in %d s", text, s)
	}
	return text + ", trying now"
}

func loadWords(tables []TableStatus) string {
	done := 0
	for i := range tables {
		if tables[i].State != checkpoint.Loading {
			done++
		}
	}
	if done == len(tables) {
		return "making the loaded tables live"
	}
	return fmt.Sprintf("loading: %d of %d tables done", done, len(tables))
}

// pendingTable names a table that is on its way to be live, "" if there is
// none.
func pendingTable(tables []TableStatus) (string, checkpoint.State) {
	i := slices.IndexFunc(tables, func(t TableStatus) bool {
		return t.State != checkpoint.Live && t.State != checkpoint.Stopped
	})
	if i < 0 {
		return "", ""
	}
	return tables[i].Name, tables[i].State
}

// closeBehind is the lag in seconds below which the source's log is not counted
// as ahead of what was received: its end is looked at every ten seconds, and
// positions without transactions move as rarely.
const closeBehind = 30

func lagWords(st *Status) string {
	switch {
	case !st.AppliedKnown:
		return "waiting for Redshift to say what is applied"
	case st.LagTransactions == 0 && st.Lag.Captured.Seconds == 0:
		return "caught up"
	case st.LagSeconds < 2*closeBehind:
		return "replicating"
	case st.CatchUpSeconds != nil:
		return fmt.Sprintf("catching up: done in about %s", roundDuration(seconds(*st.CatchUpSeconds)))
	}
	return "behind, and not catching up at the present rates"
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// roundDuration leaves two places at most: nobody acts on more.
func roundDuration(d time.Duration) time.Duration {
	switch {
	case d >= time.Hour:
		return d.Round(time.Minute)
	case d >= time.Minute:
		return d.Round(10 * time.Second)
	}
	return max(d.Round(time.Second), time.Second)
}
