#!/usr/bin/env bash
# Waits until each honest peer of the demo has published three replays, or for LIMIT seconds of the clock.
#
#   deploy/await_replays.sh STARLING JOB LIMIT STATE...     one state folder for each honest peer
#
# Prints what each has published, and a note when it gives up. Its exit code is 0 either way: the judge decides what it is worth.
set -euo pipefail
starling=$1 job=$2 limit=$3
shift 3
wanted=3

published() { # a peer that does not answer in time has published nothing that we know of
  timeout 5 "$starling" --state "$1" job info "$job" --output json 2>/dev/null | grep -o '"own_replays":[0-9]*' | head -n 1 | cut -d : -f 2 || true
}
all_have() {
  local state count
  for state in "$@"; do
    count=$(published "$state")
    [ "${count:-0}" -ge $wanted ] || return 1
  done
}

begun=$SECONDS
until all_have "$@"; do
  if [ $((SECONDS - begun)) -ge "$limit" ]; then
    echo "note: not every honest peer has published $wanted replays after $limit s; the evidence is exported as it is"
    break
  fi
  sleep 0.5
done
for state in "$@"; do echo "$(basename "$state"): $(published "$state") replays published"; done
