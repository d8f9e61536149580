# rpm: both versions of the packages, in /srv/rpm.
mkdir -p /etc/rpm /srv/rpm /srv/build
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros
build() { # name version requirement
  cat > "/srv/build/$1.spec" <<END
Name: $1
Version: $2
Release: 1
Summary: to test with
License: none
BuildArch: noarch
${3:+Requires: $3}
%description
To test with.
%install
mkdir -p %{buildroot}/usr/share/$1
echo $2 > %{buildroot}/usr/share/$1/version
%files
/usr/share/$1/version
END
  rpmbuild --quiet -bb --define '_topdir /srv/build' --define '_rpmdir /srv/rpm' --define '_rpmfilename %%{NAME}-%%{VERSION}.rpm' "/srv/build/$1.spec"
}
build base 1.0; build demo 1.0; build other 1.0; build demo 2.0 fresh; build other 2.0; build fresh 1.0
createrepo_c --quiet /srv/rpm
rpm -i /srv/rpm/base-1.0.rpm # zypper fails after a change that leaves no package at all

# pacman: a repository has one version of a package; which, the script in it decides. repo-add would need bsdtar.
mkdir -p /srv/pacman
cat > /srv/pacman/offer <<'END'
#!/bin/sh
set -e
add() { # name version requirement
  cd "$(mktemp -d)"
  mkdir -p "usr/share/pacman-$1"
  echo "$2" > "usr/share/pacman-$1/version"
  printf 'pkgname = %s\npkgver = %s\npkgdesc = to test with\nsize = 4\narch = any\n' "$1" "$2" > .PKGINFO
  test -z "$3" || echo "depend = $3" >> .PKGINFO
  file="$1-$2-any.pkg.tar.gz"
  test -e "/srv/pacman/$file" || tar -czf "/srv/pacman/$file" .PKGINFO usr
  mkdir "$index/$1-$2"
  {
    printf '%%FILENAME%%\n%s\n\n%%NAME%%\n%s\n\n%%VERSION%%\n%s\n\n%%ISIZE%%\n4\n\n%%ARCH%%\nany\n\n' "$file" "$1" "$2"
    printf '%%CSIZE%%\n%s\n\n%%SHA256SUM%%\n%s\n\n' "$(stat -c %s "/srv/pacman/$file")" "$(sha256sum < "/srv/pacman/$file" | cut -c1-64)"
    test -z "$3" || printf '%%DEPENDS%%\n%s\n\n' "$3"
  } > "$index/$1-$2/desc"
}
index=$(mktemp -d)
requirement=
test "$1" = 1.0-1 || requirement=fresh
add demo "$1" "$requirement"
add other "$1" ""
test "$1" = 1.0-1 || add fresh 1.0-1 ""
cd "$index"
tar -czf /srv/pacman/fleet.db *
# pacman fetches a list only if it is newer, to the second.
touch -d "$(test "$1" = 1.0-1 && echo '1 hour ago' || echo now)" /srv/pacman/fleet.db
END
chmod +x /srv/pacman/offer
printf '[options]\nArchitecture = auto\nSigLevel = Never\n\n[fleet]\nServer = file:///srv/pacman\n' > /etc/pacman.conf

mv /var/lib/dpkg/status /var/lib/dpkg/status.away
