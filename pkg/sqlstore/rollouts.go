package sqlstore

import (
	"context"
	"fmt"
	"time"

	"vigo.dev/pkg/audit"
)

// RolloutDocs reads the documents of the rollouts of a channel whose keys begin with prefix, by key.
func (d *DB) RolloutDocs(ctx context.Context, channel, prefix string) (map[string][]byte, error) {
	rows, err := d.query(ctx, "SELECT key, doc FROM rollout WHERE channel = ? AND key >= ? AND key < ?", channel, prefix, prefix+"\x7f")
	if err != nil {
		return nil, fmt.Errorf("reading the rollout of %s: %w", channel, d.dialect.explain(err))
	}
	defer rows.Close()
	docs := map[string][]byte{}
	for rows.Next() {
		var key string
		var doc []byte
		if err := rows.Scan(&key, &doc); err != nil {
			return nil, fmt.Errorf("reading the rollout of %s: %w", channel, err)
		}
		docs[key] = doc
	}
	return docs, rows.Err()
}

// RolloutDocsWith reads those of them that contain part, by key: the first so many, and how many there are.
func (d *DB) RolloutDocsWith(ctx context.Context, channel, prefix, part string, limit int) (docs []RolloutDoc, matched int, err error) {
	rows, err := d.query(ctx, "SELECT key, doc, count(*) OVER () FROM rollout WHERE channel = ? AND key >= ? AND key < ? AND {doc holds ?} ORDER BY key LIMIT ?",
		channel, prefix, prefix+"\x7f", []byte(part), limit)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the rollout of %s: %w", channel, d.dialect.explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var one RolloutDoc
		if err := rows.Scan(&one.Key, &one.Doc, &matched); err != nil {
			return nil, 0, fmt.Errorf("reading the rollout of %s: %w", channel, err)
		}
		docs = append(docs, one)
	}
	return docs, matched, rows.Err()
}

// A RolloutDoc is a document of the rollouts of a channel.
type RolloutDoc struct {
	Key string
	Doc []byte
}

// channelsOfRollouts goes from one channel to the next: there may be as many documents of one as there are nodes.
const channelsOfRollouts = `WITH RECURSIVE c (channel) AS (SELECT min(channel) FROM rollout
	UNION ALL SELECT (SELECT min(channel) FROM rollout WHERE channel > c.channel) FROM c WHERE c.channel IS NOT NULL)
	SELECT channel FROM c WHERE channel IS NOT NULL ORDER BY channel`

// RolloutChannels lists the channels that have documents.
func (d *DB) RolloutChannels(ctx context.Context) ([]string, error) {
	names, err := column(d.query(ctx, channelsOfRollouts))
	if err != nil {
		return nil, fmt.Errorf("reading which channels have rollouts: %w", d.dialect.explain(err))
	}
	return names, nil
}

// PutRollout keeps documents of the rollouts of a channel, all of them or none, and returns after they are on disk. One that is
// nil is removed.
func (d *DB) PutRollout(ctx context.Context, channel string, docs map[string][]byte) error {
	return d.PutRolloutOf(ctx, channel, docs, time.Time{})
}

// StepRollout is PutRollout for who leads since a term began; [ErrFollows] when it does not any more. Who was stopped in the
// middle of a step and goes on must not put an old state over what another service has made of it meanwhile.
func (d *DB) StepRollout(ctx context.Context, term int64, channel string, docs map[string][]byte) error {
	return d.commit(ctx, func(t *tx) error {
		if !t.leads() || d.dialect.feeds && d.term != term {
			return ErrFollows
		}
		return t.putRollout(channel, docs)
	})
}

// PutRolloutOf is PutRollout together with the audit entries of what is changed.
func (d *DB) PutRolloutOf(ctx context.Context, channel string, docs map[string][]byte, now time.Time, acts ...audit.Entry) error {
	if len(docs) == 0 {
		return nil
	}
	return d.commit(ctx, func(t *tx) error {
		if err := t.putRollout(channel, docs); err != nil {
			return err
		}
		for _, e := range acts {
			if err := t.audit(e, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) putRollout(channel string, docs map[string][]byte) error {
	for key, doc := range docs {
		var err error
		if doc == nil {
			_, err = t.exec("DELETE FROM rollout WHERE channel = ? AND key = ?", channel, key)
		} else {
			_, err = t.exec("INSERT INTO rollout (channel, key, doc) VALUES (?1, ?2, ?3) ON CONFLICT (channel, key) DO UPDATE SET doc = ?3", channel, key, doc)
		}
		if err != nil {
			return fmt.Errorf("keeping the rollout of %s: %w", channel, err)
		}
	}
	return nil
}
