// Package kill kills the real programs with SIGKILL at random moments, over and over, and checks what they leave behind:
// states that can be read, files that are old or new, and every report that was promised to be kept.
//
// It refuses to be anything but tests. VIGO_KILL_ROUNDS says how often (5 if it is not set), VIGO_KILL_SEED replays the
// moments of an earlier run, and VIGO_BIN names a folder with the programs, which are built otherwise.
package kill
