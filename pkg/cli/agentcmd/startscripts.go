package agentcmd

// What starts the agent where systemd does not: each keeps it running, hands it /etc/default/vigo-agent as its environment, and
// gives it time to finish a package transaction before it is stopped. What it says goes to /var/log/vigo-agent.log.

const openRCScript = `#!/sbin/openrc-run
description="Vigo agent: keeps this host in its declared state"
supervisor=supervise-daemon
command=%s
command_args=run
pidfile=/run/vigo-agent.pid
respawn_delay=5
respawn_max=0
retry="TERM/90/KILL/5"
output_log=/var/log/vigo-agent.log
error_log=/var/log/vigo-agent.log

# VIGO_REGISTRY_CONFIG, VIGO_REGISTRY_CERTS, HTTPS_PROXY, NO_PROXY
if [ -f /etc/default/vigo-agent ]; then
	set -a
	. /etc/default/vigo-agent
	set +a
fi

depend() {
	after net firewall clock logger
}
`

const runitScript = `#!/bin/sh
# VIGO_REGISTRY_CONFIG, VIGO_REGISTRY_CERTS, HTTPS_PROXY, NO_PROXY
if [ -f /etc/default/vigo-agent ]; then
	set -a
	. /etc/default/vigo-agent
	set +a
fi
exec %s run >>/var/log/vigo-agent.log 2>&1
`

const sysVScript = `#!/bin/sh
### BEGIN INIT INFO
# Provides:          vigo-agent
# Required-Start:    $local_fs $remote_fs
# Required-Stop:     $local_fs $remote_fs
# Should-Start:      $network $time $syslog
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Vigo agent: keeps this host in its declared state
### END INIT INFO
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
AGENT=%s
PIDFILE=/run/vigo-agent.pid
LOG=/var/log/vigo-agent.log

running() { [ -s "$PIDFILE" ] && kill -0 "$(cat "$PIDFILE")" 2>/dev/null; }

# keep begins the agent again when it has ended.
keep() {
	# VIGO_REGISTRY_CONFIG, VIGO_REGISTRY_CERTS, HTTPS_PROXY, NO_PROXY
	if [ -f /etc/default/vigo-agent ]; then
		set -a
		. /etc/default/vigo-agent
		set +a
	fi
	child=
	trap 'trap "" TERM; [ -z "$child" ] || { kill -TERM "$child"; wait "$child"; }; exit 0' TERM
	while :; do
		"$AGENT" run >>"$LOG" 2>&1 </dev/null &
		child=$!
		wait "$child"
		sleep 5 &
		child=$!
		wait "$child"
	done
}

case "$1" in
keep)
	keep
	;;
start)
	running && exit 0
	setsid "$0" keep </dev/null >/dev/null 2>&1 &
	echo "$!" >"$PIDFILE"
	;;
stop)
	running && kill -TERM "$(cat "$PIDFILE")"
	n=0
	while running && [ "$n" -lt 90 ]; do
		sleep 1
		n=$((n + 1))
	done
	if running; then
		echo "vigo-agent does not end." >&2
		exit 1
	fi
	rm -f "$PIDFILE"
	;;
restart | force-reload)
	"$0" stop && "$0" start
	;;
status)
	if running; then
		echo "vigo-agent is running."
	elif [ -e "$PIDFILE" ]; then
		echo "vigo-agent has died."
		exit 1
	else
		echo "vigo-agent is not running."
		exit 3
	fi
	;;
*)
	echo "usage: $0 start|stop|restart|force-reload|status" >&2
	exit 2
	;;
esac
`
