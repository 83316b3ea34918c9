#!/usr/bin/env bash
# Sixty real workers on this machine, some of them attackers, and beside each figure what the simulator predicts of the same swarm.
#
#   tests/sixty.sh [--preset dev|release] [--case "colluders 20 %"]... [--units 1200] [--pace 4s] [--peers 60] [--seeds 3] [--to FILE]
#
# Everything runs at the lowest priority, on loopback, and ends with the script. Exit 1 if an honest peer was banned, the job did not finish, equal judges
# disagree, or wrong results are accepted at the end: any where liars do not know each other, more than 5 % of all (honest peer, unit) where some work
# together or copy (each reader believes its own replays alone, no roots, so a shared lie stands there until an audit hits it).
# On a host that is not Debian 13 the work happens in the root that deploy/root.sh makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -n "${STARLING_INSIDE:-}" ] || exec deploy/root.sh env STARLING_INSIDE=1 tests/sixty.sh "$@"
preset=dev
if [ "${1:-}" = --preset ]; then preset=$2; shift 2; fi
[ -e build/$preset/build.ninja ] || cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" --target starling starling-executor guest_square simulate >/dev/null
exec nice -n 19 python3 tests/sixty/run.py "build/$preset" "$@"
