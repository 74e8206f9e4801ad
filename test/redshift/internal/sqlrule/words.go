package sqlrule

// plainWord reports whether a word before a parenthesis is syntax and not a
// function's name.
func plainWord(w string) bool {
	switch w {
	case "in", "and", "or", "not", "exists", "over", "values", "as", "from", "join", "on", "using", "where", "select", "by", "when", "then",
		"else", "case", "set", "union", "all", "any", "some", "except", "intersect", "minus", "having", "limit", "offset", "with", "into", "table",
		"group", "distinct", "top", "is", "between", "like", "ilike", "similar", "to", "insert", "default", "rollup", "cube", "sets", "grouping",
		"only", "lateral", "filter", "window", "partition", "order", "check", "references", "key", "unique", "include", "qualify", "interval",
		"varchar", "char", "character", "varying", "numeric", "decimal", "varbyte", "timestamp", "time", "float", "nchar", "nvarchar", "bpchar", "recursive",
		"returning", "for", "of", "explain", "view", "escape", "asc", "desc", "materialized", "pivot", "unpivot", "exclude", "tablesample":
		return true
	}
	return false
}

// never lists words that are reserved in Redshift, not in PostgreSQL, and have
// no meaning in queries (developer guide, reserved words).
func never(w string) bool {
	switch w {
	case "aes128", "aes256", "allowoverwrite", "az64", "backup", "blanksasnull", "bytedict", "bzip2", "credentials", "deflate", "defrag",
		"delta", "delta32k", "disable", "emptyasnull", "enable", "encode", "encrypt", "encryption", "explicit", "globaldict256", "globaldict64k",
		"gzip", "identity", "lun", "luns", "lzo", "lzop", "mostly8", "mostly16", "mostly32", "off", "offline", "old", "new", "open", "parallel",
		"percent", "permissions", "raw", "readratio", "recover", "rejectlog", "resort", "restore", "snapshot", "system", "tag", "tdes", "text255",
		"text32k", "truncatecolumns", "wallet", "without":
		return true
	}
	return false
}

// reserved lists the words that cannot name anything unless quoted.
func reserved(w string) bool {
	if never(w) {
		return true
	}
	switch w {
	case "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "authorization", "between", "binary", "both", "case", "cast", "check",
		"collate", "column", "constraint", "create", "cross", "current_date", "current_time", "current_timestamp", "current_user", "current_user_id",
		"default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "for", "foreign", "freeze", "from", "full", "grant",
		"group", "having", "ignore", "ilike", "in", "initially", "inner", "intersect", "interval", "into", "is", "isnull", "join", "leading", "left", "like",
		"limit", "localtime", "localtimestamp", "minus", "natural", "not", "notnull", "null", "nulls", "offset", "oid", "on", "only",
		"or", "order", "outer", "overlaps", "partition", "pivot", "placing", "primary", "qualify", "references", "respect", "right", "select", "session_user",
		"similar", "some", "sysdate", "table", "then", "timestamp", "to", "top", "trailing", "true", "union", "unique", "unnest", "unpivot",
		"user", "using", "verbose", "when", "where", "with":
		return true
	}
	return false
}

// systemColumn lists names that no column may have, quoted or not.
func systemColumn(w string) bool {
	switch w {
	case "oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "deletexid", "insertxid", "tableid":
		return true
	}
	return false
}

// encoding lists the column encodings.
func encoding(w string) bool {
	switch w {
	case "auto", "az64", "bytedict", "delta", "delta32k", "lzo", "mostly8", "mostly16", "mostly32", "raw", "runlength", "text255", "text32k", "zstd":
		return true
	}
	return false
}

// caseInsensitive is the backend's collation of that name.
const caseInsensitive = `pg_catalog."case_insensitive"`
