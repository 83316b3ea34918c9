#!/usr/bin/env bash
# The main job on one machine: five peers on loopback, one of them lying, find a spacecraft.
#
#   deploy/demo.sh [--seed S]      S (default 1) draws five signals beside Voyager 1's and the peer that lies
#
# Installs and builds what it needs, starts the swarm, submits the search, shows its progress, lets the honest peers prove
# who lied, and ends with the table of verified signals and one line. Exit 0 only if everything was found, the liar, and
# nobody else, was banned, and the job had at least 256 units of at most 0.2 s. On a host that is not Debian 13 the work happens in the root that deploy/root.sh makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -z "${STARLING_INSIDE:-}" ]; then
  exec deploy/root.sh env STARLING_INSIDE=1 deploy/demo.sh "$@"
fi

seed=1
while [ $# -gt 0 ]; do
  case $1 in
    --seed) seed=${2:?--seed needs a number}; shift 2 ;;
    *) echo "demo: unknown argument '$1'; usage: deploy/demo.sh [--seed S]" >&2; exit 2 ;;
  esac
done
case $seed in '' | *[!0-9]*) echo "demo: --seed needs a number" >&2; exit 2 ;; esac

say() { printf '\n== %s\n' "$*"; }

tree=build/dev
say "building (the first time takes some minutes)"
[ -e $tree/build.ninja ] || cmake --preset dev >/dev/null
cmake --build --preset dev --target starling starling-executor guest_dedoppler dedoppler-generate demo-check demo-unit-time | tail -n 1
starling=$PWD/$tree/starling

work=$(mktemp -d)
export STARLING_STATE=$work/state XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/xdg
finish() {
  "$starling" dev down >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT

say "an observation: the header of Green Bank's Voyager 1 file, noise, three tones of the spacecraft and five random ones"
$tree/dedoppler-generate --seed "$seed" --output "$work/voyager.fil" --truth "$work/truth.json"

say "five peers on loopback; nobody is in charge, one of them will lie"
"$starling" dev up -n 5 --bad 1 --seed "$seed"
dev=$work/state/dev
seal=$($tree/tests/demo-check seal --truth "$work/truth.json" --swarm "$dev/dev.json" --to "$work/sealed.json")
echo "what was planted and who lies is sealed: sha256 $seal"
honest=$(grep -o '{[^{}]*"bad":false[^{}]*}' "$dev/dev.json" | sed 's/.*"state":"\([^"]*\)".*/\1/')
export STARLING_STATE=$dev/peer-0

say "the job"
job=$("$starling" submit $tree/guests/dedoppler.wasm --split bands --input "$work/voyager.fil" --name voyager --output quiet)
"$starling" job wait "$job"

say "the honest peers execute contested results again, as proof (at most 120 s)"
# shellcheck disable=SC2086
deploy/await_replays.sh "$starling" "$job" 120 $honest
sleep 1 # the last replays travel

"$starling" evidence export "$job" -o "$work/job.evidence"
"$starling" results "$job" -o "$work/results"
cp -r "$work/results" "$tree/demo-results.new" && rm -rf "$tree/demo-results" && mv "$tree/demo-results.new" "$tree/demo-results"
echo "pictures and the list of signals: $tree/demo-results"

say "the judgement"
# At most 0.2 s for a unit, by the median of the processor time that some of the job's own units take in the real executor: on
# a busy machine the wall clock would measure its neighbours.
fast=yes
$tree/tests/demo-unit-time $tree/starling-executor "${XDG_CACHE_HOME:-$HOME/.cache}/starling/aot" $tree/guests/dedoppler.wasm bands "$work/voyager.fil" 200 || fast=no
$tree/tests/demo-check judge --sealed "$work/sealed.json" --seal "$seal" --hits "$work/results/hits.csv" --evidence "$work/job.evidence"
[ $fast = yes ]
