package statements

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DocumentFile is the document of a side below docs, the folder docs/.
func DocumentFile(docs string, side Side) string {
	return filepath.Join(docs, "statements-"+string(side)+".md")
}

// WriteDocument writes the document of a side.
func (l *List) WriteDocument(docs string, side Side) error {
	if err := os.WriteFile(DocumentFile(docs, side), []byte(l.Document(side)), 0o644); err != nil {
		return fmt.Errorf("writing the document: %w", err)
	}
	return nil
}

// Document returns the text of docs/statements-<side>.md.
func (l *List) Document(side Side) string {
	var b strings.Builder
	b.WriteString(introduction(side))
	var headings []string
	for _, n := range l.Statements {
		headings = appendNew(headings, n.When)
	}
	for _, when := range headings {
		fmt.Fprintf(&b, "\n## %s\n", sentence(when))
		for _, n := range l.Statements {
			if n.When == when {
				b.WriteString(n.document())
			}
		}
	}
	return b.String()
}

func (n *Note) document() string {
	lines := []string{n.Often}
	if n.Lock != "" {
		lines = append(lines, "lock: "+n.Lock)
	}
	if n.Why != "" {
		lines = append(lines, n.Why)
	}
	if n.Rare != "" {
		lines = append(lines, "rare: "+n.Rare)
	}
	return "\n```sql\n" + wrap(n.Shape) + "\n```\n" + sentence(strings.Join(lines, "; ")) + ".\n"
}

// sentence begins with a capital.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func introduction(side Side) string {
	const generated = "<!-- Written by make statements from test/statements/%s.yaml; change that file. -->\n\n"
	const shapes = "`?` stands for any value, `<name>` and\n" +
		"`<table>` for names of yours, `<pipeline>` for the pipeline's; of a list or of alike conditions the first\n" +
		"element is shown.\n"
	if side == Redshift {
		return "# What walshift sends to Redshift\n\n" + fmt.Sprintf(generated, side) +
			"Every statement, collected from the sessions of all tests by the stand-in for Redshift; a test fails\n" +
			"when one is sent that is not listed here. They run as the user of `redshift.dsn`, with\n" +
			"application_name `walshift/<pipeline>`. `walshift.…` are the pipeline's state, `<staging>` and `<shadow>`\n" +
			"tables that walshift makes and drops; `[…]` depends on the configuration, and so does GZIP in place of\n" +
			"ZSTD. " + shapes
	}
	return "# What walshift sends to the source\n\n" + fmt.Sprintf(generated, side) +
		"Every statement and replication command, collected from PostgreSQL's own log over all tests; a test\n" +
		"fails when one is sent that is not listed here. They run as the role of `source.dsn`, those of\n" +
		"`walshift setup` as the role that it is given, with application_name `walshift/<part>`. None makes an\n" +
		"application's SELECT, INSERT, UPDATE or DELETE wait, and none waits for one, but for the slot's creation,\n" +
		"which PostgreSQL delays until the transactions that are running then have ended. " + shapes
}
