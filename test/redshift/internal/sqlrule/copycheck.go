package sqlrule

import (
	"regexp"
	"strings"

	"github.com/walshift/walshift/test/redshift/internal/lex"
)

// check applies the rules about options that exclude or need each other.
func (p *copyParser) check() error {
	if err := p.authorized(); err != nil {
		return err
	}
	d := p.def
	set := formatSet(d.Format)
	for _, word := range p.order {
		if opt, _ := copyOption(word); opt.in&set == 0 {
			name := d.Format
			if name == "TEXT" {
				name = "delimited text"
			}
			return refuse(CodeUnsupported, "%s argument is not supported for %s based COPY", strings.ToUpper(word), name)
		}
	}
	if d.Region != "" {
		if err := checkRegion(d.Region); err != nil {
			return err
		}
	}
	if p.seen["maxerror"] && p.seen["ignoreallerrors"] {
		return refuse(CodeSyntax, "conflicting or redundant options: IGNOREALLERRORS and MAXERROR")
	}
	if err := p.checkEncryption(); err != nil {
		return err
	}
	switch {
	case p.seen["ssh"], p.seen["readratio"]:
		return refuse(CodeUnsupported, "SSH and READRATIO are not supported for COPY from S3")
	case d.Format == "FIXEDWIDTH" && d.Encoding != "UTF8":
		return refuse(CodeUnsupported, "ENCODING %s is not supported for FIXEDWIDTH based COPY", d.Encoding)
	}
	if set&inFlat != 0 {
		if err := p.checkMarks(); err != nil {
			return err
		}
	}
	if d.AcceptInvalid && !oneASCII(d.InvalidChar) {
		return refuse(CodeBadParameter, "ACCEPTINVCHARS replacement must be a single ASCII character other than NUL")
	}
	switch {
	case d.Format == "ORC", d.Format == "SHAPEFILE":
		return refuse(CodeUnsupported, "COPY format %s is not part of this stand-in", d.Format)
	case d.Compression == "LZOP":
		return refuse(CodeUnsupported, "COPY option LZOP is not part of this stand-in: GZIP, ZSTD and BZIP2 are")
	}
	return nil
}

func (p *copyParser) checkEncryption() error {
	key := p.seen["master_symmetric_key"]
	switch {
	case key && !p.seen["encrypted"], p.key && !p.seen["encrypted"]:
		return refuse(CodeSyntax, "MASTER_SYMMETRIC_KEY needs ENCRYPTED")
	case key && p.seen["credentials"]:
		return refuse(CodeSyntax, "MASTER_SYMMETRIC_KEY cannot be used with CREDENTIALS")
	case p.seen["encrypted"] && !key && !p.key:
		return refuse(CodeSyntax, "ENCRYPTED needs MASTER_SYMMETRIC_KEY")
	case p.seen["encrypted"]:
		return refuse(CodeUnsupported, "COPY of files with client-side encryption is withdrawn")
	}
	return nil
}

// checkMarks looks at delimiter, quote and null marker against each other.
func (p *copyParser) checkMarks() error {
	d := p.def
	if d.Format != "FIXEDWIDTH" {
		if !oneASCII(d.Delimiter) || strings.ContainsAny(d.Delimiter, "\n\r") {
			return refuse(CodeUnsupported, "COPY delimiter must be a single ASCII character other than a line break")
		}
		if d.Escape && d.Delimiter == `\` {
			return refuse(CodeUnsupported, "COPY delimiter must not be the escape character")
		}
		if d.NullSet && strings.Contains(d.Null, d.Delimiter) {
			return refuse(CodeUnsupported, "COPY delimiter must not appear in the NULL specification")
		}
	}
	if d.Format == "CSV" {
		if !oneASCII(d.Quote) || strings.ContainsAny(d.Quote, "\n\r") {
			return refuse(CodeUnsupported, "COPY quote must be a single ASCII character other than a line break")
		}
		if d.Quote == d.Delimiter {
			return refuse(CodeUnsupported, "COPY delimiter and quote must be different")
		}
		if d.NullSet && strings.Contains(d.Null, d.Quote) {
			return refuse(CodeUnsupported, "CSV quote character must not appear in the NULL specification")
		}
	}
	if strings.ContainsAny(d.Null, "\n\r") {
		return refuse(CodeBadParameter, "COPY null representation cannot use newline or carriage return")
	}
	return nil
}

func oneASCII(s string) bool { return len(s) == 1 && s[0] > 0 && s[0] < 0x80 }

// s3Auth takes the authorization of COPY and UNLOAD.
type s3Auth struct {
	// form is iam_role, credentials or keys.
	form                string
	id, secret, session bool
	// key says that CREDENTIALS holds a master_symmetric_key.
	key bool
}

const invalidCredentials = "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or 'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'"

// literal takes a string.
func (c *compiler) literal() (string, error) {
	t := c.at(0)
	if t.Kind == lex.Prefixed {
		return "", refuse(CodeUndefinedType, "type %q does not exist", t.Val)
	}
	if t.Kind != lex.String {
		return "", syntaxAt(t)
	}
	c.i++
	return t.Val, nil
}

// take takes the value of one word.
func (a *s3Auth) take(c *compiler, word string) error {
	form := word
	switch word {
	case "access_key_id", "secret_access_key", "session_token":
		form = "keys"
	}
	if a.form != "" && a.form != form {
		return refuse(CodeSyntax, "conflicting or redundant options: one form of authorization is taken")
	}
	a.form = form
	c.accept("as")
	if word == "iam_role" && c.accept("default") {
		return nil
	}
	v, err := c.literal()
	if err != nil {
		return err
	}
	ok := v != "" && !strings.ContainsAny(v, " \t\r\n")
	switch word {
	case "iam_role":
		for arn := range strings.SplitSeq(v, ",") {
			ok = ok && validARN(arn)
		}
	case "credentials":
		ok = ok && a.credentials(v)
	case "access_key_id":
		a.id = true
	case "secret_access_key":
		a.secret = true
	case "session_token":
		a.session = true
	}
	if !ok {
		return refuse(CodeBadParameter, invalidCredentials)
	}
	return nil
}

// credentials reads name=value pairs; names are case-sensitive.
func (a *s3Auth) credentials(v string) bool {
	have := map[string]string{}
	for pair := range strings.SplitSeq(v, ";") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || value == "" || have[name] != "" {
			return false
		}
		switch name {
		case "aws_iam_role", "aws_access_key_id", "aws_secret_access_key", "token", "master_symmetric_key":
			have[name] = value
		default:
			return false
		}
	}
	a.key = have["master_symmetric_key"] != ""
	if role := have["aws_iam_role"]; role != "" {
		for arn := range strings.SplitSeq(role, ",") {
			if !validARN(arn) {
				return false
			}
		}
		return have["aws_access_key_id"]+have["aws_secret_access_key"]+have["token"] == ""
	}
	return have["aws_access_key_id"] != "" && have["aws_secret_access_key"] != ""
}

// authorized checks that all of one form is there.
func (a *s3Auth) authorized() error {
	switch {
	case a.form == "":
		return refuse(CodeUnsupported, "CREDENTIALS argument is required: authorization is IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID and SECRET_ACCESS_KEY")
	case a.form == "keys" && (!a.id || !a.secret):
		return refuse(CodeUnsupported, "ACCESS_KEY_ID and SECRET_ACCESS_KEY must be given together, SESSION_TOKEN with both")
	}
	return nil
}

func validARN(arn string) bool {
	ok, err := regexp.MatchString(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`, arn)
	return ok && err == nil
}

// checkRegion looks at the form of a region's name.
func checkRegion(name string) error {
	if ok, err := regexp.MatchString(`^[a-z]{2,3}(-[a-z]+)+-[0-9]+$`, name); err != nil || !ok {
		return refuse(CodeBadParameter, "The specified AWS region %q is not valid", name)
	}
	return nil
}
