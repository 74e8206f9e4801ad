package sqlrule

import (
	"strconv"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// UnloadDef is an UNLOAD as parsed.
type UnloadDef struct {
	// Target is the s3:// prefix after TO.
	Target string
	// Format is TEXT, CSV or JSON.
	Format      string
	Delimiter   string
	Null        string
	Compression string
	Region      string

	Header, Manifest, Escape, AddQuotes, AllowOverwrite, CleanPath, Serial bool
}

// Limits of MAXFILESIZE in MB.
const (
	minFileMB = 5
	maxFileMB = 6.2 * 1024
)

// unloadParser takes the options of one UNLOAD.
type unloadParser struct {
	*compiler
	s3Auth
	def   *UnloadDef
	seen  map[string]bool
	order []string
}

// unload takes UNLOAD ('select') TO 's3://…' authorization options. What the
// query inside may do is decided as for any other.
func (c *compiler) unload() error {
	c.i++
	if err := c.expect("("); err != nil {
		return err
	}
	query, err := c.literal()
	if err != nil {
		return err
	}
	if err := c.expect(")", "to"); err != nil {
		return err
	}
	target, err := c.literal()
	if err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(target, "s3://"); !ok || strings.IndexByte(rest, '/') < 1 {
		return refuse(CodeUnsupported, "UNLOAD destination is not supported. (Hint: only S3 based unload is allowed)")
	}
	p := &unloadParser{compiler: c, def: &UnloadDef{Target: target, Format: "TEXT", Delimiter: "|"}, seen: map[string]bool{}}
	for !c.done() {
		if err := p.option(); err != nil {
			return err
		}
	}
	if err := p.check(); err != nil {
		return err
	}
	inner, err := p.query(query)
	if err != nil {
		return err
	}
	c.st.Kind, c.st.Tag, c.st.Unload = Unload, "UNLOAD", p.def
	c.st.Backend, c.st.Refs, c.st.Words = inner.Backend, inner.Refs, inner.Words
	c.st.Star, c.st.Joins, c.st.LeaderFunc = inner.Star, inner.Joins, inner.LeaderFunc
	return nil
}

// query compiles the text inside. LIMIT may not stand in its outermost SELECT.
func (p *unloadParser) query(text string) (*Statement, error) {
	toks, err := lex.Scan(text)
	if err != nil {
		return nil, refuse(CodeSyntax, "%v", err)
	}
	parts := lex.Split(toks)
	if len(parts) != 1 || !parts[0][0].Is("select") && !parts[0][0].Is("with") && !parts[0][0].Is("(") {
		return nil, refuse(CodeSyntax, "UNLOAD takes a single SELECT")
	}
	depth := 0
	for _, t := range parts[0] {
		switch {
		case t.Is("("):
			depth++
		case t.Is(")"):
			depth--
		case depth == 0 && t.Is("limit"):
			return nil, refuse(CodeSyntax, "Limit clause is not supported")
		}
	}
	st, err := Compile(text, parts[0], p.opt)
	if err != nil {
		return nil, err
	}
	if st.Kind != Select || len(st.Backend) != 1 {
		return nil, refuse(CodeUnsupported, "UNLOAD takes a single SELECT")
	}
	return st, nil
}

func (p *unloadParser) option() error {
	t := p.at(0)
	switch {
	case t.Is("format"):
		p.i++
		p.accept("as")
		t = p.at(0)
		if !t.Is("csv") && !t.Is("parquet") && !t.Is("json") {
			return syntaxAt(t)
		}
	case t.Is("with") && p.at(1).Is("credentials"):
		p.i++
		t = p.at(0)
	}
	if t.Kind != lex.Word {
		return syntaxAt(t)
	}
	group := t.Val
	switch t.Val {
	case "csv", "parquet", "json":
		group = "format"
	case "gzip", "zstd", "bzip2":
		group = "compression"
	}
	if p.seen[group] {
		return refuse(CodeSyntax, "conflicting or redundant options: %s", strings.ToUpper(group))
	}
	p.seen[group], p.seen[t.Val] = true, true
	p.order = append(p.order, t.Val)
	p.i++
	if on := p.flag(t.Val); on != nil {
		*on = true
		return nil
	}
	return p.valued(t)
}

func (p *unloadParser) flag(word string) *bool {
	d := p.def
	switch word {
	case "header":
		return &d.Header
	case "escape":
		return &d.Escape
	case "addquotes":
		return &d.AddQuotes
	case "allowoverwrite":
		return &d.AllowOverwrite
	case "cleanpath":
		return &d.CleanPath
	}
	return nil
}

func (p *unloadParser) valued(t lex.Token) (err error) {
	d := p.def
	text := func() (string, error) {
		p.accept("as")
		return p.literal()
	}
	switch t.Val {
	case "iam_role", "credentials", "access_key_id", "secret_access_key", "session_token":
		return p.take(p.compiler, t.Val)
	case "csv":
		d.Format = "CSV"
		if !p.seen["delimiter"] {
			d.Delimiter = ","
		}
	case "json", "parquet":
		d.Format = strings.ToUpper(t.Val)
	case "gzip", "zstd", "bzip2":
		d.Compression = strings.ToUpper(t.Val)
	case "manifest":
		d.Manifest = true
		if p.accept("verbose") {
			p.seen["verbose"] = true
		}
	case "delimiter":
		d.Delimiter, err = text()
	case "null":
		d.Null, err = text()
	case "region":
		if d.Region, err = text(); err == nil {
			err = checkRegion(d.Region)
		}
	case "fixedwidth", "kms_key_id", "master_symmetric_key", "extension":
		_, err = text()
	case "encrypted":
		p.accept("auto")
	case "parallel":
		switch {
		case p.accept("off"), p.accept("false"):
			d.Serial = true
		case p.accept("on"):
		default:
			p.accept("true")
		}
	case "maxfilesize", "rowgroupsize":
		return p.size(t.Val)
	case "partition":
		if err := p.expect("by"); err != nil {
			return err
		}
		if _, err := p.names(); err != nil {
			return err
		}
		p.accept("include")
	default:
		return syntaxAt(t)
	}
	return err
}

// size takes [AS] n [MB | GB].
func (p *unloadParser) size(word string) error {
	p.accept("as")
	t := p.at(0)
	mb, err := strconv.ParseFloat(t.Text, 64)
	if t.Kind != lex.Number || err != nil {
		return syntaxAt(t)
	}
	p.i++
	if p.accept("gb") {
		mb *= 1024
	} else {
		p.accept("mb")
	}
	if word == "maxfilesize" && (mb < minFileMB || mb > maxFileMB) {
		return refuse(CodeBadParameter, "MAXFILESIZE must be between 5 MB and 6.2 GB")
	}
	return nil
}

// check applies the rules about options that exclude each other, and says what
// this stand-in does not write.
func (p *unloadParser) check() error {
	if err := p.authorized(); err != nil {
		return err
	}
	d := p.def
	var banned []string
	switch {
	case d.Format == "JSON":
		banned = []string{"delimiter", "header", "fixedwidth", "addquotes", "escape", "null"}
	case d.Format == "PARQUET":
		banned = []string{"delimiter", "fixedwidth", "addquotes", "escape", "null", "header", "gzip", "bzip2", "zstd"}
	case p.seen["fixedwidth"]:
		banned = []string{"csv", "delimiter", "header", "addquotes", "escape"}
	case d.Format == "CSV":
		banned = []string{"escape", "addquotes"}
	}
	for _, word := range banned {
		if p.seen[word] {
			name := d.Format
			if p.seen["fixedwidth"] && name == "TEXT" {
				name = "FIXEDWIDTH"
			}
			return refuse(CodeUnsupported, "%s argument is not supported for %s based UNLOAD", strings.ToUpper(word), name)
		}
	}
	switch {
	case d.AllowOverwrite && d.CleanPath:
		return refuse(CodeSyntax, "conflicting or redundant options: ALLOWOVERWRITE and CLEANPATH")
	case (p.seen["kms_key_id"] || p.seen["master_symmetric_key"]) && !p.seen["encrypted"]:
		return refuse(CodeSyntax, "KMS_KEY_ID and MASTER_SYMMETRIC_KEY need ENCRYPTED")
	case p.seen["rowgroupsize"] && d.Format != "PARQUET":
		return refuse(CodeUnsupported, "ROWGROUPSIZE argument is not supported for %s based UNLOAD", d.Format)
	case !oneASCII(d.Delimiter) || strings.ContainsAny(d.Delimiter, "\n\r"):
		return refuse(CodeUnsupported, "UNLOAD delimiter must be a single ASCII character other than a line break")
	case d.Format == "PARQUET":
		return refuse(CodeUnsupported, "UNLOAD format PARQUET is not part of this stand-in: text, CSV and JSON are")
	}
	for _, word := range p.order {
		switch word {
		case "fixedwidth", "partition", "encrypted", "bzip2", "extension":
			return refuse(CodeUnsupported, "UNLOAD option %s is not part of this stand-in", strings.ToUpper(word))
		}
	}
	if p.seen["verbose"] {
		return refuse(CodeUnsupported, "UNLOAD option MANIFEST VERBOSE is not part of this stand-in: MANIFEST is")
	}
	return nil
}
