package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

// The folder, below that of the keys, with the root documents that were in force: the first one, and for each that
// followed its signatures, which hold the document.
const (
	lineageDir = "roots"
	firstRoot  = "first.json"
)

func signaturesName(version int64) string { return fmt.Sprintf("root-%d.signatures.json", version) }

// A lineage is how the root document in force came about: what is published, so that agents can follow.
type lineage struct {
	before     []trust.Root // the first, and all up to the one before that in force
	signatures [][][]byte   // of the root after each of them
}

// readLineage reads the root documents that led to the one in force, and verifies that they do. A root document that was
// put there by hand has none.
func readLineage(dir string, inForce trust.Root) (lineage, error) {
	var l lineage
	data, err := os.ReadFile(filepath.Join(dir, lineageDir, firstRoot))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("reading the earlier root documents: %w", err)
	}
	root, err := trust.ParseRoot(data)
	for err == nil && root.Version < inForce.Version {
		var signatures [][]byte
		if data, err = os.ReadFile(filepath.Join(dir, lineageDir, signaturesName(root.Version+1))); err != nil {
			break
		}
		if err = json.Unmarshal(data, &signatures); err != nil {
			break
		}
		l.before, l.signatures = append(l.before, root), append(l.signatures, signatures)
		root, err = root.VerifySuccessor(signatures)
	}
	if err == nil && !sameRoot(root, inForce) {
		err = fmt.Errorf("they lead to another root %d than %s", root.Version, RootName)
	}
	if err != nil {
		return l, fault.WithHint(fmt.Errorf("reading the earlier root documents: %w", err), "restore "+filepath.Join(dir, lineageDir)+" and "+RootName+" from the same backup")
	}
	return l, nil
}

func sameRoot(a, b trust.Root) bool {
	one, err1 := a.Marshal()
	two, err2 := b.Marshal()
	return err1 == nil && err2 == nil && string(one) == string(two)
}

// publish stores every root document but the first, which agents have.
func (l lineage) publish(ctx context.Context, store bundle.Store) error {
	for i, root := range l.before {
		if _, err := root.PublishSuccessor(ctx, store, l.signatures[i]); err != nil {
			return fmt.Errorf("publishing root %d: %w", root.Version+1, err)
		}
	}
	return nil
}

// InstallRoot puts the root document in force that signatures are of, in the folder of a keyring, and returns it: it must
// follow the one there. It is published by the controller that is started next. The same again changes nothing. The caller
// sees to it that no controller runs meanwhile.
func InstallRoot(dir string, signatures [][]byte) (trust.Root, error) {
	name := filepath.Join(dir, RootName)
	data, err := os.ReadFile(name)
	if err != nil {
		return trust.Root{}, fmt.Errorf("reading the root document in force: %w", err)
	}
	old, err := trust.ParseRoot(data)
	if err != nil {
		return trust.Root{}, fmt.Errorf("reading %s: %w", name, err)
	}
	l, err := readLineage(dir, old)
	if err != nil {
		return trust.Root{}, err
	}
	if n := len(l.before); n > 0 {
		if again, err := l.before[n-1].VerifySuccessor(signatures); err == nil && sameRoot(again, old) {
			return old, nil
		}
	}
	next, err := old.VerifySuccessor(signatures)
	if err != nil {
		return trust.Root{}, err
	}
	document, err := next.Marshal()
	if err != nil {
		return trust.Root{}, err
	}
	signed, err := json.Marshal(signatures)
	if err != nil {
		return trust.Root{}, err
	}
	earlier := filepath.Join(dir, lineageDir)
	if err := os.MkdirAll(earlier, 0o700); err != nil {
		return trust.Root{}, fmt.Errorf("keeping the root document: %w", err)
	}
	if _, err := os.Stat(filepath.Join(earlier, firstRoot)); errors.Is(err, fs.ErrNotExist) {
		if err := atomicfile.Write(filepath.Join(earlier, firstRoot), data, 0o644); err != nil {
			return trust.Root{}, err
		}
	}
	if err := atomicfile.Write(filepath.Join(earlier, signaturesName(next.Version)), signed, 0o644); err != nil {
		return trust.Root{}, err
	}
	return next, atomicfile.Write(name, document, 0o644) // last: until then the old one is in force
}
