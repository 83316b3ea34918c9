// Programs written for wasi-libc, libc++ and Rust's std, compiled by Debian's toolchains and run unmodified on both tiers.
#include <doctest/doctest.h>

#ifdef STARLING_HAS_EXECUTOR

#include "tests/support/executor_bench.hpp"

using namespace starling;
using namespace starling::execution;
using testing::ExecutorBench;

namespace {

// The whole output on both tiers, which must be the same bytes.
std::string run_everywhere(const std::string& program, std::vector<std::string> arguments = {}) {
  static ExecutorBench bench;
  auto request = ExecutorBench::request(program, std::move(arguments));
  request.unit = 7;
  request.items[0] = base::copy(base::view("the item\n"));
  request.in_files_in_memory = {{"data.txt", base::copy(base::view("to be or not to be\n"))}};
  const auto compiled = bench.run(request);
  CHECK_MESSAGE(compiled.kind == OutcomeKind::ok, compiled.stderr_tail);
  CHECK(compiled.tier == Tier::aot);
  request.tier = Tier::interpreter;
  CHECK(bench.run(request).archive == compiled.archive);
  return testing::output_of(compiled);
}

}  // namespace

TEST_CASE("programs: C with wasi-libc") {
  CHECK(run_everywhere("libc_tour") == R"(-3 0 5 7 12 | 3.142 1e-07 1.234568e+05 0x1p-1      -2.50|42      |+0017|ff -9000000000
0.10000000000000001 inf 127
2 12 4.50
2020-01-01 12:00:00 0
over a file: ok
/out/b: 5 <first>
over a full directory: Directory not empty
over an empty one: ok
into itself: Invalid argument
a file over a directory: Is a directory
to /tmp: Cross-device link
rmdir: Directory not empty, unlink of a directory: Is a directory
remove: ok
rmdir: ok
symlink: ok, again: File exists, absolute: Capabilities insufficient
readlink 1 b
/out/s: 5 <first>
lstat link 1 size 1
stat file 1 size 5
link: ok
links 2
loop: Symbolic link loop
out of the sandbox: Capabilities insufficient
p 67 at 8
negative: Invalid argument
truncated 5, exclusive: File exists
futimens: ok
times 1000 2000
/in: Read-only file system
/out/p: 10 <012AB+tail>
write to a directory: Is a directory
closed: Bad file descriptor
seen 300 removed 100 left 200
b hard loop p s
b: 5 <first>
/in/data.txt: 19 <to be or not to be
>
)");
}

TEST_CASE("programs: C++ with libc++") {
  CHECK(run_everywhere("libcxx_tour") == R"(be=2 not=1 or=1 to=2 | 19 0 327741615
3.1416 2.7183e+00 ff
   right|left  |+1.50|0x2a
. .. alpha mid zeta mid in deep
11 <the item>
)");
}

// The order of a hash set comes from the item's seed.
TEST_CASE("programs: Rust with std") {
  CHECK(run_everywhere("rust_tour", {"one", "two"}) == R"(["program", "one", "two"] Ok("7")
{"be": 2, "not": 1, "or": 1, "to": 2}
order [11, 1, 0, 2, 8, 17, 15, 13, 19, 12, 7, 10, 5, 14, 16, 3, 9, 4, 18, 6]
slept 1500 ms
since 1970: 1577836801 s
"hello from RUS" "hello from RUS"
16 bytes
["a", "hard.txt", "moved.txt"]
Err(DirectoryNotEmpty) Some(ReadOnlyFilesystem)
Some(NotFound) Some(NotFound)
false
stdin "the item" sum 5.187 true
)");
}

#endif
