# Makes a service "demo" for the init system $1.
cat >/usr/local/bin/demod <<'END'
#!/bin/sh
if [ -e /etc/demo.broken ]; then
	echo "demod: the configuration is broken" >&2
	exit 1
fi
echo "$$" >/run/demod
exec sleep 1000000
END
chmod 755 /usr/local/bin/demod
case "$1" in
openrc)
	cat >/etc/init.d/demo <<'END'
#!/sbin/openrc-run
supervisor=supervise-daemon
command=/usr/local/bin/demod
respawn_delay=1
respawn_max=0
pidfile=/run/demo.pid
END
	chmod 755 /etc/init.d/demo
	;;
runit)
	mkdir -p /etc/sv/demo
	printf '#!/bin/sh\nexec /usr/local/bin/demod\n' >/etc/sv/demo/run
	chmod 755 /etc/sv/demo/run
	;;
sysv)
	cat >/etc/init.d/demo <<'END'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          demo
# Required-Start:    $local_fs
# Required-Stop:     $local_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
### END INIT INFO
. /lib/lsb/init-functions
# Another name than the usual one: the script has to be asked.
file=/run/demo-daemon.pid
case "$1" in
start) start-stop-daemon --start --quiet --background --make-pidfile --pidfile "$file" --startas /usr/local/bin/demod ;;
stop) start-stop-daemon --stop --quiet --oknodo --remove-pidfile --pidfile "$file" ;;
restart) "$0" stop && "$0" start ;;
status) status_of_proc -p "$file" /usr/local/bin/demod demo ;;
*) exit 2 ;;
esac
END
	chmod 755 /etc/init.d/demo
	;;
esac
