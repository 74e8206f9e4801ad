package stage_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/stage"
)

// drawnField is a field of a composite with one of its values: its text as the
// type's output function prints it ("" for NULL), and what its JSON must be.
type drawnField struct {
	field change.Field
	text  string
	null  bool
	want  any
}

func drawField(t *rapid.T, name string, depth int) drawnField {
	f := drawnField{field: change.Field{Name: name, TypeKind: "b"}}
	kind := rapid.IntRange(0, 7).Draw(t, "kind")
	if depth == 0 {
		kind %= 5
	}
	switch kind {
	case 0:
		f.field.Type, f.text = "text", drawPlain(t)
		f.want = f.text
	case 1:
		f.field.Type, f.text, f.want = "int8", "-42", json.Number("-42")
	case 2:
		f.field.Type, f.text, f.want = "numeric", "1"+strings.Repeat("0", 40)+".5", "1"+strings.Repeat("0", 40)+".5"
	case 3:
		f.field.Type, f.text, f.want = "bool", "t", true
	case 4:
		f.field.Type, f.text, f.want = "jsonb", `{"a": [1, "x, y"]}`, map[string]any{"a": []any{json.Number("1"), "x, y"}}
	case 5:
		fields, text, want := drawRow(t, depth-1)
		f.field.Type, f.field.TypeKind, f.field.Fields, f.text, f.want = "pair", "c", fields, text, want
	case 6:
		fields, text, want := drawRow(t, depth-1)
		f.field.Type, f.field.Fields = "_pair", fields
		f.text, f.want = "{"+arrayQuote(text)+",NULL,"+arrayQuote(text)+"}", []any{want, nil, want}
	case 7:
		f.field.Type, f.text, f.want = "_bool", "{t,NULL,f}", []any{true, nil, false}
	}
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		f.null, f.want = true, nil
	}
	return f
}

// drawRow draws a composite type and a value's text as record_out prints it.
func drawRow(t *rapid.T, depth int) (fields []change.Field, text string, want map[string]any) {
	var parts []string
	want = map[string]any{}
	for i := range rapid.IntRange(1, 4).Draw(t, "fields") {
		f := drawField(t, fmt.Sprintf(`f%d "q"`, i), depth)
		fields = append(fields, f.field)
		want[f.field.Name] = f.want
		if f.null {
			parts = append(parts, "")
		} else {
			parts = append(parts, rowQuote(f.text))
		}
	}
	return fields, "(" + strings.Join(parts, ",") + ")", want
}

// rowQuote quotes as record_out does.
func rowQuote(s string) string {
	if s != "" && !strings.ContainsAny(s, "\"\\(), \t\n\r\v\f") {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(s) + `"`
}

// arrayQuote quotes as array_out does.
func arrayQuote(s string) string {
	if s != "" && !strings.ContainsAny(s, "\"\\{}, \t\n\r\v\f") && !strings.EqualFold(s, "NULL") {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}

func documentOf(tb interface{ Fatalf(string, ...any) }, column change.Column, text string) any {
	csv, err := stage.CompositeField(column, []byte(text), []byte("~N00000000"))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	doc := string(csv)
	if strings.HasPrefix(doc, `"`) {
		doc = strings.ReplaceAll(doc[1:len(doc)-1], `""`, `"`)
	}
	dec := json.NewDecoder(strings.NewReader(doc))
	dec.UseNumber()
	var got any
	if err := dec.Decode(&got); err != nil {
		tb.Fatalf("%s became %s: %v", text, doc, err)
	}
	return got
}

// TestT6CompositesAreObjects: whatever is in a composite, its JSON has the
// names and the values, nested as they are.
func TestT6CompositesAreObjects(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fields, text, want := drawRow(t, 2)
		column := change.Column{Attnum: 1, Name: "c", Type: "pair", TypeKind: "c", Typmod: -1, Fields: fields}
		if got := documentOf(t, column, text); !reflect.DeepEqual(got, any(want)) {
			t.Fatalf("%s became %v, want %v", text, got, want)
		}
		column.Type, column.TypeKind = "_pair", "b"
		array := "[2:3]={" + arrayQuote(text) + ",NULL}"
		got := documentOf(t, column, array)
		if all := any(map[string]any{"bounds": "[2:3]", "elements": []any{want, nil}}); !reflect.DeepEqual(got, all) {
			t.Fatalf("%s became %v, want %v", array, got, all)
		}
	})
}

// TestCompositeOfAnotherType: a composite with another number of fields than
// the log knows never gets wrong names.
func TestCompositeOfAnotherType(t *testing.T) {
	t.Parallel()
	column := change.Column{Attnum: 1, Name: "c", Type: "pair", TypeKind: "c", Typmod: -1, Fields: []change.Field{
		{Name: "a", Type: "int4", TypeKind: "b"}, {Name: "b", Type: "text", TypeKind: "b"},
	}}
	for _, text := range []string{"(1)", "(1,x,2)", "()", "(,,)"} {
		got, err := stage.CompositeField(column, []byte(text), []byte("~N00000000"))
		if err == nil || !strings.Contains(err.Error(), "another number of fields") {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
}
