// Package replicas runs two real report services on one PostgreSQL behind a balancer that knows nothing but TCP, and kills either
// with SIGKILL at random moments while nodes check in and people ask: nothing that was acknowledged is lost, nobody is called
// silent who is not, and what happens to a node is told once: in the events, by mail and by webhooks.
//
// It refuses to be anything but tests. VIGO_KILL_ROUNDS says how often (5 if it is not set), VIGO_KILL_SEED replays the moments of
// an earlier run. Without PostgreSQL it is skipped, unless VIGO_POSTGRES=1 says that it is to be there.
package replicas
