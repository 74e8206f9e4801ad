package conform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// compare adds what differs; an error means that the step could not be asked.
func (r *run) compare(name string, s Step, got outcome) error {
	differ := func(got, want string) {
		r.differences = append(r.differences, Difference{Step: name, Got: got, Want: want})
	}
	pg, refused := errors.AsType[*pgconn.PgError](got.err)
	if got.err != nil && !refused {
		return fmt.Errorf("asking: %w", got.err)
	}
	if s.Code != "" || s.Error != "" {
		part, err := r.expand(s.Error)
		if err != nil {
			return err
		}
		want := strings.TrimSpace(fmt.Sprintf("error %s %q", s.Code, part))
		switch {
		case !refused && s.Any:
		case !refused:
			differ("success, "+answer(got), want)
		case s.Code != "" && pg.Code != s.Code || !strings.Contains(pg.Message+"\n"+pg.Detail, part):
			differ(refusal(pg), want)
		}
		return nil
	}
	if refused {
		differ(refusal(pg), "success")
		return nil
	}
	if s.Tag != "" && got.tag != s.Tag {
		differ(fmt.Sprintf("tag %q", got.tag), fmt.Sprintf("tag %q", s.Tag))
	}
	if s.Rows == nil {
		return nil
	}
	want, err := r.wanted(s.Rows)
	if err != nil {
		return err
	}
	if g, w := rowsText(got.rows), rowsText(want); g != w {
		differ("rows "+g, "rows "+w)
	}
	return nil
}

// wanted fills in the templates of expected rows.
func (r *run) wanted(rows [][]*string) ([][]*string, error) {
	out := make([][]*string, len(rows))
	for i, row := range rows {
		out[i] = make([]*string, len(row))
		for j, v := range row {
			if v == nil {
				continue
			}
			text, err := r.expand(*v)
			if err != nil {
				return nil, err
			}
			out[i][j] = &text
		}
	}
	return out, nil
}

func refusal(pg *pgconn.PgError) string {
	return fmt.Sprintf("error %s %q (%q)", pg.Code, pg.Message, pg.Detail)
}

func answer(got outcome) string {
	if len(got.rows) == 0 {
		return fmt.Sprintf("tag %q", got.tag)
	}
	return "rows " + rowsText(got.rows)
}

// rowsText writes rows on one line.
func rowsText(rows [][]*string) string {
	var b strings.Builder
	for i, row := range rows {
		if i > 0 {
			b.WriteString(" / ")
		}
		for j, v := range row {
			if j > 0 {
				b.WriteString(" | ")
			}
			if v == nil {
				b.WriteString("NULL")
			} else {
				fmt.Fprintf(&b, "%.200q", *v)
			}
		}
	}
	return b.String()
}
