package sqlrule

import "github.com/walshift/walshift/test/redshift/internal/lex"

// copyKind tells how an option is written.
type copyKind uint8

const (
	kindValue copyKind = iota
	kindFlag
	kindFormat
	kindAuth
	kindCompression
)

// formats is a set of formats.
type formats uint16

const (
	inText formats = 1 << iota
	inCSV
	inFixed
	inJSON
	inAvro
	inParquet
	inORC
	inShape

	inFlat     = inText | inCSV | inFixed
	inRows     = inFlat | inJSON | inAvro
	inColumnar = inParquet | inORC
	inAll      = inRows | inColumnar | inShape
)

func formatSet(name string) formats {
	switch name {
	case "CSV":
		return inCSV
	case "FIXEDWIDTH":
		return inFixed
	case "JSON":
		return inJSON
	case "AVRO":
		return inAvro
	case "PARQUET":
		return inParquet
	case "ORC":
		return inORC
	case "SHAPEFILE":
		return inShape
	}
	return inText
}

// copyOpt is an option of COPY and the formats that take it (developer guide:
// data format parameters, data conversion parameters, data load operations,
// COPY from columnar data formats). Where the guide is silent on a pair that
// has no clear meaning, such as AVRO with GZIP, the format does not take it.
type copyOpt struct {
	kind copyKind
	in   formats
}

func formatWord(t lex.Token) bool {
	opt, ok := copyOption(t.Val)
	return t.Kind == lex.Word && ok && opt.kind == kindFormat
}

func copyOption(word string) (copyOpt, bool) {
	switch word {
	case "csv", "json", "parquet", "orc", "avro", "fixedwidth", "shapefile", "rcfile", "sequencefile":
		return copyOpt{kindFormat, inAll}, true
	case "iam_role", "credentials", "access_key_id", "secret_access_key", "session_token":
		return copyOpt{kindAuth, inAll}, true
	case "gzip", "bzip2", "lzop", "zstd":
		return copyOpt{kindCompression, inFlat | inJSON | inShape}, true
	case "manifest", "explicit_ids":
		return copyOpt{kindFlag, inAll}, true
	case "statupdate":
		return copyOpt{kindValue, inAll}, true
	case "blanksasnull", "emptyasnull", "roundec", "trimblanks", "truncatecolumns", "acceptanydate", "noload":
		return copyOpt{kindFlag, inRows}, true
	case "dateformat", "timeformat", "encoding", "maxerror", "ignoreallerrors", "comprows", "compupdate", "region", "master_symmetric_key":
		return copyOpt{kindValue, inRows}, true
	case "encrypted", "ssh":
		return copyOpt{kindFlag, inRows}, true
	case "readratio":
		return copyOpt{kindValue, inFlat}, true
	case "acceptinvchars":
		return copyOpt{kindValue, inRows | inColumnar}, true
	case "fillrecord":
		return copyOpt{kindFlag, inFlat | inColumnar}, true
	case "serializetojson":
		return copyOpt{kindFlag, inColumnar}, true
	case "ignoreblanklines":
		return copyOpt{kindFlag, inFlat}, true
	case "escape", "removequotes":
		return copyOpt{kindFlag, inText}, true
	case "delimiter":
		return copyOpt{kindValue, inText | inCSV}, true
	case "quote":
		return copyOpt{kindValue, inCSV}, true
	case "null":
		return copyOpt{kindValue, inFlat}, true
	case "ignoreheader":
		return copyOpt{kindValue, inFlat | inJSON}, true
	}
	return copyOpt{}, false
}
