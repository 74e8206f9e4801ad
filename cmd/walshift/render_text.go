package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// labelWidth is the column that labelled lines begin at.
const labelWidth = 11

// line writes one labelled line, wrapped below itself.
func (r *renderer) line(label, text string) {
	indent := strings.Repeat(" ", labelWidth)
	var inner renderer
	inner.v = r.v
	inner.wrapped(indent, text)
	r.b.WriteString(label + strings.Repeat(" ", labelWidth-len(label)) + strings.TrimPrefix(inner.b.String(), indent))
}

// wrapped writes a text in lines that fit, each indented.
func (r *renderer) wrapped(indent, text string) {
	room := 0
	if r.v.Width > 0 {
		room = max(20, r.v.Width-len(indent))
	}
	line := ""
	flush := func() {
		r.b.WriteString(indent + line + "\n")
		line = ""
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && room > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		flush()
	}
}

// grid writes columns; numbers to the right. below holds lines that follow a
// row.
func (r *renderer) grid(rows [][]string, below map[int]string) {
	widths := make([]int, len(rows[0]))
	numeric := make([]bool, len(rows[0]))
	for i, row := range rows {
		for c, cell := range row {
			widths[c] = max(widths[c], utf8.RuneCountInString(cell))
			if i > 0 && cell != "" {
				numeric[c] = numeric[c] || strings.Trim(cell, "0123456789,") == ""
			}
		}
	}
	for i, row := range rows {
		var line strings.Builder
		for c, cell := range row {
			pad := strings.Repeat(" ", widths[c]-utf8.RuneCountInString(cell))
			color := ""
			if i > 0 && rows[0][c] == "STATE" {
				color = stateColor(cell)
			}
			if numeric[c] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(r.colored(color, cell) + pad + "  ")
			}
		}
		r.b.WriteString(strings.TrimRight(line.String(), " ") + "\n" + below[i])
	}
}

func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// bytesText writes a size with three digits or so.
func bytesText(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(max(0, n), 10) + " B"
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if v /= 1024; v < 999.5 {
			return digits(v) + " " + unit
		}
	}
	return digits(v/1024) + " TiB"
}

func digits(v float64) string {
	if v < 9.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// countText groups digits by thousands.
func countText(n int64) string {
	s := strconv.FormatInt(max(0, n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func lagText(s float64) string {
	if s < 10 {
		return strconv.FormatFloat(max(0, s), 'f', 1, 64) + " s"
	}
	return ageText(secondsOf(s))
}

// ageText writes a time in its two largest units.
func ageText(d time.Duration) string {
	d = max(0, d)
	day := 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return twoUnits(d/time.Minute, "min", d%time.Minute/time.Second, "s")
	case d < day:
		return twoUnits(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
	}
	return twoUnits(d/day, "d", d%day/time.Hour, "h")
}

func twoUnits(large time.Duration, name string, small time.Duration, smallName string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, name)
	}
	return fmt.Sprintf("%d %s %d %s", large, name, small, smallName)
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
