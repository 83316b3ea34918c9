#!/usr/bin/env bash
# A unit that reads 1 % of a large input makes a peer that keeps no copy of it fetch about 1 %.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

mebibyte=1048576 size=$((64 * 1048576)) part=671088 # 1 %
dev_swarm 6
head -c $size /dev/urandom >"$work/big"
expected=$(python3 -c 'import sys; data = open(sys.argv[1], "rb").read()[33554432:33554432 + int(sys.argv[2])]; print(len(data), sum(data))' "$work/big" $part)

on_disk() { du -s --block-size=1 "$(folder_of "$1")/blobs" | cut -f 1; }
declare -A received_before disk_before
for peer in 0 1 2 3 4 5; do
  received_before[$peer]=$(status $peer bytes_received)
  disk_before[$peer]=$(on_disk $peer)
done

claim "60 units that read 1 % of 64 MiB finish on six peers, with the right bytes"
job=$(at 0 submit "$(guest read_some)" --input "big=$work/big" --array 1-60 --arg /in/big --arg 33554432 --arg $part --output quiet 2>>"$work/notes")
await_job 0 "$job"
expect_exit 0 at 0 results "$job" -o "$work/out"
for ((i = 0; i < 60; ++i)); do expect_equal "$(cat "$work/out/$(printf %06d $i).stdout")" "$expected" "bytes read and their sum, item $i"; done

claim "peers that keep no copy fetched 1 %, and have no more on disk"
within 60 inputs_held_by 0 "$job" 3
lean=0
for peer in 1 2 3 4 5; do
  received=$(($(status $peer bytes_received) - received_before[$peer]))
  disk=$(($(on_disk $peer) - disk_before[$peer]))
  note "peer $peer: $(job $peer "$job" own_results) units, received $((received / 1024)) KiB, $((disk / 1024)) KiB more on disk"
  [ $disk -lt $((size / 2)) ] || continue # a keeper
  [ "$(job $peer "$job" own_results)" -gt 0 ] || continue
  lean=$((lean + 1))
  [ $received -ge $part ] || fail "peer $peer ran units and received less than the 1 % that they read"
  [ $received -lt $((3 * mebibyte / 2)) ] || fail "peer $peer received $received bytes for units that read $part"
  [ $disk -lt $((3 * mebibyte / 2)) ] || fail "peer $peer has $disk bytes more on disk for units that read $part"
done
[ $lean -ge 1 ] || fail "every peer that ran units holds the whole input: nothing was measured"
