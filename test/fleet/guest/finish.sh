# Runs inside a copy of the image, by chroot, to make a machine with a kernel of its own of it.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

chmod -R u=rwX,go=rX /srv/apt
apt-get -qq update
apt-get -qq -y install e2fsprogs kmod user-mode-linux
rm -rf /var/cache/apt/archives/*.deb
mkdir -p /usr/lib/modules
for dir in /usr/lib/uml/modules/*; do
    mv "$dir" /usr/lib/modules/
    depmod "${dir##*/}"
done
mv /usr/bin/linux.uml /fleet-kernel

# Nothing to be waited for.
for unit in e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
echo machine >/etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\tmachine\n' >/etc/hosts
systemd-machine-id-setup >/dev/null 2>&1

# Commands come in by serial lines: they need no network, which the tests change.
cat >/etc/systemd/system/fleet-console@.service <<'EOF'
[Unit]
Description=Commands of the test, from %I

[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/local/lib/fleet-console %I
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
EOF
mkdir -p /etc/systemd/system/multi-user.target.wants
for i in 0 1 2 3; do
    ln -s ../fleet-console@.service "/etc/systemd/system/multi-user.target.wants/fleet-console@ttyS$i.service"
done
