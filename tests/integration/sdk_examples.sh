#!/usr/bin/env bash
# The smallest submitter and the smallest guest of sdk/examples do what their README says.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

dev_swarm 2
example=$tree/examples/example_submit primes=$(guest primes)

claim "the smallest submitter counts the primes below 100,000 through a swarm of two"
expect_exit 0 env STARLING_STATE="$(folder_of 0)" "$example" "$primes"
expect_stdout '^9592 primes below 100000$'

claim "its errors say what happened and what to do next"
expect_exit 2 "$example"
expect_exit 5 env STARLING_STATE="$work/nowhere" "$example" "$primes"
grep -qE '.+; .+' "$work/stderr" || fail "no 'what happened; what to do next': $(cat "$work/stderr")"

claim "the same guest from the command line, items from a file"
printf '0 100\n100 200\n' >"$work/ranges.txt"
expect_exit 0 at 0 submit "$primes" --items "$work/ranges.txt" --wait
expect_exit 0 at 1 results "$(cat "$(folder_of 0)/last_job")" -o "$work/out"
expect_equal "$(cat "$work/out/000000.stdout" "$work/out/000001.stdout" | tr '\n' ' ')" "25 21 " "primes below 100, and from 100 to 200"
