// Package rollouts holds the tests of rollouts on real programs: `vigo up`, and twenty agents with a host of their own each.
package rollouts
