package sim

import (
	"fmt"

	"vigo.dev/pkg/rollout"
)

// A LabelShare gives a label to a share of the nodes, from 0 to 1.
type LabelShare struct {
	Name, Value string
	Share       float64
}

// LabelsOf are the labels that shares give to a node. They follow from the seed and its name alone; of one label the first that
// falls to it counts.
func LabelsOf(shares []LabelShare, seed uint64, node string) map[string]string {
	labels := map[string]string{}
	for _, l := range shares {
		if _, has := labels[l.Name]; !has && float64(rollout.BucketOf(fmt.Sprintf("%d label %s=%s", seed, l.Name, l.Value), node)) < l.Share*float64(rollout.Everyone) {
			labels[l.Name] = l.Value
		}
	}
	return labels
}
