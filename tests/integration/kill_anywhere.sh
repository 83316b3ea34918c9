#!/usr/bin/env bash
# kill -9 of any peer at any moment loses no accepted result and no job; what restarts goes on where it was.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

count=30
processes_of() { # the process and all below it
  echo "$1"
  for child in $(ps -o pid= --ppid "$1" || true); do processes_of "$child"; done
}
are_gone() { for pid in "$@"; do [ ! -e "/proc/$pid" ] || grep -q '^State:.*Z' "/proc/$pid/status" || return 1; done; }
dev_swarm 6

claim "a submitter without a worker may be killed as soon as submit says that its inputs are safe"
head -c 300000 /dev/urandom >"$work/input"
expect_exit 0 "$starling" --state "$work/guest" --join "$(ticket 0)" submit "$(guest square)" --array 1-$count --arg 40 --input "data=$work/input"
grep -q 'this machine may leave' "$work/stderr" || fail "submit did not say that the inputs are safe: $(cat "$work/stderr")"
job=$(cat "$work/guest/last_job")
rm -rf "$work/guest" # it does not even come back
within 20 accepted_at_least 0 "$job" 2

claim "30 % of the peers die in mid-job: peers 4 and 5"
mapfile -t family < <(processes_of "$(pid_of 4)"; processes_of "$(pid_of 5)")
kill_peer 4
kill_peer 5
note "killed with $(job 0 "$job" accepted) of $count units verified"

claim "a peer dies in mid-job and starts again from its folder: what it had accepted, it still has"
within 60 accepted_at_least 1 "$job" 8
before=$(job 1 "$job" accepted)
kill_peer 1
expect_exit 0 at 1 worker start --slots 1
after=$(job 1 "$job" accepted)
[ "$after" -ge "$before" ] || fail "$before units were accepted before the kill, $after after it"
note "$before units accepted before the kill, $after right after the restart"
await_job 0 "$job"
await_job 1 "$job"

claim "the results come from any peer that is left"
expect_squares 1 "$job" $count
expect_squares 3 "$job" $count

claim "no executor outlives its killed worker"
within 10 are_gone "${family[@]}"
note "${#family[@]} processes of the two killed workers are gone"
expect_exit 0 "$starling" --state "$work/swarm" dev down

claim "one peer of two is killed five times at random moments: the job still finishes"
RANDOM=7
dev_swarm 2
job=$(submit_squares 0 40 --arg 60)
for round in 1 2 3 4 5; do
  sleep "0.$((RANDOM % 10))"
  before=$(job 1 "$job" accepted 2>/dev/null || echo 0)
  kill_peer 1
  expect_exit 0 at 1 worker start --slots 1
  after=$(job 1 "$job" accepted)
  note "round $round: $before units accepted before, $after after"
  [ "$after" -ge "$before" ] || fail "accepted units were lost: $before before, $after after"
done
await_job 0 "$job"
await_job 1 "$job" # it has just come back
expect_squares 1 "$job" 40
tell_executions 0 "$job"

claim "a peer is killed the moment submit returns, and alone: the job is still there when it starts again"
kill_peer 1
job=$(submit_squares 0 20 --arg 20)
kill_peer 0
expect_exit 0 at 0 worker start --slots 1
expect_equal "$(job 0 "$job" units)" 20 "units of the job"

claim "every peer is killed at once in mid-job: nothing accepted is lost, and the job finishes"
expect_exit 0 at 1 worker start --slots 1
within 30 accepted_at_least 0 "$job" 5
before=$(job 0 "$job" accepted)
kill_peer 0
kill_peer 1
expect_exit 0 at 0 worker start --slots 1
after=$(job 0 "$job" accepted)
note "$before units accepted before, $after after, alone"
[ "$after" -ge "$before" ] || fail "accepted units were lost: $before before, $after after"
expect_exit 0 at 1 worker start --slots 1
await_job 0 "$job"
await_job 1 "$job"
expect_squares 1 "$job" 20
