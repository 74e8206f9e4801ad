package change_test

import (
	"bytes"
	"testing"

	"github.com/walshift/walshift/replicator/change"
)

// FuzzTuple: no bytes make reading a tuple fail, and those that are one are the
// same again when written from their values.
func FuzzTuple(f *testing.F) {
	f.Add([]byte("nut\x00\x00\x00\x02ab"), 3)
	f.Add([]byte("t\xff\xff\xff\xff"), 1)
	f.Add([]byte("t\x00\x00\x00\x00n"), 2)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		tuple := change.Tuple(b)
		if n < 0 || n > 1600 || tuple.Check(n) != nil {
			for v, rest := tuple.Next(); v.Kind != 0 && len(rest) > 0; v, rest = rest.Next() {
				if len(v.Text) > len(b) {
					t.Fatal("a value is longer than its tuple")
				}
			}
			return
		}
		values := tuple.Values(nil)
		var again []byte
		unchanged := false
		for _, v := range values {
			again = change.AppendValue(again, v)
			unchanged = unchanged || v.Kind == change.ValueUnchanged
		}
		if len(values) != n || !bytes.Equal(again, b) || unchanged != tuple.HasUnchanged() {
			t.Fatalf("%x has the values %q", b, values)
		}
	})
}
