package sqlrule

import (
	"math"
	"strconv"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// CopyDef is a COPY as parsed.
type CopyDef struct {
	Columns []string
	// Source is the s3:// text after FROM.
	Source   string
	Manifest bool
	// Format is TEXT, CSV, FIXEDWIDTH, JSON, AVRO, PARQUET, ORC or SHAPEFILE.
	Format string
	// Paths is auto, auto ignorecase, noshred or an s3:// path: the argument of
	// JSON and AVRO.
	Paths string
	// Widths are the columns' widths in characters, of FIXEDWIDTH.
	Widths []int
	// Compression is GZIP, ZSTD, BZIP2, LZOP or empty.
	Compression string
	// Encoding is UTF8, UTF16, UTF16LE, UTF16BE or ISO88591.
	Encoding                                                    string
	Delimiter, Quote                                            string
	Null                                                        string
	NullSet                                                     bool
	DateFormat, TimeFormat                                      string
	InvalidChar                                                 string
	AcceptInvalid, BlanksAsNull, EmptyAsNull                    bool
	Escape, ExplicitIDs, FillRecord, IgnoreBlankLines           bool
	RemoveQuotes, RoundDec, TrimBlanks, TruncateColumns, NoLoad bool
	AcceptAnyDate, SerializeJSON                                bool
	// StatUpdate is STATUPDATE ON, which only the table's owner may say.
	StatUpdate   bool
	IgnoreHeader int
	// MaxError is the number of errors at which the load fails; 0 and 1 mean
	// the same.
	MaxError int
	Region   string
}

// loadSource is the answer to a source that no COPY reads.
const loadSource = "LOAD source is not supported. (Hint: only S3 or DynamoDB or EMR based load is allowed)"

const (
	maxErrors   = 100000
	minCompRows = 1000
)

// copyParser takes the options of one COPY.
type copyParser struct {
	*compiler
	s3Auth
	def *CopyDef
	// seen holds the options by their words, and the groups of those of which
	// only one may be given.
	seen map[string]bool
	// order are the words in the order given.
	order []string
}

func (c *compiler) copy() error {
	c.i++
	if err := c.target(Copy, false); err != nil {
		return err
	}
	p := &copyParser{compiler: c, def: &CopyDef{Format: "TEXT", Delimiter: "|", Quote: `"`, Null: `\N`, Encoding: "UTF8"}, seen: map[string]bool{}}
	c.st.Copy, c.st.Tag = p.def, "COPY"
	if c.is("(") {
		cols, err := c.names()
		if err != nil {
			return err
		}
		p.def.Columns = cols
	}
	if c.is("to") {
		return unsupportedCommand(c.st.SQL)
	}
	if err := c.expect("from"); err != nil {
		return err
	}
	if err := p.source(); err != nil {
		return err
	}
	for !c.done() {
		if err := p.option(); err != nil {
			return err
		}
	}
	return p.check()
}

// source takes what follows FROM.
func (p *copyParser) source() error {
	t := p.at(0)
	if t.Is("stdin") || t.Is("program") {
		return refuse(CodeUnsupported, loadSource)
	}
	if t.Kind == lex.Prefixed {
		return refuse(CodeUndefinedType, "type %q does not exist", t.Val)
	}
	if t.Kind != lex.String {
		return syntaxAt(t)
	}
	p.i++
	p.def.Source = t.Val
	scheme, _, _ := strings.Cut(t.Val, "://")
	switch scheme {
	case "s3":
		return nil
	case "dynamodb", "emr", "ssh":
		return refuse(CodeUnsupported, "COPY from %s:// is not part of this stand-in: s3://bucket/key is", scheme)
	}
	return refuse(CodeUnsupported, loadSource)
}

// text takes [AS] 'literal'.
func (p *copyParser) text() (string, error) {
	p.accept("as")
	return p.literal()
}

func (p *copyParser) number() (int, error) {
	p.accept("as")
	t := p.at(0)
	n, err := strconv.Atoi(t.Text)
	if t.Kind != lex.Number || err != nil {
		return 0, syntaxAt(t)
	}
	p.i++
	return n, nil
}

// once notes an option, or a group of which one may be given.
func (p *copyParser) once(what string) error {
	if p.seen[what] {
		return refuse(CodeSyntax, "conflicting or redundant options: %s", strings.ToUpper(what))
	}
	p.seen[what] = true
	return nil
}

// option takes one option. FORMAT and AS before a format are noise words, WITH
// before CREDENTIALS too.
func (p *copyParser) option() error {
	t := p.at(0)
	if t.Kind != lex.Word {
		return syntaxAt(t)
	}
	switch {
	case t.Val == "format":
		p.i++
		p.accept("as")
		if t = p.at(0); !formatWord(t) {
			return syntaxAt(t)
		}
	case t.Val == "as" && formatWord(p.at(1)), t.Val == "with" && p.at(1).Is("credentials"):
		p.i++
		t = p.at(0)
	}
	opt, known := copyOption(t.Val)
	if !known {
		return syntaxAt(t)
	}
	if err := p.once(t.Val); err != nil {
		return err
	}
	p.order = append(p.order, t.Val)
	p.i++
	switch opt.kind {
	case kindFormat:
		return p.format(t.Val)
	case kindFlag:
		*p.flag(t.Val) = true
		return nil
	case kindAuth:
		return p.take(p.compiler, t.Val)
	case kindCompression:
		p.def.Compression = strings.ToUpper(t.Val)
		return p.once("compression")
	default:
		return p.valued(t.Val)
	}
}

func (p *copyParser) flag(word string) *bool {
	d := p.def
	switch word {
	case "manifest":
		return &d.Manifest
	case "blanksasnull":
		return &d.BlanksAsNull
	case "emptyasnull":
		return &d.EmptyAsNull
	case "escape":
		return &d.Escape
	case "explicit_ids":
		return &d.ExplicitIDs
	case "fillrecord":
		return &d.FillRecord
	case "ignoreblanklines":
		return &d.IgnoreBlankLines
	case "removequotes":
		return &d.RemoveQuotes
	case "roundec":
		return &d.RoundDec
	case "trimblanks":
		return &d.TrimBlanks
	case "truncatecolumns":
		return &d.TruncateColumns
	case "acceptanydate":
		return &d.AcceptAnyDate
	case "noload":
		return &d.NoLoad
	case "serializetojson":
		return &d.SerializeJSON
	}
	return new(bool) // known, and without meaning here
}

func (p *copyParser) format(word string) (err error) {
	if err := p.once("format"); err != nil {
		return err
	}
	d := p.def
	d.Format = strings.ToUpper(word)
	switch word {
	case "csv":
		if !p.seen["delimiter"] {
			d.Delimiter = ","
		}
	case "json", "avro":
		if d.Paths, err = p.text(); err == nil && d.Paths != "auto" && d.Paths != "auto ignorecase" &&
			(d.Paths != "noshred" || word == "avro") && !strings.HasPrefix(d.Paths, "s3://") {
			return refuse(CodeBadParameter, "Invalid %s option %q: it must be 'auto', 'auto ignorecase', 'noshred' or a path in S3", d.Format, d.Paths)
		}
	case "fixedwidth":
		var spec string
		if spec, err = p.text(); err == nil {
			d.Widths, err = fixedWidths(spec)
		}
	case "shapefile":
		if p.accept("simplify") {
			p.accept("auto")
			if p.at(0).Kind == lex.String {
				p.i++
			}
		}
	case "rcfile", "sequencefile":
		return refuse(CodeUnsupported, "COPY format %s is not supported", d.Format)
	}
	return err
}

// fixedWidths reads 'label:width, …'.
func fixedWidths(spec string) ([]int, error) {
	bad := refuse(CodeBadParameter, "Invalid fixedwidth specification: it must be 'label:width,...' with widths above 0")
	var out []int
	for part := range strings.SplitSeq(spec, ",") {
		label, width, ok := strings.Cut(part, ":")
		n, err := strconv.Atoi(strings.TrimSpace(width))
		if !ok || strings.TrimSpace(label) == "" || err != nil || n < 1 || n > maxRowBytes {
			return nil, bad
		}
		out = append(out, n)
	}
	return out, nil
}

// maxRowBytes bounds a column's width: no row is longer.
const maxRowBytes = 4 << 20

// valued takes options with a value.
func (p *copyParser) valued(word string) (err error) {
	d := p.def
	switch word {
	case "delimiter":
		d.Delimiter, err = p.text()
	case "quote":
		d.Quote, err = p.text()
	case "null":
		d.NullSet = true
		d.Null, err = p.text()
	case "dateformat":
		d.DateFormat, err = p.text()
	case "timeformat":
		d.TimeFormat, err = p.text()
	case "region":
		d.Region, err = p.text()
	case "acceptinvchars":
		d.AcceptInvalid, d.InvalidChar = true, "?"
		if p.is("as") || p.at(0).Kind == lex.String {
			d.InvalidChar, err = p.text()
		}
	case "encoding":
		p.accept("as")
		d.Encoding, err = p.encoding()
	case "ignoreheader":
		d.IgnoreHeader, err = p.number()
	case "maxerror":
		if d.MaxError, err = p.number(); err == nil && d.MaxError > maxErrors {
			return refuse(CodeBadParameter, "MAXERROR must be between 0 and %d", maxErrors)
		}
	case "ignoreallerrors":
		d.MaxError = math.MaxInt
	case "comprows":
		var n int
		if n, err = p.number(); err == nil && (n < minCompRows || n > math.MaxInt32) {
			return refuse(CodeBadParameter, "COMPROWS must be between %d and %d", minCompRows, math.MaxInt32)
		}
	case "compupdate":
		if !p.accept("preset") {
			p.onOff()
		}
	case "statupdate":
		d.StatUpdate = p.onOff()
	case "master_symmetric_key":
		_, err = p.text()
	case "readratio":
		_, err = p.number()
	}
	return err
}

// onOff takes ON, TRUE, OFF, FALSE or nothing, which is ON.
func (p *copyParser) onOff() bool {
	if p.accept("off") || p.accept("false") {
		return false
	}
	if !p.accept("on") {
		p.accept("true")
	}
	return true
}

func (p *copyParser) encoding() (string, error) {
	t := p.at(0)
	if t.Kind != lex.Word && t.Kind != lex.String {
		return "", syntaxAt(t)
	}
	p.i++
	switch e := strings.ToUpper(t.Val); e {
	case "UTF8", "UTF16", "UTF16LE", "UTF16BE", "ISO88591":
		return e, nil
	}
	return "", refuse(CodeUnsupported, "COPY ENCODING %s is not part of this stand-in: UTF8, UTF16, UTF16LE, UTF16BE and ISO88591 are", t.Text)
}
