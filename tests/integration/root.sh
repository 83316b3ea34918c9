#!/usr/bin/env bash
# deploy/root.sh: exit code, words and working directory pass through, a user namespace can be made inside, and without the rights
# one line says what to run instead. Both of its ways are gone: on Debian 13 itself, and where the host calls itself another system.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

claim "a user namespace with a mapped root can be made"
[ "$(unshare --user --map-root-user id -u)" = 0 ]

claim "inside it a mount namespace with a private file system can be made"
unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /mnt && touch /mnt/file && [ -e /mnt/file ]'
[ ! -e /mnt/file ]

claim "on Debian 13 the exit code, the words and the working directory pass through"
expect_exit 37 deploy/root.sh sh -c 'exit 37'
[ "$(cd docs && ../deploy/root.sh pwd)" = "$PWD/docs" ]
[ "$(deploy/root.sh printf '%s|' 'a b' '' "c'd")" = "a b||c'd|" ]
expect_exit 2 deploy/root.sh

# A copy of the script with a list of its own, where the user nobody can read it.
copy=$work/copy
mkdir -p "$copy/deploy"
cp deploy/root.sh deploy/packages.txt "$copy/deploy/"
chmod -R go+rX "$work"
as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
# elsewhere CMD...: where the host calls itself another system
printf 'ID=otheros\nVERSION_ID=7\n' >"$copy/os-release"
elsewhere() { unshare --mount --propagation private sh -c 'mount --bind "$1" /etc/os-release; shift; exec "$@"' sh "$copy/os-release" "$@"; }
expect_one_line() { # REGEX
  [ "$(wc -l <"$work/stderr")" = 1 ] && [ ! -s "$work/stdout" ] || fail "not one line: $(cat "$work/stdout" "$work/stderr")"
  grep -qE "^root: $1" "$work/stderr" || fail "no /$1/: $(cat "$work/stderr")"
  note "$(cat "$work/stderr")"
}

claim "on another system, without rights: one line with the command to run instead"
expect_exit 1 elsewhere "${as_nobody[@]}" "$copy/deploy/root.sh" tests/run.sh --sanitizers
expect_one_line "this host is not Debian 13; run it as root: sudo $copy/deploy/root.sh tests/run.sh --sanitizers$"

claim "on Debian 13 with packages missing, without rights: one line with the command that installs them"
echo 'test: no-such-package-one no-such-package-two' >>"$copy/deploy/packages.txt"
expect_exit 1 "${as_nobody[@]}" "$copy/deploy/root.sh" true
expect_one_line 'packages are missing; run as root: apt-get install no-such-package-one no-such-package-two$'
cp deploy/packages.txt "$copy/deploy/"

# The other way needs the root that the host made; on a Debian 13 host there is none, and it is never taken.
cache=${STARLING_CACHE:-/var/cache/starling}
if ls "$cache"/root-*/.ready >/dev/null 2>&1; then
  claim "on another system, as root: the made root is entered, and the same things pass through"
  expect_exit 0 elsewhere deploy/root.sh sh -c '. /etc/os-release && echo "$ID $VERSION_ID"'
  expect_stdout '^debian 13'
  expect_exit 37 elsewhere deploy/root.sh sh -c 'exit 37'
  expect_equal "$(cd docs && elsewhere ../deploy/root.sh pwd)" "$PWD/docs" "the working directory"
  expect_equal "$(elsewhere deploy/root.sh printf '%s|' 'a b' '' "c'd")" "a b||c'd|" "the words"
  expect_equal "$(elsewhere deploy/root.sh unshare --user --map-root-user id -u)" 0 "the user inside a user namespace"

  claim "on another system that forbids mount namespaces: one line"
  expect_exit 1 elsewhere setpriv --bounding-set -sys_admin --inh-caps -sys_admin deploy/root.sh true
  expect_one_line 'this host forbids mount namespaces; run on a host that allows them, or on Debian 13$'
else
  note "this host is Debian 13 itself: root.sh makes and enters no root here"
fi
