// Items that end with exit code 85 and go on from what they left: count_task on the real executor.
#include <doctest/doctest.h>

#include <fstream>

#include "worker/execution/checkpoint_store.hpp"

using namespace starling;
using namespace starling::execution;

#ifdef STARLING_HAS_EXECUTOR

#include <signal.h>

#include <thread>

#include "tests/support/executor_bench.hpp"

using testing::ExecutorBench;

namespace {

StoredCheckpoint checkpoint(std::uint32_t round, std::string_view text) { return {round, 7, 9, base::copy(base::view(text))}; }

}  // namespace

TEST_CASE("checkpoint: store keeps the latest, drops what is damaged, forgets, and stays within its quota") {
  const testing::ScratchFolder folder;
  CheckpointStore store(folder.path(), 400);
  base::Digest a, b;
  b.bytes[0] = std::byte{1};
  CHECK(store.load(a, 0, 100).round == 0);
  store.save(a, 0, checkpoint(1, "one"));
  store.save(a, 0, checkpoint(2, "two"));
  store.save(a, 3, checkpoint(9, "three"));
  CHECK(base::text(store.load(a, 0, 100).bytes) == "two");
  CHECK(store.load(a, 3, 100).round == 9);
  CHECK(store.load(a, 3, 9).round == 0);  // beyond the rounds that are allowed now
  CHECK(store.load(b, 0, 100).round == 0);
  std::fstream(folder.path() / a.hex() / "3", std::ios::in | std::ios::out | std::ios::binary).put('\7');
  CHECK(store.load(a, 3, 100).round == 0);
  std::filesystem::resize_file(folder.path() / a.hex() / "0", 20);
  CHECK(store.load(a, 0, 100).round == 0);
  store.forget(a);
  for (std::uint32_t i = 0; i < 20; ++i) store.save(b, i, checkpoint(1, "some text"));
  std::uint64_t bytes = 0, files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / b.hex())) bytes += entry.file_size(), ++files;
  CHECK(bytes <= 400);
  CHECK(files >= 5);
  CHECK(!std::filesystem::exists(folder.path() / a.hex()));
}

TEST_CASE("checkpoint: rounds give one result, the last one's, equal on both tiers and in C and C++") {
  ExecutorBench bench;
  auto request = ExecutorBench::request("count_task", {"10", "3"});
  request.items.resize(3);
  request.rounds_max = 100;
  const auto compiled = bench.run(request);
  REQUIRE(compiled.kind == OutcomeKind::ok);
  CHECK(testing::output_of(compiled, 2).starts_with("round 3 of item 2: 10 of 10, sum "));
  CHECK(testing::output_of(compiled, 0) != testing::output_of(compiled, 1));
  const auto archive = parse_archive(compiled.archive);
  CHECK(archive->items[0].files.empty());  // the last round leaves no checkpoint
  CHECK(compiled.stderr_tail == "starling:progress 10/10\n");

  request.tier = Tier::interpreter;
  CHECK(bench.run(request).archive == compiled.archive);
  request.tier = Tier::aot;
  request.threads = 2;
  CHECK(bench.run(request).archive == compiled.archive);
  auto cxx = ExecutorBench::request("count_task_cxx", {"10", "3"});
  cxx.items.resize(3);
  cxx.rounds_max = 100;
  CHECK(bench.run(cxx).archive == compiled.archive);
}

TEST_CASE("checkpoint: without rounds, or with too few, exit code 85 stands, with the checkpoint as output") {
  ExecutorBench bench;
  auto request = ExecutorBench::request("count_task", {"10", "3"});
  for (const std::uint32_t rounds : {0U, 1U, 2U}) {
    request.rounds_max = rounds;
    const auto end = bench.run(request);
    CHECK(end.kind == OutcomeKind::exit_code);
    CHECK(end.code == 85);
    const auto archive = parse_archive(end.archive);
    REQUIRE(archive->items[0].files.size() == 1);
    CHECK(archive->items[0].files[0].path == "checkpoint");
    CHECK(base::text(archive->items[0].files[0].bytes).starts_with(rounds == 2 ? "6 " : "3 "));
  }
  auto no_file = ExecutorBench::request("misbehave", {"exit", "85"});
  no_file.rounds_max = 10;
  CHECK(bench.run(no_file).code == 85);
}

TEST_CASE("checkpoint: a killed executor loses one round, and the result is the same") {
  const testing::ScratchFolder folder;
  auto request = ExecutorBench::request("count_task", {"60", "1", "10"});
  request.rounds_max = 100;
  const auto reference = [&] {
    ExecutorBench bench;
    return bench.run(request);
  }();
  REQUIRE(reference.kind == OutcomeKind::ok);
  const auto round_on_disk = [&]() -> std::string {
    std::ifstream in(testing::kept_checkpoint(folder.path()), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(in), {});
    return bytes.size() > 20 ? bytes.substr(20, bytes.find(' ', 20) - 20) : "";
  };
  {
    ExecutorBench bench(folder.path());
    auto running = bench.begin(1, request);
    while (round_on_disk().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (const pid_t pid : bench.pool->status().executors) ::kill(pid, SIGKILL);
    REQUIRE(std::holds_alternative<Released>(running.get()));
  }
  const std::string kept = round_on_disk();
  REQUIRE(!kept.empty());
  ExecutorBench other(folder.path());  // the worker was started again
  auto moved = request;
  moved.tier = Tier::interpreter;
  moved.arguments = {"61", "1", "0"};  // another unit: never the checkpoint of the first
  CHECK(testing::output_of(other.run(moved)).starts_with("round 60 of"));
  const auto resumed = other.run(request);
  CHECK(resumed.archive == reference.archive);
  CHECK(round_on_disk().empty());  // a finished unit leaves nothing
}

TEST_CASE("checkpoint: what was kept is really what an item goes on from") {
  const testing::ScratchFolder folder;
  auto request = ExecutorBench::request("count_task", {"40", "1", "10"});
  request.rounds_max = 100;
  ExecutorBench bench(folder.path());
  auto running = bench.begin(1, request);
  std::filesystem::path file;
  while (file.empty()) {
    file = testing::kept_checkpoint(folder.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  bench.pool->cancel(1);
  REQUIRE(std::holds_alternative<Released>(running.get()));
  const auto name = base::from_hex(file.parent_path().filename().string());
  REQUIRE(name);
  const auto unit = base::Digest::from(*name);
  CheckpointStore(folder.path(), 1 << 20).save(*unit, 0, {39, 1'000'000'000, 5, base::copy(base::view("39 5 99 1\n"))});
  CHECK(testing::output_of(bench.run(request)).starts_with("round 99 of item 0: 40 of 40, sum "));
}

#endif
