package sqlrule

import (
	"regexp"
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
	// Format is TEXT, CSV, JSON or PARQUET.
	Format string
	// JSON is auto, auto ignorecase, noshred or an s3:// path.
	JSON string
	// Compression is GZIP, ZSTD or empty.
	Compression                                                 string
	Delimiter, Quote                                            string
	Null                                                        string
	NullSet                                                     bool
	DateFormat, TimeFormat                                      string
	InvalidChar                                                 string
	AcceptInvalid, BlanksAsNull, EmptyAsNull                    bool
	Escape, ExplicitIDs, FillRecord, IgnoreBlankLines           bool
	RemoveQuotes, RoundDec, TrimBlanks, TruncateColumns, NoLoad bool
	AcceptAnyDate                                               bool
	IgnoreHeader, MaxError                                      int
	Region                                                      string
}

// copyParser takes the options of one COPY.
type copyParser struct {
	*compiler
	def  *CopyDef
	auth bool
	keys int
	seen map[string]bool
}

func (c *compiler) copy() error {
	c.i++
	if err := c.target(Copy, false); err != nil {
		return err
	}
	p := &copyParser{compiler: c, def: &CopyDef{Format: "TEXT", Delimiter: "|", Quote: `"`, Null: `\N`}, seen: map[string]bool{}}
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
	t := c.at(0)
	if t.Is("stdin") || t.Is("program") {
		return refuse(CodeUnsupported, "COPY FROM %s is not supported", strings.ToUpper(t.Val))
	}
	if t.Kind != lex.String {
		return syntaxAt(t)
	}
	if !strings.HasPrefix(t.Val, "s3://") {
		return refuse(CodeUnsupported, "COPY source %q is not supported: s3://bucket/key is", strings.SplitN(t.Val, ":", 2)[0])
	}
	p.def.Source = t.Val
	c.i++
	for !c.done() {
		if err := p.option(); err != nil {
			return err
		}
	}
	return p.check()
}

// text takes [AS] 'literal'.
func (p *copyParser) text() (string, error) {
	p.accept("as")
	t := p.at(0)
	if t.Kind == lex.Prefixed {
		return "", refuse(CodeUndefinedType, "type %q does not exist", t.Val)
	}
	if t.Kind != lex.String {
		return "", syntaxAt(t)
	}
	p.i++
	return t.Val, nil
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

// option takes one option.
func (p *copyParser) option() error {
	t := p.at(0)
	if t.Kind != lex.Word {
		return syntaxAt(t)
	}
	word := t.Val
	if word == "format" {
		p.i++
		p.accept("as")
		if t = p.at(0); t.Kind != lex.Word || !formatWord(t.Val) {
			return syntaxAt(t)
		}
		word = t.Val
	}
	if p.seen[word] {
		return refuse(CodeSyntax, "conflicting or redundant options: %s", strings.ToUpper(word))
	}
	p.seen[word] = true
	p.i++
	if formatWord(word) {
		return p.format(word)
	}
	if flag := p.flag(word); flag != nil {
		*flag = true
		return nil
	}
	return p.valued(word, t)
}

func formatWord(w string) bool {
	switch w {
	case "csv", "json", "parquet", "orc", "avro", "fixedwidth", "text", "shapefile", "rcfile", "sequencefile":
		return true
	}
	return false
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
	}
	return nil
}

func (p *copyParser) format(word string) (err error) {
	if p.seen["\x00format"] {
		return refuse(CodeSyntax, "conflicting or redundant options: format")
	}
	p.seen["\x00format"] = true
	switch word {
	case "csv":
		p.def.Format = "CSV"
		if !p.seen["delimiter"] {
			p.def.Delimiter = ","
		}
		if p.accept("quote") {
			p.seen["quote"] = true
			p.def.Quote, err = p.text()
		}
	case "json":
		p.def.Format = "JSON"
		if p.def.JSON, err = p.text(); err == nil && p.def.JSON != "auto" && p.def.JSON != "auto ignorecase" && p.def.JSON != "noshred" {
			return refuse(CodeUnsupported, "JSON %q is not part of this stand-in: 'auto', 'auto ignorecase' and 'noshred' are", p.def.JSON)
		}
	case "parquet":
		p.def.Format = "PARQUET"
	case "text":
		p.def.Format = "TEXT"
	default:
		return refuse(CodeUnsupported, "COPY format %s is not part of this stand-in", strings.ToUpper(word))
	}
	return err
}

// valued takes options with a value, and authorization.
func (p *copyParser) valued(word string, t lex.Token) (err error) {
	d := p.def
	switch word {
	case "iam_role", "credentials", "access_key_id", "secret_access_key", "session_token":
		return p.authorization(word)
	case "gzip", "zstd":
		if d.Compression != "" {
			return refuse(CodeSyntax, "conflicting or redundant options: %s", strings.ToUpper(word))
		}
		d.Compression = strings.ToUpper(word)
	case "bzip2", "lzop", "encrypted", "ssh", "readratio", "master_symmetric_key":
		return refuse(CodeUnsupported, "COPY option %s is not part of this stand-in", strings.ToUpper(word))
	case "delimiter":
		if d.Delimiter, err = p.text(); err == nil && (len(d.Delimiter) != 1 || d.Delimiter[0] >= 0x80) {
			return refuse(CodeBadParameter, "COPY delimiter must be a single ASCII character")
		}
	case "quote":
		d.Quote, err = p.text()
	case "null":
		d.NullSet = true
		if d.Null, err = p.text(); err == nil && strings.ContainsAny(d.Null, "\n\r") {
			return refuse(CodeBadParameter, "COPY null representation cannot use newline or carriage return")
		}
	case "dateformat":
		d.DateFormat, err = p.text()
	case "timeformat":
		d.TimeFormat, err = p.text()
	case "region":
		d.Region, err = p.text()
	case "acceptinvchars":
		d.AcceptInvalid, d.InvalidChar = true, "?"
		if p.is("as") || p.at(0).Kind == lex.String {
			if d.InvalidChar, err = p.text(); err == nil && (len(d.InvalidChar) != 1 || d.InvalidChar[0] >= 0x80) {
				return refuse(CodeBadParameter, "ACCEPTINVCHARS needs one ASCII character")
			}
		}
	case "encoding":
		p.accept("as")
		if e := p.at(0); !e.Is("utf8") && !e.Is("auto") && e.Val != "utf8" {
			return refuse(CodeUnsupported, "COPY ENCODING %s is not part of this stand-in", e.Text)
		}
		p.i++
	case "ignoreheader":
		d.IgnoreHeader, err = p.number()
	case "maxerror":
		if d.MaxError, err = p.number(); err == nil && d.MaxError > 100000 {
			return refuse(CodeBadParameter, "MAXERROR must be between 0 and 100000")
		}
	case "ignoreallerrors":
		d.MaxError = int(^uint(0) >> 1)
	case "comprows":
		_, err = p.number()
	case "compupdate", "statupdate":
		if word == "compupdate" && p.accept("preset") {
			return nil
		}
		if !p.accept("on") && !p.accept("off") && !p.accept("true") {
			p.accept("false")
		}
	default:
		return syntaxAt(t)
	}
	return err
}

func (p *copyParser) authorization(word string) error {
	p.accept("as")
	if word == "iam_role" && p.accept("default") {
		return p.authorized()
	}
	v, err := p.text()
	if err != nil {
		return err
	}
	ok := v != ""
	switch word {
	case "iam_role":
		ok = true
		for arn := range strings.SplitSeq(v, ",") {
			ok = ok && validARN(strings.TrimSpace(arn))
		}
	case "credentials":
		ok = strings.Contains(v, "aws_iam_role=") && validARN(strings.TrimPrefix(v, "aws_iam_role=")) ||
			strings.Contains(v, "aws_access_key_id=") && strings.Contains(v, ";aws_secret_access_key=")
	case "access_key_id":
		p.keys |= 1
	case "secret_access_key":
		p.keys |= 2
	case "session_token":
		p.keys |= 4
		return nil
	}
	if !ok {
		return refuse(CodeBadParameter, "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or 'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'")
	}
	if p.keys != 0 && p.keys&3 != 3 {
		return nil
	}
	return p.authorized()
}

func (p *copyParser) authorized() error {
	if p.auth {
		return refuse(CodeSyntax, "conflicting or redundant options: COPY takes one form of authorization")
	}
	p.auth = true
	return nil
}

func validARN(arn string) bool {
	ok, err := regexp.MatchString(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`, arn)
	return ok && err == nil
}

// check applies the rules about options that exclude each other.
func (p *copyParser) check() error {
	d := p.def
	if !p.auth {
		return refuse(CodeUnsupported, "COPY needs authorization: IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID and SECRET_ACCESS_KEY")
	}
	if p.keys != 0 && p.keys&3 != 3 {
		return refuse(CodeSyntax, "ACCESS_KEY_ID and SECRET_ACCESS_KEY must be given together")
	}
	var banned []string
	switch d.Format {
	case "CSV":
		banned = []string{"escape", "fixedwidth", "removequotes"}
	case "JSON":
		banned = []string{"csv", "delimiter", "escape", "fillrecord", "fixedwidth", "ignoreblanklines", "null", "readratio", "removequotes", "quote", "ignoreheader"}
	case "PARQUET":
		for word := range p.seen {
			if !parquetOption(word) {
				banned = append(banned, word)
			}
		}
	default:
		banned = []string{"quote"}
	}
	for _, word := range banned {
		if p.seen[word] {
			return refuse(CodeUnsupported, "COPY option %s is not compatible with format %s", strings.ToUpper(word), d.Format)
		}
	}
	if d.Escape && d.RemoveQuotes && d.Format != "TEXT" {
		return refuse(CodeUnsupported, "COPY options ESCAPE and REMOVEQUOTES need delimited text")
	}
	if d.Format == "CSV" && (len(d.Quote) != 1 || d.Quote == d.Delimiter) {
		return refuse(CodeBadParameter, "COPY quote must be a single ASCII character other than the delimiter")
	}
	if d.Format != "JSON" && d.NullSet && d.Null != "" && strings.Contains(d.Null, d.Delimiter) {
		return refuse(CodeBadParameter, "COPY delimiter must not appear in the NULL specification")
	}
	return nil
}

func parquetOption(word string) bool {
	switch word {
	case "parquet", "\x00format", "acceptinvchars", "fillrecord", "iam_role", "credentials", "access_key_id", "secret_access_key", "session_token",
		"statupdate", "manifest", "explicit_ids", "serializetojson":
		return true
	}
	return false
}
