# Runs inside an overlay over the image, by chroot: it becomes a machine with another init system than systemd. The packages are
# in /mnt. What is started last tells that the machine is up.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get -qq -y install /mnt/*.deb
# There is no terminal.
[ ! -e /etc/inittab ] || sed -i '/getty/d' /etc/inittab
rm -f /etc/runit/runsvdir/default/getty-*
printf '#!/bin/sh\n: >/run/fleet-up\n' >/etc/rc.local
chmod 755 /etc/rc.local
