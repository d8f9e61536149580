# Everything that the hand has made, as one text, asked of other programs than Vigo.
find /etc /usr/local /home /var/spool/cron -path /etc/ld.so.cache -prune -o -name '*-' -prune -o -path '/etc/systemd/system/*.wants' -prune -o -printf '%p %y %m %u %g %l\n' | grep -v -e '^/etc/.pwd.lock' -e '^/var/spool/cron/crontabs/tmp' | sort
find /etc /usr/local /home /var/spool/cron -type f ! -name '*-' ! -path /etc/ld.so.cache ! -path /etc/.pwd.lock ! -path '/etc/*shadow' ! -path /etc/hosts ! -path '*/authorized_keys' -exec sha256sum {} + | sort -k2
getent hosts db.example.com || true
sort /home/alice/.ssh/authorized_keys # the order of keys and the white space of names mean nothing
getent passwd alice bob app-runner
id alice
getent group ops
for u in app.service backup.timer legacy.service systemd-pstore.service; do
	systemctl show -P ActiveState -P UnitFileState -P Id $u
done
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/log_martians
findmnt -no TARGET,FSTYPE /srv/scratch || true
dpkg-query -W -f '${Package} ${Status}\n' fleet-demo tree || true
