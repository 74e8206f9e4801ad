package main

// setting declares one key of the configuration file. README's table, the
// commented defaults, the JSON Schema, the checks of a file and their error
// texts all come from these declarations. Its type is its field's in fileConfig.
type setting struct {
	// key is the dotted path; "[]" stands for any entry of the list before it,
	// "*" for any name in the map before it.
	key string
	// def is the default in YAML, "" for none.
	def string
	// stands says in words what an empty value stands for.
	stands string
	// text says what the key is for, in a line of Markdown.
	text string
	// required keys have no default that could work. example is a value for
	// them, and env the variable that the printed defaults take a secret from.
	required     bool
	example, env string
	// secret values are never shown, not even in the error that refuses them.
	secret bool
	// min and max bound numbers, sizes and durations, in the key's own
	// notation; zero says in words what a 0 below min stands for.
	min, max, zero string
	// choices are the allowed texts, of a list's entries as well; later are
	// those that a coming version will know.
	choices, later []string
	// pattern is what the whole text, or each of a list's, must match; an
	// empty one only where there is a default that it would replace. form says
	// it in words.
	pattern, form string
	// filled lists have at least one entry.
	filled bool
	// pending keys are declared, and refused until a version knows them.
	pending bool
}

// section declares a group of keys. The path ends in "[]" for the entries of a
// list and in "*" for those of a map.
type section struct {
	key, text string
	// row gives the section a row of its own in README's table instead of its
	// keys, which stand elsewhere.
	row bool
	// pending sections are refused when they hold anything.
	pending bool
}

const (
	identPattern   = `[a-z][a-z0-9_]{0,40}`
	patternForm    = "`schema.table`, where `*` stands for any characters and `?` for one"
	windowForm     = "[days] HH:MM-HH:MM [time zone]"
	windowPattern  = `([A-Za-z,-]+ +)?[0-9]{1,2}:[0-9]{2}-[0-9]{1,2}:[0-9]{2}( +[A-Za-z0-9_+/-]+)?`
	listenForm     = `host:port, or "" for none`
	granteePattern = `public|(user|group|role) \S.*`
)

// sections returns the groups of keys, in the order of the file.
func sections() []section {
	return []section{
		{key: "source", text: "PostgreSQL"},
		{key: "source.publication", text: "what PostgreSQL sends"},
		{key: "source.tables", text: "what of the published tables is replicated"},
		{key: "snapshot", text: "the first load"},
		{key: "log", text: "the batches on S3; credentials come from the AWS SDK's chain (environment, profile, role)"},
		{key: "redshift", text: "the warehouse"},
		{key: "redshift.session", text: "set in every session"},
		{key: "redshift.grants[]", text: "rights that every target table gets when it is made"},
		{key: "target", text: "the tables on Redshift"},
		{key: "batch", text: "when a batch is sealed"},
		{key: "apply", text: "how batches get into Redshift"},
		{key: "values", text: "what becomes of values that Redshift can't hold"},
		{key: "tables[]", text: "what differs for some tables; the first entry that matches counts"},
		{key: "tables[].values", text: "as `values`, for these tables", row: true},
		{key: "tables[].columns.*", text: "as `values`, for these columns of them", row: true},
		{key: "limits", text: "what the daemon may use"},
		{key: "http", text: "metrics, health and status"},
		{key: "logging", text: "lines on stderr"},
	}
}

// settings returns every key, in the order of the file.
func settings() []setting {
	all := append(sourceSettings(), snapshotSettings()...)
	all = append(all, logSettings()...)
	all = append(all, redshiftSettings()...)
	all = append(all, targetSettings()...)
	all = append(all, applySettings()...)
	all = append(all, valueSettings("values.", false)...)
	all = append(all, setting{
		key: "tables[].match", required: true, example: "public.orders", text: "the tables: " + patternForm,
	})
	all = append(all, valueSettings("tables[].values.", true)...)
	all = append(all, valueSettings("tables[].columns.*.", true)...)
	return append(all, daemonSettings()...)
}

func sourceSettings() []setting {
	return []setting{
		{
			key: "pipeline", required: true, example: "shop", pattern: identPattern,
			form: "1 to 41 of a-z, 0-9 and _, beginning with a letter",
			text: "name; part of all that walshift makes on the source, S3 and Redshift",
		},
		{
			key: "source.dsn", required: true, secret: true, env: "SOURCE_DSN",
			example: "postgres://walshift@db:5432/shop?sslmode=verify-full",
			text:    "URL or keywords; `sslmode=verify-full` recommended; a Unix socket is fastest",
		},
		{
			key: "source.slot", stands: "walshift_<pipeline>", pattern: "[a-z0-9_]{1,63}", form: "1 to 63 of a-z, 0-9 and _",
			text: "replication slot; made by walshift at the first start",
		},
		{
			key: "source.slot_timeout", def: "5m", min: "1s",
			text: "how long the slot's creation may wait for transactions that are open on the source",
		},
		{
			key: "source.watch_interval", def: "60s", min: "100ms", max: "1h",
			text: "time between looks at the catalog for what the stream does not show: rewrites, partitions, renamed enum values, the publication",
		},
		{key: "source.publication.name", stands: "walshift_<pipeline>", text: "the publication, as it is stored"},
		{
			key: "source.publication.mode", def: "existing", choices: []string{"existing", "managed"},
			text: "`existing`: the DBA makes the publication and changes it; `managed`: walshift does",
		},
		{
			key: "source.tables.include", def: `["public.*"]`, filled: true,
			text: "which of the published tables are replicated: " + patternForm,
		},
		{key: "source.tables.exclude", def: "[]", text: "and which of those are not; leaving a table out that is replicated already is refused"},
	}
}

func snapshotSettings() []setting {
	return []setting{
		{
			key: "snapshot.mode", def: "initial", choices: []string{"initial", "only", "never"},
			text: "`initial`: load all tables at the first start, then replicate; `only`: load and end; `never`: replicate only",
		},
		{
			key: "snapshot.lsn", pattern: "[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}", form: "a position such as 16/B374D848",
			text: "with `never`: the position at which the target holds the source's rows",
		},
		{key: "snapshot.parallelism", def: "2", min: "1", max: "32", text: "reader sessions on the source"},
		{
			key: "snapshot.rows_per_second", def: "0", min: "1", zero: "no limit",
			text: "the most rows that are read in a second, by all readers together",
		},
		{
			key: "snapshot.window", stands: "always", pattern: windowPattern, form: windowForm,
			text: "when a load may begin: one or a list of spans such as `mon-fri 22:00-06:00 Europe/Berlin`",
		},
		{
			key: "snapshot.file_bytes", def: "128MiB", min: "1MiB", max: "1GiB",
			text: "files are cut at the smaller of this and 32MiB, compressed",
		},
	}
}

func logSettings() []setting {
	return []setting{
		{
			key: "log.url", required: true, example: "s3://my-bucket/walshift", pattern: "s3://[^/].*", form: "s3://bucket/prefix",
			text: "where batches are kept, below a folder of the pipeline's name",
		},
		{key: "log.region", required: true, example: "eu-central-1", text: "the bucket's region"},
		{key: "log.endpoint", stands: "AWS", text: "address of another S3 server"},
		{key: "log.kms_key", stands: "the bucket's setting", text: "key that objects are encrypted with"},
		{key: "log.compression", def: "zstd", choices: []string{"zstd", "gzip"}, text: "of data files"},
		{key: "log.retention", def: "24h", min: "1s", zero: "for ever", text: "how long applied batches stay on S3"},
	}
}

func redshiftSettings() []setting {
	return []setting{
		{
			key: "redshift.dsn", required: true, secret: true, env: "REDSHIFT_DSN",
			example: "postgres://loader@cluster:5439/dw?sslmode=verify-full", text: "URL or keywords, as of the source",
		},
		{
			key: "redshift.iam_role", def: "default", pattern: "default|arn:.+", form: "default or a role's ARN",
			text: "what COPY reads S3 with; default is the cluster's default role",
		},
		{key: "redshift.session.query_group", stands: "none", text: "for workload management"},
		{key: "redshift.session.statement_timeout", def: "0s", min: "1ms", zero: "the server's setting", text: "counts the time in a queue too"},
		{
			key: "redshift.grants[].to", required: true, example: "group bi", pattern: granteePattern,
			form: "user NAME, group NAME, role NAME or public", text: "who gets them",
		},
		{
			key: "redshift.grants[].privileges", stands: "select", choices: []string{"select", "references"},
			text: "anybody else who wrote to a table would make it differ from the source",
		},
		{key: "redshift.grants[].tables", stands: "all", text: "patterns of source tables"},
	}
}

func targetSettings() []setting {
	return []setting{
		{key: "target.schemas", def: "{}", text: "source schema to target schema, for instance `{public: shop}`; others keep their name"},
		{
			key: "target.existing", def: "refuse", choices: []string{"refuse", "truncate", "adopt"},
			text: "tables that exist before the first load: `refuse`; `truncate` keeps them and loads their rows anew; `adopt` takes their rows as they are, with `snapshot.mode: never`",
		},
		{key: "target.case_sensitive", def: "false", pending: true, text: "keep upper-case letters in names"},
		{key: "batch.interval", def: "10s", min: "100ms", max: "1h", text: "the age of a batch while Redshift keeps up"},
		{key: "batch.max_age", def: "60s", min: "100ms", max: "1h", text: "and while batches wait; not below `batch.interval`"},
		{key: "batch.max_bytes", def: "256MiB", min: "1MiB", max: "16GiB", text: "the size at which a batch is sealed at once"},
	}
}

func applySettings() []setting {
	return []setting{
		{
			key: "apply.strategy", def: "auto", choices: []string{"auto", "merge", "delete_insert"},
			text: "`auto` takes MERGE where the key's equality is exact on Redshift, else DELETE and INSERT",
		},
		{key: "apply.check_counts", def: "true", text: "compare affected rows with the batch; a difference stops the table"},
		{key: "apply.sessions", def: "4", min: "1", max: "32", text: "sessions that stage rows at the same time"},
		{
			key: "apply.window", stands: "always", pattern: windowPattern, form: windowForm,
			text: "when batches may be applied, as `snapshot.window`; outside they wait on S3",
		},
		{key: "apply.parked_retry", def: "1m", min: "1s", max: "24h", text: "how often an apply is tried again that waits for a person"},
	}
}

// valueSettings declares the policies, for all values or, nested, for some:
// those have no default, so that the wider ones hold.
func valueSettings(prefix string, nested bool) []setting {
	all := []setting{
		{
			key: "oversize", def: "keep_out", choices: []string{"keep_out", "truncate", "set_null", "fail"},
			text: "text over 65,535 bytes, documents, bytes and rows that are too long, numbers with too many digits: " +
				"`keep_out` keeps the value below `kept/` and puts a reference or NULL in its place",
		},
		{
			key: "unbounded_numeric", def: "decimal", choices: []string{"decimal", "text"},
			text: "the column type of a numeric without precision: `decimal` is DECIMAL(38,s), s from 9 to 18 by the values of the first load, " +
				"`text` is VARCHAR(65535); it can't be changed later",
		},
		{key: "nan", def: "set_null", choices: []string{"set_null", "fail"}, text: "`NaN`"},
		{
			key: "infinity", def: "clamp", choices: []string{"clamp", "set_null", "fail"},
			text: "`infinity` in a number, date or timestamp: `clamp` writes the nearest value that there is",
		},
		{
			key: "out_of_range", def: "set_null", choices: []string{"set_null", "clamp", "fail"},
			text: "dates before year 1 or after year 9999, and `24:00:00`",
		},
		{key: "empty_bytes", def: "set_null", choices: []string{"set_null", "fail"}, text: "an empty bytea, which COPY reads as NULL"},
		{
			key: "accept", def: "[]", choices: []string{"oversize", "nan", "infinity", "out_of_range", "empty_bytes"},
			text: "the names above whose values you know of: their incidents are `accepted`, and status stays green",
		},
	}
	for i := range all {
		all[i].key = prefix + all[i].key
		if nested {
			all[i].def, all[i].stands = "", "the wider setting"
		}
	}
	return all
}

func daemonSettings() []setting {
	return []setting{
		{key: "limits.memory", def: "512MiB", min: "64MiB", text: "of the whole daemon; at most three quarters of its container's memory are used"},
		{
			key: "limits.spool_dir", stands: "/var/lib/walshift if it can be used", pattern: "/.*", form: "an absolute path",
			text: "folder for transactions in progress, which PostgreSQL 14 and later send before they are committed",
		},
		{
			key: "limits.spool", def: "50GiB", min: "1MiB", zero: "they are not asked for",
			text: "the most that they may take there; beyond it the source keeps them itself, as it does without a spool",
		},
		{
			key: "http.listen", def: "127.0.0.1:9465", pattern: `(.*:[0-9]{1,5})?`, form: listenForm,
			text: "address for `/metrics`, `/healthz` and the rest",
		},
		{key: "http.web_config", stands: "plain HTTP", text: "file with TLS and passwords, as of Prometheus' exporter-toolkit"},
		{key: "logging.level", def: "info", choices: []string{"debug", "info", "warn", "error"}, text: "the least level that is written"},
		{key: "logging.format", def: "json", choices: []string{"json", "console"}, text: "`console` is for people"},
	}
}
