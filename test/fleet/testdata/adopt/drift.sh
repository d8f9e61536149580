# What goes wrong afterwards.
apt-get -qq -y remove tree
usermod -s /bin/false -G '' alice
gpasswd -q -d alice ops 2>/dev/null || true
sed -i /laptop/d /home/alice/.ssh/authorized_keys
echo hacked >/etc/motd
chmod 0666 /etc/app/app.conf
echo x >>/etc/app/long.list
rm /etc/app/current /etc/cron.d/site /etc/sudoers.d/ops
systemctl -q disable --now app.service
systemctl -q unmask systemd-pstore.service
systemctl -q enable --now legacy.service
echo 0 >/proc/sys/net/ipv4/ip_forward
sed -i '/db.example.com/d' /etc/hosts
umount /srv/scratch
crontab -u alice -r
