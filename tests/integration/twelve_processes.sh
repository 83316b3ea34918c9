#!/usr/bin/env bash
# Twelve workers with attackers of every kind among them: the small form of tests/sixty.sh.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

for case in "liars 20 %" "all kinds 20 %"; do
  claim "$case: the job finishes, hardly anything wrong stands at the end (nothing, unless some work together), no honest peer is banned, equal judges agree"
  expect_exit 0 env TMPDIR="$work" python3 tests/sixty/run.py "$tree" --peers 12 --units 120 --pace 500ms --settle 30 --idle 0 --limit 300 --real-only --case "$case"
  note "$(cat "$work/stdout")"
done
