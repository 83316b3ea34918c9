#!/usr/bin/env bash
# Twelve workers with attackers of every kind among them: the small form of tests/sixty.sh.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

for case in "colluders 20 %" "all kinds 20 %"; do
  claim "$case: the job finishes, nothing wrong stands at the end, no honest peer is banned, equal judges agree"
  expect_exit 0 python3 tests/sixty/run.py "$tree" --peers 12 --units 120 --pace 500ms --settle 10 --seeds 1 --limit 120 --case "$case"
  while read -r line; do note "$line"; done < <(grep '^| [a-z]' "$work/stdout")
done
