#!/bin/bash
# Runs commands for a test, one after the other. $1 is the serial line by which they are announced; what they are, and what
# became of them, is in files of the host. See line.go, which is at the other end.
set -u
share=/run/fleet/share
mkdir -p "$share" "/run/fleet/$1" && cd "/run/fleet/$1" || exit 1
mountpoint -q "$share" || mount -t hostfs none "$share" || mountpoint -q "$share" || exit 1
exec 3<>"/dev/$1" && stty -F "/dev/$1" raw -echo || exit 1
echo hello >&3
systemd-notify --ready 2>/dev/null
while read -r id <&3; do
    request=$share/$id
    [ -n "$id" ] && [ -e "$request/words" ] || continue # given up meanwhile
    mapfile -d '' -t words <"$request/words"
    (cd / && exec setsid "${words[@]}" <"$request/in" >"/run/fleet/$1/out" 2>"/run/fleet/$1/err" 3>&-) &
    echo $! >pid
    wait $!
    echo $? >code
    rm pid
    cp code out err "$request"
    echo "done $id" >&3
done
