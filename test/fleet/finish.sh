# Runs inside a fresh image, by chroot, as the last step of building it: what debootstrap took from the host is removed,
# packages come from the local repository only, and nothing starts by itself that a test did not ask for.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

rm -f /etc/hostname /etc/resolv.conf /etc/machine-id /var/lib/dbus/machine-id
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/apt ./' >/etc/apt/sources.list.d/fleet.list
echo 'APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/90fleet
# The disk of a machine does not outlive its test: dpkg need not wait for it after each file.
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/90fleet
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
chmod -R u=rwX,go=rX /srv/apt
apt-get -qq update

# Each would run at some moment of a test and hold the lock of the package database, or print a prompt.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    console-getty.service getty@.service systemd-firstboot.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
