#!/usr/bin/env bash
# An honest swarm of two and one of five fresh peers finish a job, and every result is right.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

for peers in 2 5; do
  claim "$peers fresh honest peers finish 40 units"
  dev_swarm $peers
  job=$(submit_squares 0 40 --arg 5)
  await_job 0 "$job"
  tell_executions 0 "$job"

  claim "every result is right, through the peer that submitted and through the last one"
  expect_squares 0 "$job" 40
  expect_squares $((peers - 1)) "$job" 40

  claim "no two honest peers contradict each other, and no peer bans another"
  for ((peer = 0; peer < peers; ++peer)); do
    expect_equal "$(job $peer "$job" state contested banned)" "finished 0 " "peer $peer: state, contested units, banned keys"
  done
  expect_exit 0 "$starling" --state "$work/swarm" dev down
done
