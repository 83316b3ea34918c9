#!/usr/bin/env bash
# Finished and final: shown apart, and awaited on request. A small job becomes final where a worker looks itself, and says elsewhere why not.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

claim "a finished job is not final to its last unit: nobody has anything behind those"
dev_swarm 4
for reader in 0 2; do expect_exit 0 at $reader worker pause; done  # the two others execute everything
job=$(submit_squares 0 24 --arg 20)
await_job 0 "$job"
read -r state accepted final <<<"$(job 0 "$job" state accepted final)"
expect_equal "$state $accepted" "finished 24"
[ "$final" -lt 24 ] || fail "all of $final units are final although nobody has looked at the last ones"
note "peer 0: $final of 24 final when it was finished"
expect_exit 0 at 0 job info "$job"
expect_stdout "final here +[0-9]+ of 24; [0-9]+ units? waits? until enough supporters have passed 5 later audits"
expect_exit 0 at 0 job list --all
expect_stdout '^JOB +STATE +VERIFIED +FINAL HERE +UNITS'

claim "one unit tells what it lacks"
expect_exit 0 bash -c "for unit in {0..23}; do '$starling' --state '$(folder_of 0)' job explain $job/\$unit; done"
expect_stdout '^Not final here yet: those that agree must pass 5 later audits or 200 further units'

claim "a paused worker cannot look; the command says so when its time is up"
expect_error 4 'is not final here yet: [0-9]+ of 24; .*worker is paused' at 0 job wait "$job" --wait-final --timeout 2s

claim "whoever waits has the rest executed again on his own machine, and no more than that"
before=$(job 0 "$job" own_results)
expect_exit 0 at 0 worker resume
expect_exit 0 at 0 job wait "$job" --wait-final --timeout 120s
expect_stdout '24 units verified, 24 of them final here'
expect_equal "$(job 0 "$job" state final)" "finished 24"
more=$(($(job 0 "$job" own_results) - before))
[ "$more" -ge 1 ] && [ "$more" -le $((24 - final)) ] || fail "$more more executions for $((24 - final)) units that were not final"
note "$more executions more for $((24 - final)) units"
expect_exit 0 bash -c "for unit in {0..23}; do '$starling' --state '$(folder_of 0)' job explain $job/\$unit; done"
expect_stdout '^Final here: a judge executed it and found the same\.'

claim "another reader believes himself and his roots: to peer 2 not all of it is final, until he looks too"
[ "$(job 2 "$job" final)" -lt 24 ] || fail "peer 2 calls final what only peer 0 looked at"
expect_exit 0 at 2 worker resume
expect_exit 0 at 2 job wait "$job" --wait-final --timeout 120s

claim "who runs no units is told that it cannot become final there, and what to do"
fresh=$(submit_squares 1 40 --arg 20)
await_job 1 "$fresh"
within 60 at reader --join "$(ticket 1)" --output quiet job info "$fresh" >/dev/null
expect_error 6 'cannot become final here: .*runs no units.*; wait at a machine with a worker, or name a root' at reader --join "$(ticket 1)" job wait "$fresh" --wait-final --timeout 60s

claim "a canceled job ends the wait"
long=$(submit_squares 0 50 --arg 2000)
expect_exit 0 at 0 job cancel "$long"
expect_error 3 'was canceled' at 0 job wait "$long" --wait-final --timeout 20s
