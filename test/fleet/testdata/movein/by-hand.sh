# The machine of module.yaml, site.yml and site.pp, as somebody sets it up who has a shell and no policy.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -y install cron logrotate nginx-light openssh-server sudo tree fleet-demo >/dev/null
apt-mark -q hold fleet-demo
apt-get -qq -y remove iputils-ping >/dev/null

groupadd -g 2500 ops
groupadd -g 2501 deploy
groupadd -r -g 850 app
useradd -m -u 2001 -c "Alice Admin" -s /bin/bash -G ops,adm alice
useradd -m -u 2002 -c "Bob Builder" -s /bin/sh -e 2030-12-31 bob
useradd -m -u 2501 -g deploy -s /bin/sh deploy
useradd -r -M -u 850 -g app -d /srv/app -s /usr/sbin/nologin app-runner
userdel games
for u in alice deploy; do install -d -m 0700 -o $u -g $u /home/$u/.ssh; done
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd alice@laptop' >/home/alice/.ssh/authorized_keys
echo 'no-pty,no-port-forwarding ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGsWpBVNpTEKcr1kUyHHVn7RAr6DiBZp3Y1mTXGIaqzi ci@build' >/home/deploy/.ssh/authorized_keys
for u in alice deploy; do chmod 0600 /home/$u/.ssh/authorized_keys && chown $u:$u /home/$u/.ssh/authorized_keys; done
echo '%ops ALL=(ALL) NOPASSWD: /usr/bin/systemctl restart app' >/etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
sed -i 's/^UMASK\s.*/UMASK\t\t027/' /etc/login.defs

ln -sf /usr/share/zoneinfo/Europe/Vienna /etc/localtime
echo Europe/Vienna >/etc/timezone
printf '192.0.2.10 db.example.com db\n192.0.2.11\tcache.example.com  cache\n2001:db8::25 mail.example.com mail\n' >>/etc/hosts
echo 'This machine was set up with care.' >/etc/motd
echo 'Authorised use only.' >/etc/issue
echo 'export EDITOR=vi' >/etc/profile.d/site.sh
echo 'LANG=C.UTF-8' >>/etc/environment
cat >>/etc/bash.bashrc <<'END'
# BEGIN ANSIBLE MANAGED BLOCK aliases
alias ll='ls -l'
alias ..='cd ..'
# END ANSIBLE MANAGED BLOCK aliases
END
sed -i 's/^#Storage=.*/Storage=persistent/' /etc/systemd/journald.conf
systemctl restart systemd-journald
echo '*               hard    core            0' >>/etc/security/limits.conf
printf 'net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.log_martians = 1\n' >/etc/sysctl.d/50-site.conf
sysctl -q -p /etc/sysctl.d/50-site.conf
systemctl -q disable e2scrub_reap
systemctl -q mask systemd-pstore
mkdir /srv/scratch
printf 'tmpfs /srv/scratch  tmpfs size=1m,nosuid 0 0\nnas.example.com:/archive /srv/archive nfs noauto,ro 0 0\n' >>/etc/fstab
mount /srv/scratch

printf 'PermitRootLogin no\nPasswordAuthentication no\n' >/etc/ssh/sshd_config.d/50-site.conf
chmod 0600 /etc/ssh/sshd_config.d/50-site.conf
systemctl restart ssh
cat >/etc/ssh/ssh_known_hosts <<'END'
git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd
backup.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGsWpBVNpTEKcr1kUyHHVn7RAr6DiBZp3Y1mTXGIaqzi
END

install -d -m 0750 -o app-runner -g app /srv/app
install -d -m 2750 -o app-runner -g adm /var/log/app
install -d -m 0750 -g ops /etc/app
mkdir /etc/app/conf.d
printf '[app]\nport = 8080\n' >/etc/app/app.conf
chown app-runner:ops /etc/app/app.conf
chmod 0640 /etc/app/app.conf
printf '[10-cache]\nsize = 64m\n' >/etc/app/conf.d/10-cache.conf
printf '[20-queue]\nworkers = 4\n' >/etc/app/conf.d/20-queue.conf
ln -s app.conf /etc/app/current
cat >/etc/systemd/system/app.service <<'END'
[Unit]
Description=The application

[Service]
User=app-runner
ExecStart=/bin/sleep infinity

[Install]
WantedBy=multi-user.target
END
mkdir /etc/systemd/system/app.service.d
printf '[Service]\nNice=5\n' >/etc/systemd/system/app.service.d/nice.conf
printf '/var/log/app/*.log {\n\tweekly\n\trotate 8\n\tmissingok\n}\n' >/etc/logrotate.d/app
printf '#!/bin/sh\nexec tar -C /srv -cf /srv/backup/app.tar app\n' >/usr/local/bin/backup
chmod 0755 /usr/local/bin/backup
install -d -m 0700 /srv/backup
ln -s ../bin/backup /usr/local/sbin/backup
printf '[Unit]\nDescription=Backup\n\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/backup\n' >/etc/systemd/system/backup.service
printf '[Unit]\nDescription=Backup at night\n\n[Timer]\nOnCalendar=*-*-* 03:00:00\n\n[Install]\nWantedBy=timers.target\n' >/etc/systemd/system/backup.timer
systemctl daemon-reload
systemctl -q enable --now app.service backup.timer
printf 'MAILTO=ops@example.com\n15 4 * * 1 root /usr/local/bin/backup\n' >/etc/cron.d/site
echo '30 6 * * * /usr/bin/true' | crontab -u deploy -
for g in short long; do printf '#!/bin/sh\necho %s\n' $g >/usr/local/bin/greet-$g && chmod 0755 /usr/local/bin/greet-$g; done
update-alternatives --quiet --install /usr/local/bin/greet greet /usr/local/bin/greet-long 10
update-alternatives --quiet --set greet /usr/local/bin/greet-long

install -d -o www-data -g www-data /srv/www/shop
echo '<h1>Shop</h1>' >/srv/www/shop/index.html
chown www-data:www-data /srv/www/shop/index.html
printf 'server {\n\tlisten 8081;\n\troot /srv/www/shop;\n}\n' >/etc/nginx/sites-available/shop
ln -s ../sites-available/shop /etc/nginx/sites-enabled/shop
rm /etc/nginx/sites-enabled/default
systemctl reload nginx
