package converge

// choose returns which items a run is about: those asked for, and all that they require.
func (r *run) choose() []bool {
	chosen := make([]bool, len(r.cat.Items))
	for i := len(chosen) - 1; i >= 0; i-- { // what is required comes first in a catalog
		it := r.cat.Items[i]
		if chosen[i] = chosen[i] || r.Only == nil || r.Only(it); chosen[i] {
			for _, dep := range it.Requires {
				chosen[dep] = true
			}
		}
	}
	return chosen
}
