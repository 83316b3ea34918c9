#!/usr/bin/env bash
# Runs CMD... on Debian 13: on the host when it is one, else inside a Debian 13 root that this script makes and keeps.
#
#   deploy/root.sh CMD [ARG...]
#
# The root is made by mmdebstrap from Debian packages alone (the list: deploy/packages.txt) and cached under
# $STARLING_CACHE (default /var/cache/starling), keyed by the list. CMD sees the checkout at its own path, the same working
# directory, its own /tmp as on the host, and its exit code is passed through. Entered by a private mount namespace and
# pivot_root: inside a plain chroot no user namespace can be made.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${STARLING_CACHE:-/var/cache/starling}
list=$top/deploy/packages.txt
suite=trixie

say() { printf 'root: %s\n' "$*" >&2; }

if [ "${1:-}" = --inside ]; then # second half: already in the private mount namespace
  root=$2 cwd=$3
  shift 3
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
  for dir in /dev /sys /tmp "$top" "$cache"; do
    mkdir -p "$root$dir"
    mount --rbind "$dir" "$root$dir"
  done
  cd "$root"
  mkdir -p .old
  pivot_root . .old
  umount -l /.old
  cd "$cwd" 2>/dev/null || cd "$top"
  exec "$@"
fi

[ $# -gt 0 ] || { say "usage: deploy/root.sh CMD [ARG...]"; exit 2; }

packages() { sed -e 's/#.*//' -e 's/^[a-z]*://' "$list" | tr -s ' \n' '\n\n' | sed '/^$/d'; }

# Compiled objects are shared between checkouts: paths below this one count as relative.
export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache} CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros
# shellcheck disable=SC1091
. /etc/os-release
if [ "${ID:-}" = debian ] && { [ -z "${VERSION_ID:-}" ] || [ "${VERSION_ID%%.*}" -ge 13 ]; }; then
  missing=$(packages | while read -r name; do dpkg-query -W -f='${Status}\n' "$name" 2>/dev/null | grep -q 'ok installed' || echo "$name"; done)
  if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { say "packages are missing; run as root: apt-get install $(echo $missing)"; exit 1; }
    say "installing $(echo "$missing" | wc -l) packages"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  fi
  exec "$@"
fi

[ "$(id -u)" = 0 ] || { say "this host is not Debian 13; run it as root: sudo $0 $*"; exit 1; }
key=$({ echo "$suite"; packages; } | sha256sum | cut -c1-16)
root=$cache/root-$key
if [ ! -e "$root/.ready" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/root.lock"
  flock 9 # two commands at once: the second waits, then finds the root made
  if [ ! -e "$root/.ready" ]; then
    if ! command -v mmdebstrap >/dev/null; then
      say "installing mmdebstrap"
      apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null
    fi
    say "making a Debian 13 root in $root (once, about a minute, 1 GB)"
    rm -rf "$root.partial"
    mmdebstrap --mode=root --variant=minbase --include="$(packages | paste -sd,)" "$suite" "$root.partial" 2>&1 |
      sed -u -n 's/^\(I: .*\)/root: \1/p; s/^\(E: .*\)/root: \1/p' >&2
    touch "$root.partial/.ready"
    rm -rf "$root"
    mv "$root.partial" "$root"
  fi
  exec 9>&-
fi
unshare --mount --propagation private true 2>/dev/null ||
  { say "this host forbids mount namespaces; run on a host that allows them, or on Debian 13"; exit 1; }
exec env -u BASH_ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  unshare --mount --propagation private -- "$top/deploy/root.sh" --inside "$root" "$PWD" "$@"
