package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

const (
	readBuffer  = 256 << 10
	chunk       = 128 << 10
	maxFailures = 20
)

// FileStat tells what was read from one file.
type FileStat struct {
	URL   string
	Bytes int64
	Lines int64
}

// Result is the outcome of a load.
type Result struct {
	Rows, Bytes int64
	Files       []FileStat
	// Failures are the rows that could not be loaded, at most 20 of them.
	Failures []*Failure
	// Errors is how many rows could not be loaded.
	Errors int
	// Failed says that there were as many as MAXERROR allows no more.
	Failed bool
}

// Loader reads files into rows of PostgreSQL's COPY text format.
type Loader struct {
	Store   Store
	Columns []Column
	Options Options
	// Emit gets whole rows; it must not keep the slice.
	Emit func([]byte) error
	buf  []byte
	res  *Result
}

// Run loads the files in order. An error is one of the statement or of the
// connection; failures of rows are in the result.
func (l *Loader) Run(ctx context.Context, files []File) (*Result, error) {
	l.res = &Result{}
	for _, f := range files {
		if err := l.file(ctx, f); err != nil {
			return l.res, err
		}
		if l.res.Failed {
			return l.res, nil
		}
	}
	return l.res, l.flush()
}

func (l *Loader) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	err := l.Emit(l.buf)
	l.buf = l.buf[:0]
	return err
}

func (l *Loader) file(ctx context.Context, f File) error {
	body, size, err := l.Store.Open(ctx, f.Bucket, f.Key)
	if err != nil {
		return s3Error(f.URL(), err)
	}
	defer body.Close()
	r, done, err := decompress(body, l.Options.Compression)
	if err != nil {
		return err
	}
	defer done()
	buffered := bufio.NewReaderSize(decode(r, l.Options.Encoding), readBuffer)
	skipped, err := skipHeader(buffered, l.Options.IgnoreHeader)
	if err != nil {
		return stmtErr("Failed to read %s: %v", f.URL(), err)
	}
	rec, err := l.reader(buffered, skipped)
	if err != nil {
		return err
	}
	l.res.Bytes += size
	err = l.records(ctx, rec, f.URL())
	l.res.Files = append(l.res.Files, FileStat{URL: f.URL(), Bytes: size, Lines: rec.line()})
	return err
}

// skipHeader passes n lines, whatever is in them.
func skipHeader(r *bufio.Reader, n int) (int64, error) {
	for done := range n {
		for {
			_, err := r.ReadSlice('\n')
			if err == nil {
				break
			}
			if _, bad := errors.AsType[*Failure](err); bad || errors.Is(err, io.EOF) {
				return int64(done), nil // the reader meets it again
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return int64(done), err
			}
		}
	}
	return int64(n), nil
}

// resumer can go on after a broken record.
type resumer interface{ skipLine() error }

func (l *Loader) records(ctx context.Context, rec recordReader, url string) error {
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		fields, err := rec.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		bad, isBad := errors.AsType[*Failure](err)
		if err != nil && !isBad {
			if _, own := errors.AsType[*StatementError](err); own || ctx.Err() != nil {
				return err
			}
			return stmtErr("Failed to read %s: %v", url, err)
		}
		mark := len(l.buf)
		goOn := true
		if bad == nil {
			bad = l.row(fields)
		} else {
			s, ok := rec.(resumer)
			goOn = ok && s.skipLine() == nil
		}
		if bad != nil {
			l.buf = l.buf[:mark]
			bad.File, bad.Line, bad.RawLine = url, rec.line(), strings.TrimRight(string(rec.rawLine()), "\r\n")
			if l.fail(bad); l.res.Failed || !goOn {
				return nil
			}
			continue
		}
		l.res.Rows++
		if len(l.buf) >= chunk {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
}

// fail counts a failure. MAXERROR is the number at which the load fails, and 0
// means the same as 1 (data load operations).
func (l *Loader) fail(f *Failure) {
	l.res.Errors++
	if len(l.res.Failures) < maxFailures {
		l.res.Failures = append(l.res.Failures, f)
	}
	l.res.Failed = l.res.Errors >= max(l.Options.MaxError, 1)
}

// row appends one row to the buffer.
func (l *Loader) row(fields []field) *Failure {
	o := &l.Options
	if n := len(fields); n == len(l.Columns)+1 && o.Format == "TEXT" && len(fields[n-1].data) == 0 && !fields[n-1].marker {
		fields = fields[:n-1] // a delimiter may end the record
	}
	if len(fields) > len(l.Columns) {
		return fail(CodeTooMany, "Extra column(s) found")
	}
	if len(fields) == 1 && len(l.Columns) > 1 && len(fields[0].data) == 0 && !fields[0].quoted && !fields[0].marker && !o.FillRecord {
		return fail(CodeEmptyLine, "Input line contained no data")
	}
	if len(fields) < len(l.Columns) && !o.FillRecord {
		f := fail(CodeTooFew, "Delimiter not found: too few columns")
		f.Column = &l.Columns[len(fields)]
		return f
	}
	for i := range l.Columns {
		if i > 0 {
			l.buf = append(l.buf, '\t')
		}
		f := field{missing: true}
		if i < len(fields) {
			f = fields[i]
		}
		if bad := l.value(f, &l.Columns[i]); bad != nil {
			bad.Column = &l.Columns[i]
			bad.RawField = string(f.data[:min(len(f.data), maxRaw)])
			return bad
		}
	}
	l.buf = append(l.buf, '\n')
	return nil
}

// value appends one field.
func (l *Loader) value(f field, c *Column) *Failure {
	o := &l.Options
	bad := null()
	if !o.isNull(f, c) {
		if o.Format == "FIXEDWIDTH" && !isChar(c) {
			f.data = bytes.TrimSpace(f.data)
		}
		l.buf, bad = o.appendValue(l.buf, f.data, c)
	}
	switch {
	case bad == nil:
		return nil
	case bad.Code != codeNull:
		return bad
	case c.Identity:
		return fail(CodeIdentity, "Invalid value for an IDENTITY column")
	case c.NotNull:
		return fail(CodeNotNull, "Missing data for not-null field")
	}
	l.buf = append(l.buf, `\N`...)
	return nil
}

func (l *Loader) reader(r *bufio.Reader, skipped int64) (recordReader, error) {
	o := &l.Options
	base := byteReader{r: r, lines: skipped}
	switch o.Format {
	case "CSV":
		return &csvReader{byteReader: base, delim: o.Delimiter, quote: o.Quote, ignoreBlank: o.IgnoreBlankLines}, nil
	case "FIXEDWIDTH":
		return &fixedReader{byteReader: base, widths: o.Widths, ignoreBlank: o.IgnoreBlankLines}, nil
	case "JSON":
		return &jsonReader{r: r, lines: skipped, shape: l.shape()}, nil
	case "AVRO":
		return newAvroReader(r, l.shape())
	}
	return &textReader{byteReader: base, delim: o.Delimiter, escape: o.Escape, removeQuotes: o.RemoveQuotes, ignoreBlank: o.IgnoreBlankLines}, nil
}

func (l *Loader) shape() shape {
	o := &l.Options
	return shape{cols: l.Columns, mode: o.JSON, paths: o.Paths, acceptInvalid: o.AcceptInvalid, invalidChar: o.InvalidChar}
}
