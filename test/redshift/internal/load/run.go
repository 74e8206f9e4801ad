package load

import (
	"bufio"
	"context"
	"errors"
	"io"
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
	// Failed says that there were more than MAXERROR.
	Failed bool
	errors int
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
		return stmtErr("S3ServiceException: %s", reason(err))
	}
	defer body.Close()
	r, done, err := decompress(body, l.Options.Compression)
	if err != nil {
		return err
	}
	defer done()
	rec := l.reader(bufio.NewReaderSize(r, readBuffer))
	l.res.Bytes += size
	err = l.records(ctx, rec, f.URL())
	l.res.Files = append(l.res.Files, FileStat{URL: f.URL(), Bytes: size, Lines: rec.line()})
	return err
}

// resumer can go on after a broken record.
type resumer interface{ skipLine() error }

func (l *Loader) records(ctx context.Context, rec recordReader, url string) error {
	for n := int64(0); ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		fields, err := rec.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var bad *Failure
		if err != nil && !errors.As(err, &bad) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return stmtErr("Failed to read %s: %v", url, err)
		}
		if bad == nil && rec.line() <= int64(l.Options.IgnoreHeader) {
			continue
		}
		mark := len(l.buf)
		if bad == nil {
			bad = l.row(fields)
		} else if s, ok := rec.(resumer); !ok || s.skipLine() != nil {
			l.fail(bad, url, rec.line())
			return nil //nolint:nilerr // the failure is in the result
		}
		if bad != nil {
			l.buf = l.buf[:mark]
			if l.fail(bad, url, rec.line()); l.res.Failed {
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

func (l *Loader) fail(f *Failure, url string, line int64) {
	f.File, f.Line = url, line
	l.res.errors++
	if len(l.res.Failures) < maxFailures {
		l.res.Failures = append(l.res.Failures, f)
	}
	l.res.Failed = l.res.errors > l.Options.MaxError
}

// row appends one row to the buffer.
func (l *Loader) row(fields []field) *Failure {
	o := &l.Options
	if len(fields) > len(l.Columns) {
		return fail(CodeTooMany, "Extra column(s) found")
	}
	if len(fields) < len(l.Columns) && !o.FillRecord {
		return fail(CodeTooFew, "Delimiter not found: too few columns")
	}
	for i := range l.Columns {
		c := &l.Columns[i]
		if i > 0 {
			l.buf = append(l.buf, '\t')
		}
		missing := i >= len(fields)
		if missing && !isChar(c) || !missing && (fields[i].data == nil && fields[i].marker || l.isNull(fields[i], c)) {
			if c.NotNull {
				f := fail(CodeNotNull, "Missing data for not-null field")
				f.Column = c
				return f
			}
			l.buf = append(l.buf, `\N`...)
			continue
		}
		var v []byte
		if !missing {
			v = fields[i].data
		}
		var bad *Failure
		if l.buf, bad = o.appendValue(l.buf, v, c); bad != nil {
			bad.Column = c
			return bad
		}
	}
	l.buf = append(l.buf, '\n')
	return nil
}

func (l *Loader) isNull(f field, c *Column) bool {
	return l.Options.Format != "JSON" && l.Options.isNull(f, c)
}

func (l *Loader) reader(r *bufio.Reader) recordReader {
	o := &l.Options
	base := byteReader{r: r}
	switch o.Format {
	case "CSV":
		return &csvReader{byteReader: base, delim: o.Delimiter, quote: o.Quote, ignoreBlank: o.IgnoreBlankLines}
	case "JSON":
		return newJSONReader(r, l.Columns, o.JSON)
	}
	return &textReader{byteReader: base, delim: o.Delimiter, escape: o.Escape, removeQuotes: o.RemoveQuotes, ignoreBlank: o.IgnoreBlankLines}
}
