# What somebody does to a fresh Debian in the course of years.
apt-get -qq -y install fleet-demo tree cron
echo fleet-demo hold | dpkg --set-selections

groupadd -g 2500 ops
useradd -m -u 2001 -s /bin/bash -c "Alice Admin" -G ops,adm alice
useradd -m -u 2002 -s /bin/sh bob
useradd -r -M -d /srv/app -s /usr/sbin/nologin app-runner
echo 'alice:hunter2-hunter2' | chpasswd
install -d -m 0700 -o alice -g alice /home/alice/.ssh
install -d -m 0700 -o bob -g bob /home/bob/.ssh
cat >/home/alice/.ssh/authorized_keys <<'END'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd alice@laptop
from="10.0.0.0/8,192.0.2.1",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGsWpBVNpTEKcr1kUyHHVn7RAr6DiBZp3Y1mTXGIaqzi alice at work
END
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd' >/home/bob/.ssh/authorized_keys
chmod 0600 /home/*/.ssh/authorized_keys
chown alice:alice /home/alice/.ssh/authorized_keys
chown bob:bob /home/bob/.ssh/authorized_keys

echo "This machine was set up by hand." >/etc/motd
echo "Authorised use only." >/etc/issue
install -d -m 0750 -g ops /etc/app
printf '[app]\nport = 8080\n  indented = yes\n' >/etc/app/app.conf
printf 'Hello {{ name }}\n' >/etc/app/greeting.tmpl
printf 'a\0b\377' >/etc/app/blob
seq 500 >/etc/app/long.list
: >/etc/app/empty
chown app-runner:ops /etc/app/app.conf
chmod 0640 /etc/app/app.conf
ln -s app.conf /etc/app/current
printf '[db]\nuser = app\npassword = s3cret-of-the-db\n' >/etc/app/db.conf
chmod 0600 /etc/app/db.conf
printf -- '-----BEGIN PRIVATE KEY-----\nMIIs3cretkey\n-----END PRIVATE KEY-----\n' >/etc/app/tls.pem
head -c 300000 /dev/zero >/etc/app/huge
mkdir -p /etc/sudoers.d
echo '%ops ALL=(ALL) NOPASSWD: /usr/bin/systemctl' >/etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
echo 'export EDITOR=vi' >/etc/profile.d/site.sh
printf '#!/bin/sh\nexec true\n' >/usr/local/bin/backup
chmod 0755 /usr/local/bin/backup
update-alternatives --quiet --install /usr/local/bin/dump dump /usr/local/bin/backup 5
update-alternatives --quiet --set dump /usr/local/bin/backup
printf '/var/log/app.log {\n\tweekly\n}\n' >/etc/logrotate.d/app 2>/dev/null || { mkdir /etc/logrotate.d; printf '/var/log/app.log {\n\tweekly\n}\n' >/etc/logrotate.d/app; }

cat >/etc/systemd/system/app.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
mkdir /etc/systemd/system/app.service.d
printf '[Service]\nNice=5\n' >/etc/systemd/system/app.service.d/nice.conf
printf '[Service]\nType=oneshot\nExecStart=/usr/local/bin/backup\n' >/etc/systemd/system/backup.service
printf '[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n' >/etc/systemd/system/backup.timer
printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/legacy.service
systemctl daemon-reload
systemctl -q enable --now app.service backup.timer
systemctl -q mask systemd-pstore.service

printf '# site\nnet.ipv4.ip_forward=1\nnet.ipv4.conf.all.log_martians = 1\n' >/etc/sysctl.d/50-site.conf
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv4/conf/all/log_martians
echo '192.0.2.10 db.example.com db' >>/etc/hosts
mkdir -p /srv/scratch
echo 'tmpfs  /srv/scratch  tmpfs  size=1m,nosuid  0  0' >>/etc/fstab
mount -t tmpfs -o size=1m,nosuid tmpfs /srv/scratch
printf 'MAILTO=ops@example.com\n15 3 * * * root /usr/local/bin/backup\n' >/etc/cron.d/site
printf '@daily /usr/bin/true\n' | crontab -u alice -
