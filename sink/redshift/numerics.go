package redshift

import (
	"context"
	"fmt"
	"slices"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// This file is about numerics without a precision, whose type on Redshift is
// settled when a pipeline begins.

// wantsText reports whether the configuration wants a column's numbers as text.
func (w *Warehouse) wantsText(rel *change.Relation, column string) bool {
	return w.cfg.Values.Of(rel.String(), column).UnboundedNumeric == sqltext.NumericText
}

// SettleNumerics settles those columns of rels that values.unbounded_numeric
// wants as text, and, where existing targets are kept, those whose target has a
// DECIMAL(38,s) with s from 9 to 18. The others are left as they are.
func (w *Warehouse) SettleNumerics(ctx context.Context, rels []*change.Relation) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rel := range rels {
		open := false
		for i := range rel.Columns {
			switch c := &rel.Columns[i]; {
			case !c.Unbounded() || c.Numeric != nil:
			case w.wantsText(rel, c.Name):
				c.Numeric = &change.Numeric{Text: true}
			default:
				open = true
			}
		}
		if !open || w.existing() == ExistingRefuse {
			continue
		}
		s, err := w.ready(ctx)
		if err != nil {
			return fault("connecting", err)
		}
		columns, err := w.columnsOf(ctx, s, w.storedName(w.target(rel)))
		if err != nil {
			return fault("looking at targets", err)
		}
		*rel = *w.settledBy(rel, columns)
	}
	return nil
}

// settledBy returns rel with the scales that an existing target has.
func (w *Warehouse) settledBy(rel *change.Relation, target []sqltext.CatalogColumn) *change.Relation {
	out := *rel
	out.Columns = slices.Clone(rel.Columns)
	for i := range out.Columns {
		c := &out.Columns[i]
		if !c.Unbounded() || c.Numeric != nil || w.wantsText(rel, c.Name) {
			continue
		}
		at := slices.IndexFunc(target, func(t sqltext.CatalogColumn) bool { return t.Name == w.db.stored(c.Name) })
		if at < 0 {
			continue
		}
		if scale, ok := target[at].NumericScale(); ok && scale >= change.MinNumericScale && scale <= change.MaxNumericScale {
			c.SettleNumeric(scale)
		}
	}
	return &out
}

// CheckNumerics settles the columns of rels that nobody has settled, as the
// pipelines of before have them: as text where values.unbounded_numeric says
// so, else with a scale of 18. Where that key wants what is settled otherwise
// the error is a fault of scope ScopeFatal. Redshift is not asked.
func (w *Warehouse) CheckNumerics(rels []*change.Relation) error {
	for _, rel := range rels {
		for i := range rel.Columns {
			c := &rel.Columns[i]
			if !c.Unbounded() {
				continue
			}
			text := w.wantsText(rel, c.Name)
			if c.Numeric == nil {
				n := c.NumericForm(text)
				if n.Text {
					n.Scale = 0
				}
				c.Numeric = &n
			}
			if c.Numeric.Text != text {
				return numericFault(rel, c)
			}
		}
	}
	return nil
}

func numericFault(rel *change.Relation, c *change.Column) error {
	decimal := fmt.Sprintf("DECIMAL(38,%d)", c.Numeric.Scale)
	was, is, now := sqltext.NumericDecimal, sqltext.NumericText, "text"
	have := decimal
	if c.Numeric.Text {
		was, is, now, have = is, was, "a decimal number", "text"
	}
	return &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeValuesChanged, Op: "comparing values with the log", Table: rel.String(), TableOID: rel.OID,
		Err: fmt.Errorf("column %q was loaded with unbounded_numeric: %s, as %s, and the configuration now says %s, which would make it %s",
			c.Name, was, have, is, now),
		Remedy: fmt.Sprintf("say %s again, or run `walshift teardown --drop-targets` and start afresh to load the tables in the new form; "+
			"nothing has been read or changed", was),
	}
}
