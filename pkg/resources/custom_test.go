package resources

import "testing"

// FuzzCustomReply: whatever an executable prints is a reply within the limits, or an error.
func FuzzCustomReply(f *testing.F) {
	f.Add([]byte(`{"changes":[{"field":"a","from":"1","to":"2"}]}`))
	f.Add([]byte(`{"error":"x"}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, out []byte) {
		reply, err := readCustomReply(out, "plan")
		if err != nil {
			return
		}
		if len(reply.Changes) > maxCustomChanges || reply.Error != "" {
			t.Errorf("%q was taken: %+v", out, reply)
		}
		for _, d := range reply.Changes {
			if d.Field == "" || len(d.Field)+len(d.From)+len(d.To) > maxCustomText {
				t.Errorf("the change %+v was taken", d)
			}
		}
	})
}
