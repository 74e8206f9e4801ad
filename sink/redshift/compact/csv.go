package compact

import (
	"bytes"
	"errors"
	"fmt"
)

// errRecords reports records that are not what the log writes.
var errRecords = errors.New("malformed records")

// nextRecord splits the first record of b into its fields as they stand there,
// quotes included, and returns what follows it. Fields alias b. It reads what
// package stage writes, a subset of what COPY reads: no blanks around quotes,
// one LF behind each record, also the last.
func nextRecord(fields [][]byte, b []byte) (record [][]byte, rest []byte, err error) {
	for {
		end, err := fieldEnd(b)
		if err != nil {
			return nil, nil, err
		}
		fields = append(fields, b[:end:end])
		switch {
		case end == len(b):
			return nil, nil, fmt.Errorf("%w: the last one has no end", errRecords)
		case b[end] == ',':
			b = b[end+1:]
		case b[end] == '\n':
			return fields, b[end+1:], nil
		default:
			return nil, nil, fmt.Errorf("%w: a quote stands inside of a field", errRecords)
		}
	}
}

// fieldEnd returns the length of the field that b begins with.
func fieldEnd(b []byte) (int, error) {
	if len(b) > 0 && b[0] == '"' {
		return closingQuote(b)
	}
	end := bytes.IndexAny(b, ",\n\"")
	if end < 0 {
		return 0, fmt.Errorf("%w: the last one has no end", errRecords)
	}
	return end, nil
}

// closingQuote returns the length of the quoted field that b begins with.
func closingQuote(b []byte) (int, error) {
	for at := 1; ; at += 2 {
		i := bytes.IndexByte(b[min(at, len(b)):], '"')
		if i < 0 {
			return 0, fmt.Errorf("%w: a quoted field has no end", errRecords)
		}
		at += i
		if at+1 == len(b) || b[at+1] != '"' {
			return at + 1, nil
		}
	}
}

// text returns a field's value without its quotes.
func text(field []byte) []byte {
	if len(field) < 2 || field[0] != '"' {
		return field
	}
	return bytes.ReplaceAll(field[1:len(field)-1], []byte(`""`), []byte(`"`))
}

// Fields splits a record, without the LF that ends it, into its fields as they
// stand there, quotes included. Fields alias the record.
func Fields(fields [][]byte, record []byte) ([][]byte, error) {
	for b := record; ; {
		end := bytes.IndexByte(b, ',')
		if len(b) > 0 && b[0] == '"' {
			var err error
			if end, err = closingQuote(b); err != nil {
				return nil, err
			}
		} else if end < 0 {
			end = len(b)
		}
		fields = append(fields, b[:end:end])
		switch {
		case end == len(b):
			return fields, nil
		case b[end] != ',':
			return nil, fmt.Errorf("%w: a quote stands inside of a field", errRecords)
		}
		b = b[end+1:]
	}
}

// Text returns what a field says, without its quotes.
func Text(field []byte) []byte { return text(field) }
