#!/usr/bin/env bash
# The corpus on arm64, compared row by row with this machine's: WasmEdge's arm64 build, its native code included, under qemu-user.
#
#   tests/cross-arch.sh [--preset dev|release] [--seeds N] [--no-write]     N random modules (default 200); by hand or nightly
#
# The programs are cross-compiled with clang against an arm64 Debian 13 tree that mmdebstrap unpacks (never entered, so the
# host needs no binfmt), and run by Debian's static qemu-aarch64. Both lie in the cache beside the root of deploy/root.sh.
# The table goes into docs/determinism.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${STARLING_CACHE:-/var/cache/starling}
suite=trixie
libraries=libwasmedge-dev,libssl-dev,libc6-dev,libstdc++-14-dev,libgcc-14-dev

preset=dev seeds=200 write=yes
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=$2; shift 2 ;;
    --seeds) seeds=$2; shift 2 ;;
    --no-write) write=no; shift ;;
    *) echo "tests/cross-arch.sh: unknown argument '$1'; see the head of this file" >&2; exit 2 ;;
  esac
done

key=$(echo "$suite $libraries" | sha256sum | cut -c1-16)
tree=$cache/arm64-$key
if [ ! -e "$tree/.ready" ]; then
  deploy/root.sh true # installs mmdebstrap where it is missing
  rm -rf "$tree.partial"
  mkdir -p "$tree.partial"
  echo "cross-arch: unpacking an arm64 Debian 13 tree and qemu (once, 20 s)" >&2
  mmdebstrap --quiet --mode=root --variant=extract --arch=arm64 --include="$libraries" "$suite" "$tree.partial/root" 2>/dev/null
  mmdebstrap --quiet --mode=root --variant=extract --include=qemu-user "$suite" "$tree.partial/qemu" 2>/dev/null
  [ -e "$tree.partial/root/lib" ] || ln -s usr/lib "$tree.partial/root/lib" # base-files would have made it
  mv "$tree.partial/qemu/usr/bin/qemu-aarch64" "$tree.partial/qemu-aarch64"
  rm -rf "$tree.partial/qemu"
  touch "$tree.partial/.ready"
  mv "$tree.partial" "$tree"
fi

deploy/root.sh cmake --build --preset "$preset" --target same_bytes same_bytes_node all_guests | tail -n 1
deploy/root.sh bash -s "$tree" "build/$preset" "build/arm64" "$seeds" <<'INSIDE'
set -euo pipefail
arm=$1 tree=$2 out=$3 seeds=$4
mkdir -p "$out"
sources=$(ls tests/same_bytes/{main,cases,corpus,engine,host}.cpp tests/support/*.cpp worker/execution/wasi/*.cpp \
  worker/execution/instrument/*.cpp worker/execution/{item_host,fingerprint}.cpp coordinator-less/base/*.cpp coordinator-less/crypto/digest.cpp)
compile=(clang++-19 --target=aarch64-linux-gnu --sysroot="$arm/root" -std=c++23 -O1 -g1 -I.)
export arm out
one() { # SOURCE COMMAND...
  local object
  object=$out/$(tr / _ <<<"$1").o
  [ "$object" -nt "$1" ] && [ -z "$(find . -path ./build -prune -o -name '*.hpp' -newer "$object" -print -quit)" ] || "${@:2}" -c "$1" -o "$object"
}
export -f one
printf '%s\n' $sources | xargs -P "$(nproc)" -I{} bash -c 'one "$@"' _ {} "${compile[@]}"
"${compile[@]}" -fuse-ld=lld $(printf '%s\n' $sources | tr / _ | sed "s|^|$out/|; s|$|.o|") -L"$arm/root/usr/lib/aarch64-linux-gnu" -lwasmedge -lcrypto -lpthread -o "$out/same_bytes"
SAME_BYTES_ROWS=$out/here tests/integration/same_bytes.sh "$tree" "$seeds" >"$out/here.table" || cat "$out/here.table"
"$arm/qemu-aarch64" -L "$arm/root" "$out/same_bytes" rows --to "$out/programs" --seeds 0 "$seeds" --guests "$tree/guests" |
  awk '$2 != "instrumenter" {$2 = "arm64-" $2} {print}' >"$out/there" # a refusal is no tier's
rm -rf "$out/programs"
status=0
"$tree/tests/same_bytes_run" compare "$out/here" "$out/there" >"$out/table" || status=$?
cat "$out/table"
exit $status
INSIDE
status=$?
if [ "$write" = yes ]; then
  version=$(sed -n 's/.*instrumenter_version = \([0-9]*\);.*/\1/p' worker/execution/instrument/instrument.hpp)
  { echo "$(date -u +%Y-%m-%d), x86-64 and arm64 under qemu-user, version $version of the instrumenter, $seeds random modules:"; echo; cat build/arm64/table; } >build/arm64/page
  sed -i -e '/<!-- begin last run -->/r build/arm64/page' -e '/<!-- begin last run -->/,/<!-- end last run -->/{/<!-- /!d}' docs/determinism.md
fi
exit $status
