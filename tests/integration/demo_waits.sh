#!/usr/bin/env bash
# The demo exports when each honest peer has published three replays, or after its limit of the clock, and says when it gave up.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

# A `starling` whose peers publish one more replay each time that they are asked, up to $state/most, after $state/delay seconds.
cat >"$work/fake" <<'SH'
#!/bin/sh
state=$2
sleep "$(cat "$state/delay" 2>/dev/null || echo 0)"
count=$(cat "$state/count" 2>/dev/null || echo 0)
[ "$count" -ge "$(cat "$state/most")" ] || count=$((count + 1))
echo $count >"$state/count"
echo "{\"job\":{\"own_replays\":$count,\"replays_pending\":7}}"
SH
chmod +x "$work/fake"
peers() { # MOST...: fresh peers that publish so many
  local i=0
  rm -rf "$work"/peer-*
  for most in "$@"; do
    mkdir "$work/peer-$i"
    echo "$most" >"$work/peer-$i/most"
    i=$((i + 1))
  done
}
waits() { expect_exit 0 deploy/await_replays.sh "$work/fake" job "$1" "$work"/peer-*; }

claim "it goes on when each has published three, with no note, and not before"
peers 3 3 3 3
waits 60
for i in 0 1 2 3; do expect_stdout "^peer-$i: 3 replays published$"; done
! grep -q note "$work/stdout" || fail "a note without need"

claim "one peer that stays at two is waited for until the limit; then a note"
peers 3 2 3
begun=$SECONDS
waits 2
expect_stdout '^note: not every honest peer has published 3 replays after 2 s'
expect_stdout '^peer-1: 2 replays published$'
[ $((SECONDS - begun)) -ge 2 ] || fail "it gave up after $((SECONDS - begun)) s"

claim "the limit is one of the clock: peers that take a second to answer do not stretch it"
peers 0 0
echo 1 >"$work/peer-0/delay"
begun=$SECONDS
waits 3
[ $((SECONDS - begun)) -le 12 ] || fail "a limit of 3 s took $((SECONDS - begun)) s"
expect_stdout '^note: '

claim "a peer that does not answer at all is one that has published nothing"
peers 3
rm "$work/peer-0/most" && chmod -x "$work/fake"
waits 1
expect_stdout '^note: '

claim "the demo waits so, for at most 120 s"
grep -qE '^deploy/await_replays.sh "\$starling" "\$job" 120 \$honest$' deploy/demo.sh
