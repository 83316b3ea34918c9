# Verbs of the integration scripts, which source this file with the build tree as their first argument.
#
# A peer is named by its state folder below $work: `at lab worker status`. A number is a peer of the development swarm that
# `dev_swarm` started. `expect_*` end the script at the first thing that does not hold and show the command that showed it.
# shellcheck shell=bash

[ -n "${STARLING_INSIDE:-}" ] || exec deploy/root.sh env STARLING_INSIDE=1 "$0" "$@"
set -Eeuo pipefail
shopt -s inherit_errexit

tree=$(realpath "${1:?usage: $0 build/PRESET}")
starling=$tree/starling
work=$(mktemp -d)
unset STARLING_STATE
export XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/xdg
[ -z "${STARLING_CACHE:-}" ] || export XDG_CACHE_HOME=$STARLING_CACHE/xdg # native code of guests, shared by all scripts
helpers=()                                                                  # pids of background processes that are no workers

clean_up() {
  local status=$? folder
  trap - EXIT ERR
  trap '' PIPE INT TERM # whoever read our output may be gone; the workers must not stay
  set +e
  for pid in "${helpers[@]}"; do kill -9 "$pid" 2>/dev/null; done
  find "$work" -name worker.pid -printf '%h\n' | while read -r folder; do
    kill_folder "$folder"
    [ $status -eq 0 ] || { echo "-- end of $folder/worker.log"; tail -n 15 "$folder/worker.log"; }
  done
  while mountpoint -q "$work/disk" 2>/dev/null; do umount -l "$work/disk" || break; done
  if [ -n "${STARLING_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
  [ $status -eq 0 ] && echo "ok: $(basename "$0" .sh), $SECONDS s"
  exit $status
}
trap clean_up EXIT
trap 'exit 143' INT TERM
# The line of the script itself: what it called stands below it. Not on stdout: that may be a substitution's.
script_line() { echo "${BASH_SOURCE[-1]}:${BASH_LINENO[${#BASH_LINENO[@]} - 2]}"; }
trap 'echo "FAILED at ${BASH_SOURCE[-1]}, line $LINENO: $BASH_COMMAND" >&2' ERR

claim() { printf -- '-- %s\n' "$*"; }
note() { printf -- '   %s\n' "$*"; }
fail() {
  trap - ERR
  printf 'FAILED at %s: %s\n' "$(script_line)" "$*" >&2
  exit 1
}

folder_of() { case $1 in [0-9]*) echo "$work/swarm/dev/peer-$1" ;; *) echo "$work/$1" ;; esac; }

# at PEER WORD...: a command of starling for this peer
at() { "$starling" --state "$(folder_of "$1")" "${@:2}"; }

# --- processes
start_worker() { at "$1" worker start --slots 1 --output quiet "${@:2}" >/dev/null; }
pid_in() { cut -d ' ' -f 1 "$1/worker.pid" 2>/dev/null || true; }
pid_of() { pid_in "$(folder_of "$1")"; }
ticket() { at "$1" swarm invite --output quiet; }
dev_swarm() { "$starling" --state "$work/swarm" dev up -n "$@" --output quiet >/dev/null; }
is_worker_of() { [ -n "$1" ] && { tr '\0' ' ' <"/proc/$1/cmdline" | grep -qF -e "--state $2 "; } 2>/dev/null; }
kill_folder() { # the worker that serves this state folder, if one does; never another process that got its number
  local pid
  pid=$(pid_in "$1")
  is_worker_of "$pid" "$1" || return 0
  kill -9 "$pid"
  while is_worker_of "$pid" "$1"; do sleep 0.02; done
}
kill_peer() { kill_folder "$(folder_of "$1")"; }

# --- jobs
guest() { echo "$tree/guests/$1.wasm"; }
# submit_squares PEER COUNT [OPTION...]: prints the job; --arg N makes each unit about N x 1.5 ms long
submit_squares() { at "$1" submit "$(guest square)" --array "1-$2" --output quiet "${@:3}" 2>>"$work/notes"; }
# job PEER JOB NAME...: fields of `job info`, on one line
job() {
  at "$1" job info "$2" --output json |
    python3 -c 'import json, sys; job = json.load(sys.stdin)["job"]; print(*[job[k] if not isinstance(job[k], list) else " ".join(job[k]) for k in sys.argv[1:]])' "${@:3}"
}
# status PEER NAME: a field of `worker status`
status() { at "$1" worker status --output json | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }
# swarm_peers bad|honest: the numbers of the development swarm's peers of that sort
swarm_peers() {
  python3 -c 'import json, sys; print(*[p["index"] for p in json.load(open(sys.argv[1]))["peers"] if p["bad"] == (sys.argv[2] == "bad")])' "$work/swarm/dev/dev.json" "$1"
}
id_of() { at "$1" worker status --output quiet; }
await_job() { expect_exit 0 at "$1" job wait "$2" --timeout "${3:-120s}"; }
expect_squares() { # PEER JOB COUNT: fetches the results through this peer and checks every one
  local to=$work/results-$RANDOM i
  expect_exit 0 at "$1" results "$2" -o "$to"
  for ((i = 0; i < $3; ++i)); do
    [ "$(cat "$to/$(printf %06d "$i").stdout")" = $(((i + 1) * (i + 1))) ] || fail "item $i of $to is wrong: $(cat "$to/$(printf %06d "$i").stdout")"
  done
  rm -rf "$to"
}
tell_executions() { # PEER JOB: for people who read the log
  local executions units
  read -r executions units <<<"$(job "$1" "$2" executions units)"
  note "$units units, $executions executions: $(python3 -c "print('%.2f' % ($executions / $units))") per unit"
}

# --- expectations
# expect_exit CODE[,CODE...] CMD...: what it printed is kept for expect_stderr and expect_stdout
expect_exit() {
  local code=0
  last_command="${*:2}"
  "${@:2}" >"$work/stdout" 2>"$work/stderr" || code=$?
  case ,$1, in *,$code,*) ;; *) fail "exit $code instead of $1: $last_command"$'\n'"$(head -c 2000 "$work/stdout" "$work/stderr")" ;; esac
}
# expect_error CODE REGEX CMD...: beside notes and progress exactly one line, "starling: what happened; what to do next"
expect_error() {
  expect_exit "$1" "${@:3}"
  grep -vE -e '^(splitting|merging|fetching results): ' -e '^[a-z2-7]{8} \[[#.]+\] ' "$work/stderr" >"$work/errors" || true
  [ "$(wc -l <"$work/errors")" = 1 ] || fail "not one line of error: $last_command"$'\n'"$(cat "$work/stderr")"
  grep -qE '^starling: .+; .+' "$work/errors" || fail "no 'what happened; what to do next': $last_command"$'\n'"$(cat "$work/errors")"
  grep -qE -e "$2" "$work/errors" || fail "no /$2/ in the error of: $last_command"$'\n'"$(cat "$work/errors")"
  note "exit $1: $(cut -c 1-180 "$work/errors")"
}
expect_stdout() { grep -qE -e "$1" "$work/stdout" || fail "no /$1/ on stdout of: $last_command"$'\n'"$(head -c 2000 "$work/stdout")"; }
expect_equal() { [ "$1" = "$2" ] || fail "${3:-values differ}: '$1' is not '$2'"; }
# within SECONDS CMD...: becomes true in that time
within() {
  local deadline=$((SECONDS + $1))
  until "${@:2}" 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || fail "not within $1 s: ${*:2}"
    sleep 0.1
  done
}
accepted_at_least() { [ "$(job "$1" "$2" accepted)" -ge "$3" ]; }
executed_at_least() { [ "$(job "$1" "$2" executions)" -ge "$3" ]; }
inputs_held_by() { [ "$(job "$1" "$2" input_holders)" -ge "$3" ]; }
is_banned_at() { case " $(job "$1" "$2" banned) " in *" $3 "*) ;; *) return 1 ;; esac; }
linked_to() { [ "$(status "$1" links)" -ge "$2" ]; }
