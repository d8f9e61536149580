package controller

// BundleTag is the tag of the bundle of a commit that never moves, so that registries do not collect it.
func BundleTag(commit string) string { return "c-" + commit[:12] }
