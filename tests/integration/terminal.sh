#!/usr/bin/env bash
# Progress moves on a terminal and stands in plain lines elsewhere; quiet and JSON show none.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

start_worker one --new private
start_worker two --join "$(ticket one)"
within 10 linked_to one 1

# on_terminal TERM WORD...: a command of the first peer whose three streams are a pseudo-terminal; what it showed is kept
on_terminal() {
  local words
  words=$(printf '%q ' "$starling" --state "$work/one" "${@:2}")
  expect_exit 0 env TERM="$1" SHELL=/bin/sh script --quiet --return --command "$words" "$work/typescript" </dev/null
  grep -vaE $'^(Script (started|done).*)?\r?$' "$work/typescript" >"$work/shown"
}
redrawn=$'\r\033\\[K'
is_moving() { grep -qaE "$redrawn.*$1" "$work/shown" || fail "no moving /$1/: $(cat -v "$work/shown")"; }
stands_still() { ! grep -qaP '\x1b|\r[^\n]' "$1" || fail "control characters: $(cat -v "$1")"; }

claim "on a terminal the progress of submit and of job wait is one line that is drawn again and again"
on_terminal xterm submit "$(guest square)" --array 1-40 --arg 20 --wait
is_moving '\[[#.]{24}\] [0-9]+/40 units verified'
[ "$(grep -aoE "$redrawn" "$work/shown" | wc -l)" -ge 2 ] || fail "it was drawn once only: $(cat -v "$work/shown")"
job=$(submit_squares one 40 --arg 20)
on_terminal xterm job wait "$job"
is_moving "${job:0:8} \[[#.]{24}\] [0-9]+/40 units verified"

claim "on a terminal that cannot redraw (TERM=dumb), in quiet and in JSON nothing moves"
job=$(submit_squares one 20 --arg 20)
on_terminal dumb job wait "$job"
stands_still "$work/shown"
for form in quiet json; do
  job=$(submit_squares one 20 --arg 20)
  on_terminal xterm job wait "$job" --output $form
  stands_still "$work/shown"
  expect_equal "$(wc -l <"$work/shown")" 1 "lines in $form"
done

claim "explanations, standings and verified evidence are plain lines on a terminal too"
job=$(submit_squares one 6)
await_job one "$job"
at one evidence export "$job" -o "$work/evidence" >/dev/null
for words in "job explain $job" "job explain $job/0" "peer info" "credit" "evidence verify $work/evidence"; do
  # shellcheck disable=SC2086
  on_terminal xterm $words
  stands_still "$work/shown"
  [ "$(wc -l <"$work/shown")" -ge 3 ] || fail "next to nothing is shown by: $words"
done
at one job explain "$job/0" | grep -qE '^Accepted: 2 peers agree and nobody differs' || fail "no reason: $(at one job explain "$job/0")"

claim "without a terminal progress is plain lines on stderr, the answer alone is on stdout"
job=$(submit_squares one 40 --arg 20)
expect_exit 0 at one job wait "$job"
stands_still "$work/stderr"
grep -qE "^${job:0:8} \[[#.]{24}\] [0-9]+/40 units verified" "$work/stderr" || fail "no line of progress: $(cat "$work/stderr")"
expect_stdout "job ${job:0:8} finished: 40 units verified"
! grep -q '\[[#.]\{24\}\]' "$work/stdout" || fail "progress on stdout"
expect_exit 0 at one submit "$(guest square)" --array 1-20 --arg 20 --wait
stands_still "$work/stderr"
grep -qE '^(inputs are held by [0-9]+ of 1 peers|[a-z2-7]{8} \[[#.]{24}\] [0-9]+/20 units verified)' "$work/stderr" || fail "no line of progress: $(cat "$work/stderr")"
