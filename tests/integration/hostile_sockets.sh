#!/usr/bin/env bash
# Hostile bytes on the TCP port and on the UNIX socket: the worker stays up and small, and a job still finishes.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

start_worker one --new private
start_worker two --join "$(ticket one)"
within 10 linked_to one 1
pid=$(pid_of one) port=$(status one port) socket=$work/one/worker.sock
resident_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"; }
peak_kib() { awk '/^VmHWM/ { print $2 }' "/proc/$pid/status"; }
stays_small() { # the bound is generous: what is checked is that it does not grow with what strangers send
  local peak
  peak=$(peak_kib)
  [ "$peak" -lt $((before_kib + 128 * 1024)) ] || fail "memory grew from $before_kib to $peak KiB"
  note "memory: $before_kib KiB before, $peak KiB at most, $(resident_kib) KiB now"
}
before_kib=$(resident_kib)

# strangers KIND COUNT: connections of that kind to the worker, from one seed
cat >"$work/strangers.py" <<'PY'
import os, random, socket, struct, sys, time
kind, count, port, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = random.Random(kind)
greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01"
null, curve = b"NULL" + bytes(16), b"CURVE" + bytes(15)
def connect(local):
    s = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
    if not local: s.settimeout(2)
    s.connect(path if local else ("127.0.0.1", port))  # a local one waits its turn
    s.settimeout(2)
    return s
def push(s, data):
    try: s.sendall(data)
    except OSError: pass
held, connected = [], 0
for i in range(count):
    try: s = connect(kind.startswith("local"))
    except OSError: continue
    connected += 1
    if kind in ("random", "local-random"): push(s, rng.randbytes(rng.choice([1, 7, 64, 4096, 200000])))
    elif kind in ("half-open", "local-half-open"): held.append(s); continue
    elif kind == "one-byte": push(s, b"\xff"); held.append(s); continue
    elif kind == "null-mechanism": push(s, greeting + null + bytes(32) + b"\x04\x19\x05READY" + bytes(18))
    elif kind == "curve-garbage": push(s, greeting + curve + bytes(32) + b"\x04\xc8\x05HELLO" + rng.randbytes(194))
    elif kind == "curve-huge-frame": push(s, greeting + curve + bytes(32) + b"\x06" + struct.pack(">Q", 1 << 62) + rng.randbytes(65536))
    elif kind == "local-huge-length": push(s, b"\xff" * 64 + rng.randbytes(1000))
    elif kind == "local-slow": push(s, bytes(3)); held.append(s); continue
    elif kind == "local-stream":
        for _ in range(64): push(s, rng.randbytes(1 << 20))
    s.close()
print(connected, flush=True)
if held and len(sys.argv) > 5: time.sleep(float(sys.argv[5]))
PY
strangers() {
  local connected
  connected=$(python3 "$work/strangers.py" "$1" "$2" "$port" "$socket")
  [ "$connected" -ge $(($2 / 2)) ] || fail "only $connected of $2 strangers could connect: nothing was tried"
}
strangers_stay() { # KIND COUNT SECONDS
  python3 "$work/strangers.py" "$1" "$2" "$port" "$socket" "$3" >"$work/connected" &
  helpers+=($!)
  disown
  within 20 test -s "$work/connected"
}

for kind in random one-byte null-mechanism curve-garbage curve-huge-frame half-open; do
  claim "TCP, 200 connections: $kind"
  strangers $kind 200
  expect_exit 0 at one worker status
  stays_small
done

for kind in local-random local-huge-length local-slow local-half-open; do
  claim "UNIX socket, 100 connections: $kind"
  strangers $kind 100
  within 10 at one worker status >/dev/null
  stays_small
done
claim "UNIX socket, 8 connections with 64 MiB of noise each"
strangers local-stream 8
within 10 at one worker status >/dev/null
stays_small

claim "while somebody holds every place at the UNIX socket with requests that it never ends, commands say so, for 10 s at most"
strangers_stay local-slow 40 120
expect_error 75 'worker' at one worker status
within 20 at one job list >/dev/null
kill -0 "${helpers[-1]}" || fail "the strangers have left: nothing was shown"

claim "while 200 strangers hold half-open connections, a job finishes and the link stays"
strangers_stay half-open 200 60
job=$(submit_squares one 20 --arg 2)
await_job one "$job" 60s
expect_squares two "$job" 20
expect_equal "$(status one links)" 1 "links"
expect_equal "$(pid_of one)" "$pid" "the worker's process"
stays_small

claim "the strangers changed nothing: no peer was learnt, the state folder starts again"
expect_equal "$(at one swarm peers --output quiet | wc -l)" 1 "known peers"
expect_exit 0 at one worker stop
expect_exit 0 at one worker start --slots 1
expect_squares one "$job" 20
