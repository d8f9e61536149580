package resources

import "testing"

// Whatever is given as a key, its armor reads back as the same packets, and so as the same keys.
func FuzzPGPKeys(f *testing.F) {
	f.Add([]byte("\x98\x01\x04\xb4\x01a"))
	f.Add([]byte("\xc6\xff\x00\x00\x00\x01\x04\xcd\xc0\x00"))
	f.Add([]byte(armor + "\nVersion: x\n\nmAEE\n=abcd\n" + armorEnd + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		packets, err := dearmor(data)
		if err != nil {
			return
		}
		keys, err := pgpFingerprints(packets)
		if err != nil {
			return
		}
		again, err := dearmor(enarmor(packets))
		if err != nil || string(again) != string(packets) || len(keys) == 0 {
			t.Fatalf("%x became %x, %v; keys %v", packets, again, err, keys)
		}
	})
}
