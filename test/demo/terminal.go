package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// plainInterval is how often progress is told where lines can't be rewritten.
const plainInterval = 5 * time.Second

// terminal writes one line per step and, below the last of them, progress: on
// one line that is rewritten, or as lines now and then if w is no terminal.
type terminal struct {
	w     io.Writer
	tty   bool
	begin time.Time
	last  time.Time // of progress
	open  bool      // the cursor stands behind progress
}

func newTerminal(w io.Writer) *terminal {
	t := &terminal{w: w, begin: time.Now()}
	if file, ok := w.(*os.File); ok {
		info, err := file.Stat()
		t.tty = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return t
}

func (t *terminal) elapsed() time.Duration { return time.Since(t.begin) }

// step says what comes next.
func (t *terminal) step(format string, args ...any) {
	t.end()
	t.print(format, args)
	t.last = time.Now()
}

// progress says how far the step is.
func (t *terminal) progress(format string, args ...any) {
	switch {
	case t.tty:
		fmt.Fprint(t.w, "\r\033[K", t.line("  "+format, args))
		t.open = true
	case time.Since(t.last) >= plainInterval:
		t.last = time.Now()
		t.print("  "+format, args)
	}
}

// end leaves the line of progress as it is.
func (t *terminal) end() {
	if t.open {
		fmt.Fprintln(t.w)
		t.open = false
	}
}

func (t *terminal) print(format string, args []any) {
	fmt.Fprintln(t.w, t.line(format, args))
}

func (t *terminal) line(format string, args []any) string {
	return fmt.Sprintf("%5.1f s  ", t.elapsed().Seconds()) + fmt.Sprintf(format, args...)
}

// thousands writes a number in groups of three digits.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var text strings.Builder
	for i, digit := range digits {
		if left := len(digits) - i; i > 0 && left%3 == 0 && digits[i-1] != '-' {
			text.WriteByte(',')
		}
		text.WriteRune(digit)
	}
	return text.String()
}
