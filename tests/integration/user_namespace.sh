#!/usr/bin/env bash
# The root that the tests run in is no plain chroot: a user namespace can be made inside, as the executor's cage will need.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

claim "a user namespace with a mapped root can be made"
[ "$(unshare --user --map-root-user id -u)" = 0 ]

claim "inside it a mount namespace with a private file system can be made"
unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /mnt && touch /mnt/file && [ -e /mnt/file ]'
[ ! -e /mnt/file ]

claim "root.sh passes the exit code, the words and the working directory through"
expect_exit 37 deploy/root.sh sh -c 'exit 37'
[ "$(cd docs && ../deploy/root.sh pwd)" = "$PWD/docs" ]
[ "$(deploy/root.sh printf '%s|' 'a b' '' "c'd")" = "a b||c'd|" ]
