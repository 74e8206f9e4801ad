package stage

import (
	"errors"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// ErrCollision reports a value that equals the marker.
var ErrCollision = errors.New("collision")

// Field encodes one text as a field of the mapped type.
func Field(m sqltext.Mapping, text, marker []byte) ([]byte, error) {
	c := newColumn("c", m, new(scratch))
	dst, r := c.append(nil, text, marker)
	if r == fits {
		return dst, nil
	}
	if r == collides {
		return nil, ErrCollision
	}
	return nil, &ValueError{Column: "c", Reason: r.String()}
}

// CompositeField encodes the text of a composite, or of an array of them.
func CompositeField(column change.Column, text, marker []byte) ([]byte, error) {
	cols, err := mapColumns(&change.Relation{Columns: []change.Column{column}}, new(sqltext.ValueRules))
	if err != nil {
		return nil, err
	}
	dst, r := cols[0].append(nil, text, marker)
	if r != fits {
		return nil, &ValueError{Column: column.Name, Reason: r.String()}
	}
	return dst, nil
}

// CheckJSON returns what is wrong with a document, "" if nothing is.
func CheckJSON(v []byte) string {
	if r := checkJSON(v); r != fits {
		return r.String()
	}
	return ""
}

// NeedsCare exports needsCare.
func NeedsCare(v []byte) bool { return needsCare(v) }

// RowEncoder encodes rows without a log.
type RowEncoder struct{ c coder }

// NewRowEncoder returns an encoder of complete rows of rel.
func NewRowEncoder(rel *change.Relation, compression string) (*RowEncoder, error) {
	shape, err := newLayout(rel, change.KindInsert, nil, new(sqltext.ValueRules))
	if err != nil {
		return nil, err
	}
	z, err := newCompressor(compression)
	if err != nil {
		return nil, err
	}
	e := &RowEncoder{c: coder{compressor: z}}
	e.c.begin(shape, newMarker("test", 0), nil)
	return e, nil
}

// Add encodes a row, and forgets compressed bytes once they are many.
func (e *RowEncoder) Add(t change.Tuple) error {
	if rec := e.c.layout.identify(t, 1); rec.reason != fits {
		return errors.New(rec.reason.String())
	}
	rec, err := e.c.add(t, nil, false)
	if rec.reason != fits {
		return errors.New(rec.reason.String())
	}
	if len(e.c.out.b) > 1<<20 {
		e.c.out.b = e.c.out.b[:0]
	}
	return err
}

// Marker returns the first marker of the log's files.
func (l *Log) Marker() string { return newMarker(l.folder, 0) }

// MarkerOf returns the marker that a file named key takes after try collisions.
func (l *Log) MarkerOf(key string, try int) string { return newMarker(key, try) }
