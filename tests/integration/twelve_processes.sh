#!/usr/bin/env bash
# Twelve workers with attackers of every kind among them: the small form of tests/sixty.sh.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

small_form() {  # case, units, settle in s, what it is to show
  claim "$1: the job finishes, $4, no honest peer is banned, equal judges agree"
  expect_exit 0 env TMPDIR="$work" python3 tests/sixty/run.py "$tree" --peers 12 --units "$2" --pace 500ms --settle "$3" --idle 0 --limit 300 --real-only --case "$1"
  note "$(cat "$work/stdout")"
}

# Each reader believes its own replays alone (no roots): two who tell one lie may be believed of a few units until an audit hits these.
small_form "liars 20 %" 120 30 "nothing wrong stands at the end"
small_form "all kinds 20 %" 120 30 "at most 5 % of all (peer, unit) stand wrong at the end"
small_form "colluders 20 %" 60 12 "two who lie alike have at most 5 % of all (peer, unit) wrong at the end"
