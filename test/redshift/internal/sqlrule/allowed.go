package sqlrule

import "strings"

// allowedFunction lists the functions of Redshift that the backend has under
// the same name (developer guide, SQL functions reference), and those that are
// rewritten.
func allowedFunction(w string) bool {
	return allowedAggregate(w) || allowedWindow(w) || allowedMath(w) || allowedString(w) || allowedDate(w) || allowedSuper(w) || allowedSystem(w) ||
		catalogFunction(w)
}

func allowedAggregate(w string) bool {
	switch w {
	case "avg", "count", "max", "min", "sum", "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "bit_and", "bit_or",
		"bool_and", "bool_or", "percentile_cont", "percentile_disc", "listagg", "median", "any_value", "hll":
		return true
	}
	return false
}

func allowedWindow(w string) bool {
	switch w {
	case "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank", "rank", "row_number",
		"ratio_to_report":
		return true
	}
	return false
}

func allowedMath(w string) bool {
	switch w {
	case "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "ceiling", "cos", "cot", "degrees", "dexp", "dlog1", "dlog10", "exp", "floor",
		"ln", "mod", "pi", "power", "pow", "radians", "random", "round", "sin", "sign", "sqrt", "tan", "to_hex", "trunc", "checksum":
		return true
	}
	return false
}

func allowedString(w string) bool {
	switch w {
	case "ascii", "bpcharcmp", "btrim", "bttext_pattern_cmp", "char_length", "character_length", "charindex", "chr", "collate", "concat", "crc32",
		"difference", "initcap", "left", "right", "len", "length", "lower", "lpad", "rpad", "ltrim", "rtrim", "md5", "octet_length", "octetindex",
		"position", "quote_ident", "quote_literal", "repeat", "replace", "replicate", "reverse", "sha", "sha1", "sha2", "func_sha1", "soundex",
		"split_part", "strpos", "strtol", "substring", "substr", "textlen", "translate", "trim", "upper", "to_char", "to_number", "to_varbyte",
		"from_varbyte", "from_hex", "getbit", "fnv_hash":
		return true
	}
	return false
}

func allowedDate(w string) bool {
	switch w {
	case "add_months", "convert_timezone", "date_cmp", "date_cmp_timestamp", "date_cmp_timestamptz", "date_part_year", "date_trunc", "getdate",
		"interval_cmp", "last_day", "months_between", "next_day", "timeofday", "timestamp_cmp", "timestamp_cmp_date", "timestamp_cmp_timestamptz",
		"timestamptz_cmp", "timestamptz_cmp_date", "timestamptz_cmp_timestamp", "timezone", "age", "now", "isfinite":
		return true
	}
	return false
}

func allowedSuper(w string) bool {
	switch w {
	case "array", "array_concat", "array_flatten", "can_json_parse", "decimal_precision", "decimal_scale", "get_array_length", "is_array",
		"is_bigint", "is_boolean", "is_char", "is_decimal", "is_float", "is_integer", "is_object", "is_scalar", "is_smallint", "is_valid_json",
		"is_valid_json_array", "is_varchar", "json_array_length", "json_extract_array_element_text", "json_extract_path_text", "json_parse",
		"json_serialize", "json_serialize_to_varbyte", "json_size", "json_typeof", "lower_attribute_names", "object", "split_to_array",
		"subarray", "upper_attribute_names":
		return true
	}
	return false
}

func allowedSystem(w string) bool {
	switch w {
	case "coalesce", "greatest", "least", "nullif", "nvl2", "decode", "cast", "try_cast", "current_database", "current_schema", "current_schemas",
		"db_collation", "default_iam_role", "current_aws_account", "current_namespace", "current_user_id", "current_user", "session_user", "user",
		"has_database_privilege", "has_schema_privilege", "has_table_privilege", "has_column_privilege", "has_assumerole_privilege",
		"is_large_string_enabled", "pg_backend_pid", "pg_last_copy_count", "pg_last_copy_id", "pg_last_query_id", "pg_last_unload_count",
		"pg_last_unload_id", "slice_num", "generate_series", "user_is_member_of", "role_is_member_of", "grouping_id":
		return true
	}
	return false
}

// catalogFunction lists the functions of the catalog, which the leader node has
// from PostgreSQL 8.0.
func catalogFunction(w string) bool {
	switch w {
	case "pg_get_userbyid", "pg_table_is_visible", "pg_get_expr", "col_description", "obj_description", "pg_get_viewdef", "pg_get_constraintdef",
		"oidvectortypes", "pg_get_indexdef", "pg_type_is_visible", "pg_function_is_visible", "get_bit", "get_byte", "to_ascii",
		"set_bit", "set_byte":
		return true
	}
	return false
}

// leaderFunction lists the functions that only the leader node has.
func leaderFunction(w string) bool {
	switch w {
	case "now", "age", "isfinite", "current_schema", "current_schemas", "has_table_privilege", "has_schema_privilege", "has_database_privilege",
		"has_column_privilege", "generate_series", "format_type", "version":
		return w != "version"
	}
	return catalogFunction(w)
}

// refusedFunction lists what PostgreSQL's grammar takes for a call although its
// catalog has no such function.
func refusedFunction(w string) bool {
	switch w {
	case "xmlelement", "xmlforest", "xmlconcat", "xmlparse", "xmlroot", "xmlserialize", "xmltable", "xmlexists", "xmlpi", "xmlquery", "normalize",
		"overlay", "string_agg", "array_agg", "generate_subscripts", "concat_ws", "treat", "collation", "row", "operator", "unnest":
		return true
	}
	return false
}

// missingFunction lists functions that Redshift has and the stand-in has not.
func missingFunction(w string) bool {
	switch w {
	case "object_transform", "farmfingerprint64", "murmur3_32_hash", "hll_create_sketch", "hll_cardinality", "hll_combine", "hll_combine_sketches",
		"explain_model", "h3_fromlonglat", "h3_frompoint", "array_contains", "array_distinct", "array_except", "array_intersection", "array_position",
		"array_positions", "array_sort", "array_union", "arrays_overlap", "to_object", "object_to_array", "geometrytype", "addbbox", "dropbbox", "supportsbbox",
		"pg_get_cols", "pg_get_late_binding_view_cols", "pg_get_grantee_by_iam_role", "pg_get_iam_role_by_user":
		return true
	}
	return strings.HasPrefix(w, "st_")
}

// informationView lists the views of information_schema that Redshift has.
func informationView(w string) bool {
	switch w {
	case "columns", "tables", "schemata", "views", "table_constraints", "key_column_usage", "constraint_column_usage", "referential_constraints":
		return true
	}
	return false
}

// catalogView lists the catalog relations that are shown in Redshift's form.
func catalogView(w string) bool {
	switch w {
	case "pg_class", "pg_attribute", "pg_type", "pg_namespace", "pg_constraint", "pg_database", "pg_tables", "pg_views", "pg_user", "pg_group",
		"pg_proc", "pg_settings", "pg_index":
		return true
	}
	return false
}

// catalogTable lists the other relations of PostgreSQL 8.0's catalog.
func catalogTable(w string) bool {
	switch w {
	case "pg_table_def", "pg_attrdef", "pg_description", "pg_depend", "pg_inherits", "pg_language", "pg_operator", "pg_opclass", "pg_rewrite",
		"pg_am", "pg_cast", "pg_conversion", "pg_aggregate", "pg_locks", "pg_rules", "pg_tablespace", "pg_trigger", "pg_user_info":
		return true
	}
	return false
}

// backendType lists PostgreSQL's types that may stand before a literal and that
// Redshift has not.
func backendType(w string) bool {
	switch w {
	case "uuid", "json", "jsonb", "jsonpath", "xml", "inet", "cidr", "macaddr", "macaddr8", "money", "bytea", "bit", "varbit", "point", "line",
		"lseg", "box", "path", "polygon", "circle", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "int4multirange",
		"tsvector", "tsquery", "pg_lsn", "txid_snapshot", "xid8", "refcursor", "int2vector", "oidvector", "hstore", "citext", "regconfig":
		return true
	}
	return false
}
