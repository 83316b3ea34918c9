#!/usr/bin/env bash
# A unit cut into segments: whoever computed the first ones may die, another peer goes on from the last that was accepted.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

# 40 rounds of one item in 8 segments; plain, so that every job of it has the same result
count() { at "$1" submit "$(guest count_task)" --arg 40 --arg 1 --arg "${COUNT_MILLIONS:-240}" --arg p --rounds 50 --output quiet "${@:2}" 2>>"$work/notes"; }
segments_done() { [ "$(job "$1" "$2" segments_done)" -ge "$3" ]; }
own_results() { job "$1" "$2" own_results; }
result_of() { # PEER JOB
  local to=$work/results-$RANDOM
  expect_exit 0 at "$1" results "$2" -o "$to"
  [ ! -e "$to/000000.out/checkpoint" ] || fail "the result holds a checkpoint"
  cat "$to/000000.stdout"
}

claim "the reference: the same item in one piece"
start_worker lab --new private
start_worker b --join "$(ticket lab)"
within 20 linked_to lab 1
whole=$(count b --class trusted)
await_job b "$whole" 60s
expected=$(result_of b "$whole")
note "$expected"
expect_equal "$(job b "$whole" segments units)" "1 1" "segments and units of the job in one piece"

claim "a segment needs the agreement that a unit needs; the submitter dies after some of them, and those who are left go on"
start_worker c --join "$(ticket b)"
within 20 linked_to c 2
chain=$(count lab --segment-rounds 5)
within 60 segments_done b "$chain" 3
[ "$(job b "$chain" state)" != finished ] || fail "the job ended before anybody could die"
kill_peer lab
before=$(job b "$chain" segments_done)
await_job b "$chain" 90s
await_job c "$chain" 30s
expect_equal "$(result_of c "$chain")" "$expected" "the result in segments and the result in one piece"
read -r units accepted segments executions <<<"$(job b "$chain" units accepted segments executions)"
expect_equal "$units $accepted $segments" "1 1 10" "units, accepted, segments"
# 8 segments by two peers each; where claims crossed, by all three
[ "$executions" -le 24 ] || fail "$executions executions of 8 segments: something began again"
note "$before segments were done when the submitter died, $executions executions in all"

claim "one peer alone is trusted with the first segments and dies; the other goes on without computing them again"
chain=$(count b --segment-rounds 5 --class trusted)
within 60 segments_done c "$chain" 3
[ "$(job c "$chain" state)" != finished ] || fail "the job ended before anybody could die"
own=$(own_results c "$chain")
kill_peer b
await_job c "$chain" 90s
expect_equal "$(result_of c "$chain")" "$expected" "the result in segments and the result in one piece"
[ "$(own_results c "$chain")" -ge 1 ] || fail "peer c computed nothing"
[ "$(job c "$chain" executions)" -le 12 ] || fail "$(job c "$chain" executions) executions of 8 segments: something began again"
note "peer c had computed $own of 8 segments when the other died, $(own_results c "$chain") in the end"
