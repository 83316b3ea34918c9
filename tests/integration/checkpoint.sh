#!/usr/bin/env bash
# A program that ends its rounds with exit code 85 loses one round when its worker is killed, and gives the same result.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

log_of() { cat "$(folder_of "$1")/worker.log"; }
kept_at() { find "$(folder_of "$1")/checkpoints" -type f ! -name '*.new' -printf '%s\n' 2>/dev/null | grep -q .; }
went_on() { log_of "$1" | grep -qE "went on from round [0-9]+ of this machine's own checkpoint"; }

claim "a worker killed in the middle of an item of 60 rounds goes on from its own checkpoint; an uninterrupted peer agrees with it"
start_worker lab --new private --checkpoint-interval 0s
start_worker other --join "$(ticket lab)" --checkpoint-interval 0s
within 20 linked_to lab 1
expect_exit 0 at lab submit "$(guest count_task)" --arg 60 --arg 1 --arg 1000 --rounds 100 --output quiet
job=$(cat "$work/stdout")
within 20 kept_at lab
kill_peer lab
kept_at lab || fail "the killed worker left no checkpoint"
start_worker lab --checkpoint-interval 0s
await_job lab "$job" 60s
went_on lab || fail "the worker began again: $(log_of lab | tail -n 5)"
note "$(log_of lab | grep -oE 'went on from round [0-9]+')"
! went_on other || fail "the other peer was not interrupted"
expect_equal "$(job lab "$job" executions contested accepted)" "2 0 1" "executions, contested, accepted"
expect_exit 0 at lab results "$job" -o "$work/results"
grep -qE '^round 59 of item 0: 60 of 60, sum ' "$work/results/000000.stdout" || fail "the result is not the last round's: $(cat "$work/results/000000.stdout")"
[ ! -e "$work/results/000000.out/checkpoint" ] || fail "the result holds a checkpoint"
! kept_at lab || fail "a finished unit left a checkpoint"

claim "without --rounds exit code 85 is a failure like any other"
expect_exit 0 at lab submit "$(guest count_task)" --arg 4 --arg 1 --output quiet
job=$(cat "$work/stdout")
expect_exit 3 at lab job wait "$job" --timeout 60s
