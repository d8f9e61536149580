package sqlstore

import "fmt"

// alertsAtOnce bounds the documents of one statement.
const alertsAtOnce = 5000

// putAlertsAtOnce keeps the documents of a mass event, such as a site that goes dark, in a few statements: one for each would wait for
// the network as often, and hold up what else is to be kept.
func putAlertsAtOnce(t *tx, docs map[string][]byte) error {
	var keys, gone []string
	var texts [][]byte
	flush := func() error {
		if _, err := t.exec("DELETE FROM alert WHERE key = ANY(?1::text[])", gone); err != nil {
			return fmt.Errorf("removing %d alerts: %w", len(gone), err)
		}
		if _, err := t.exec(`INSERT INTO alert (key, doc) SELECT * FROM unnest(?1::text[], ?2::bytea[])
			ON CONFLICT (key) DO UPDATE SET doc = excluded.doc`, keys, texts); err != nil {
			return fmt.Errorf("keeping %d alerts: %w", len(keys), err)
		}
		keys, gone, texts = nil, nil, nil
		return nil
	}
	for key, doc := range docs {
		if doc == nil {
			gone = append(gone, key)
		} else {
			keys, texts = append(keys, key), append(texts, doc)
		}
		if len(keys)+len(gone) >= alertsAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(keys)+len(gone) == 0 {
		return nil
	}
	return flush()
}
