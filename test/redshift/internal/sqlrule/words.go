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

// clauseWord reports whether a word after a relation's name is syntax and not
// its alias.
func clauseWord(w string) bool {
	switch w {
	case "inner", "cross", "left", "right", "full", "natural", "outer", "fetch":
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

// allowedFunction lists the functions of Redshift that PostgreSQL has under the
// same name (developer guide, SQL functions reference), and those of the
// stand-in's own catalog.
func allowedFunction(w string) bool {
	return allowedAggregate(w) || allowedMath(w) || allowedString(w) || allowedDate(w) || allowedOther(w)
}

func allowedAggregate(w string) bool {
	switch w {
	case "avg", "count", "max", "min", "sum", "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "bit_and", "bit_or",
		"bool_and", "bool_or", "percentile_cont", "percentile_disc", "listagg", "median", "any_value",
		"cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank", "rank", "row_number",
		"ratio_to_report":
		return true
	}
	return false
}

func allowedMath(w string) bool {
	switch w {
	case "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "ceiling", "cos", "cot", "degrees", "dexp", "dlog1", "dlog10", "exp", "floor",
		"ln", "log", "mod", "pi", "power", "pow", "radians", "random", "round", "sin", "sign", "sqrt", "tan", "to_hex", "trunc", "checksum":
		return true
	}
	return false
}

func allowedString(w string) bool {
	switch w {
	case "ascii", "bpcharcmp", "btrim", "bttext_pattern_cmp", "char_length", "character_length", "charindex", "chr", "concat", "crc32",
		"initcap", "left", "right", "len", "length", "lower", "lpad", "rpad", "ltrim", "rtrim", "md5", "octet_length", "position", "quote_ident",
		"quote_literal", "regexp_count", "regexp_instr", "regexp_replace", "regexp_substr", "repeat", "replace", "replicate", "reverse",
		"sha", "sha1", "sha2", "func_sha1", "split_part", "strpos", "strtol", "substring", "substr", "textlen", "translate", "trim", "upper",
		"to_char", "to_number", "to_varbyte", "from_varbyte", "from_hex", "json_parse", "json_serialize", "json_typeof", "json_size",
		"json_extract_path_text", "json_extract_array_element_text", "json_array_length", "is_valid_json", "is_valid_json_array", "is_object",
		"is_array", "is_scalar", "is_varchar", "is_boolean", "is_integer", "get_array_length", "soundex", "difference", "decode", "nvl2", "convert":
		return true
	}
	return false
}

func allowedDate(w string) bool {
	switch w {
	case "add_months", "convert_timezone", "dateadd", "date_add", "datediff", "date_diff", "date_cmp", "date_cmp_timestamp", "date_cmp_timestamptz",
		"date_part", "date_part_year", "date_trunc", "extract", "getdate", "interval_cmp", "last_day", "months_between", "next_day", "timeofday",
		"timestamp_cmp", "timestamp_cmp_date", "timestamp_cmp_timestamptz", "timestamptz_cmp", "timezone", "to_date", "to_timestamp", "age", "now", "isfinite":
		return true
	}
	return false
}

func allowedOther(w string) bool {
	switch w {
	case "coalesce", "greatest", "least", "nullif", "cast", "current_database", "current_schema", "current_schemas", "current_setting", "set_config",
		"has_database_privilege", "has_schema_privilege", "has_table_privilege", "has_column_privilege", "pg_backend_pid", "pg_cancel_backend",
		"pg_terminate_backend", "pg_last_copy_count", "pg_last_copy_id", "pg_last_query_id", "version", "session_user", "user", "current_user",
		"is_large_string_enabled", "current_user_id", "generate_series", "pg_get_userbyid", "pg_table_is_visible", "pg_get_expr", "format_type",
		"col_description", "obj_description", "pg_get_viewdef", "pg_get_constraintdef", "pg_get_keywords", "oidvectortypes":
		return true
	}
	return false
}
