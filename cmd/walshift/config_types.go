package main

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// What a value should have been, for people.
const (
	wantBool     = "true or false"
	wantNumber   = "a whole number"
	wantDuration = "a duration such as 10s or 24h"
	wantSize     = "a size such as 512MiB"
	wantText     = "text"
	wantList     = "a list"
	wantSection  = "a section of keys and values"
)

// wanted names a type for people.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[byteSize]():
		return wantSize
	case t == reflect.TypeFor[time.Duration]():
		return wantDuration
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return wantSection
	case t.Kind() == reflect.Slice:
		return wantList
	case t.Kind() == reflect.Bool:
		return wantBool
	case t.Kind() == reflect.String:
		return wantText
	default:
		return wantNumber
	}
}

// byteSize is a number of bytes, written 128MiB, 1GiB, 500kB or 4096.
type byteSize int64

// errType says that a value can't be read as its type; its place and what was
// wanted are known where it ends up.
var errType = errors.New("wrong type")

// decodeScalars reads sizes and durations, and numbers and booleans that came
// out of the environment as text. Its errors never repeat the value.
func decodeScalars(from, to reflect.Type, data any) (any, error) {
	s, isText := data.(string)
	switch {
	case to == reflect.TypeFor[byteSize]():
		if n, ok := data.(int); ok {
			return byteSize(n), nil
		}
		return parseSize(s)
	case to == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, errType
		}
		return d, nil
	case !isText || from == to:
		return data, nil
	case to == reflect.TypeFor[windowSpecs]():
		return windowSpecs{s}, nil
	case to.Kind() == reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, errType
		}
		return n, nil
	case to.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, errType
		}
		return b, nil
	}
	return data, nil
}

func parseSize(s string) (byteSize, error) {
	digits := strings.TrimRight(s, "KMGTkiB ")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := map[string]int64{
		"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	}[strings.TrimSpace(s[len(digits):])]
	if err != nil || !ok || n < 0 || (unit > 1 && n > 1<<62/unit) {
		return 0, errType
	}
	return byteSize(n * unit), nil
}
