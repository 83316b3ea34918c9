#include "worker/execution/segment.hpp"

#include <doctest/doctest.h>

#include <thread>

using namespace starling;
using namespace starling::execution;

namespace {

ArchiveItem ended(std::string_view text) { return {OutcomeKind::ok, 0, base::view(text), {}}; }
ArchiveItem left(std::string_view state) { return {OutcomeKind::checkpoint, checkpoint_exit_code, {}, {{checkpoint_name, base::view(state)}}, 40, 70}; }

}  // namespace

TEST_CASE("segment: an archive with checkpoints is canonical, and says nothing but what the next segment needs") {
  const auto bytes = write_archive({{ended("a"), left("state")}});
  const auto back = parse_archive(bytes);
  REQUIRE(back);
  CHECK(back->items[1].fuel == 40);
  CHECK(back->items[1].clock_ns == 70);
  CHECK(write_archive(*back) == bytes);
  CHECK(worst_of(*back) == std::pair{OutcomeKind::checkpoint, checkpoint_exit_code});
  CHECK(worst_of({{left("x"), {OutcomeKind::output_limit, 0, {}, {}}}}).first == OutcomeKind::checkpoint);  // the unit goes on
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(parse_archive(base::ByteView(bytes).first(size)));
  auto other = bytes;
  const auto name = base::text(other).find(checkpoint_name);
  REQUIRE(name != std::string::npos);
  other[name] = std::byte{'x'};
  CHECK_FALSE(parse_archive(other));
}

TEST_CASE("segment: items that ended are copied, those that run are the executor's, the output limit holds for all in order") {
  const auto bytes = write_archive({{ended("first"), left("old"), ended("third")}});
  const auto start = segment_start(bytes, 3);
  REQUIRE(start);
  CHECK_FALSE(start->runs(0));
  CHECK(start->runs(1));
  CHECK(start->fuel() == 40);
  const Archive ran{{{}, ended("second"), {}}};
  const Archive all = joined(*start, ran, 100);
  CHECK(base::text(all.items[0].standard_output) == "first");
  CHECK(base::text(all.items[1].standard_output) == "second");
  CHECK(base::text(all.items[2].standard_output) == "third");
  const Archive tight = joined(*start, ran, 12);  // first 5, second 6, no room for the third
  CHECK(tight.items[1].kind == OutcomeKind::ok);
  CHECK(tight.items[2].kind == OutcomeKind::output_limit);
  CHECK_FALSE(segment_start(bytes, 2));
  CHECK_FALSE(segment_start(write_archive({{ended("a")}}), 1));  // nothing goes on
  CHECK_FALSE(segment_start({}, 0));
}

#ifdef STARLING_HAS_EXECUTOR

#include "tests/support/executor_bench.hpp"

using testing::ExecutorBench;

namespace {

constexpr std::uint32_t rounds_in_all = 12;

struct Chain {
  UnitOutcome last;
  std::uint64_t fuel = 0;
  int segments = 0;
};

// Goes through the segments of `each` rounds, every one in an executor that knows the archive before and nothing else.
Chain run_chain(ExecutorBench& bench, UnitRequest request, std::uint32_t each, std::vector<Tier> tiers) {
  Chain chain;
  request.segment.emplace();
  for (std::uint32_t first = 0; first < rounds_in_all; first += each) {
    request.tier = tiers[static_cast<std::size_t>(chain.segments) % tiers.size()];
    request.rounds_max = std::min(rounds_in_all, first + each);
    request.segment->first_round = first;
    request.segment->last = request.rounds_max == rounds_in_all;
    request.segment->archive = chain.last.archive;
    chain.last = bench.run(request);
    chain.fuel += chain.last.fuel;
    ++chain.segments;
    if (chain.last.kind != OutcomeKind::checkpoint) break;
  }
  return chain;
}

}  // namespace

TEST_CASE("segment: a chain of them gives the archive and the fuel of the unit in one piece, on any mix of tiers") {
  ExecutorBench bench;
  auto request = ExecutorBench::request("count_task", {"4", "2", "0", "i"});  // items of 2, 3, 4 and 5 rounds
  request.items.resize(4);
  request.rounds_max = rounds_in_all;
  const auto whole = bench.run(request);
  REQUIRE(whole.kind == OutcomeKind::ok);
  for (const auto& [each, segments] : {std::pair{1U, 5}, {2U, 3}, {5U, 1}}) {
    CAPTURE(each);
    const Chain chain = run_chain(bench, request, each, {Tier::aot});
    CHECK(chain.segments == segments);
    CHECK(chain.last.archive == whole.archive);
    CHECK(chain.fuel == whole.fuel);
  }
  request.threads = 2;
  CHECK(run_chain(bench, request, 1, {Tier::interpreter, Tier::aot}).last.archive == whole.archive);
}

TEST_CASE("segment: each segment's archive is the same on both tiers; a forged checkpoint gives another answer") {
  ExecutorBench bench;
  auto request = ExecutorBench::request("count_task", {"9", "3"});
  request.rounds_max = 1;
  request.segment.emplace();
  const auto first = bench.run(request);
  REQUIRE(first.kind == OutcomeKind::checkpoint);
  CHECK(first.code == 85);
  request.tier = Tier::interpreter;
  CHECK(bench.run(request).archive == first.archive);

  request.rounds_max = 2;
  request.segment->first_round = 1;
  request.segment->archive = first.archive;
  const auto second = bench.run(request);
  CHECK(second.kind == OutcomeKind::checkpoint);
  Archive forged = *parse_archive(first.archive);
  forged.items[0].files[0].bytes = base::view("3 12345 1 1\n");
  request.segment->archive = write_archive(forged);
  CHECK(bench.run(request).archive != second.archive);
  request.segment->archive = base::copy(base::view("no archive"));
  CHECK(std::holds_alternative<Released>(bench.begin(1, request).get()));
}

TEST_CASE("segment: in the last one exit code 85 is the failure that it always was") {
  ExecutorBench bench;
  auto request = ExecutorBench::request("count_task", {"100", "1"});
  request.rounds_max = rounds_in_all;
  const auto whole = bench.run(request);
  CHECK(whole.kind == OutcomeKind::exit_code);
  const Chain chain = run_chain(bench, request, 4, {Tier::aot});
  CHECK(chain.segments == 3);
  CHECK(chain.last.kind == OutcomeKind::exit_code);
  CHECK(chain.last.archive == whole.archive);
}

TEST_CASE("segment: this machine's own checkpoint inside one saves its rounds, and belongs to that segment alone") {
  const testing::ScratchFolder folder;
  ExecutorBench bench(folder.path());
  auto request = ExecutorBench::request("count_task", {"40", "1", "10"});
  request.segment.emplace();
  request.rounds_max = 2;
  const auto first = bench.run(request);
  REQUIRE(first.kind == OutcomeKind::checkpoint);
  request.segment->archive = first.archive;
  request.segment->first_round = 2;
  request.rounds_max = 39;
  const auto kept = [&] { return !testing::kept_checkpoint(folder.path()).empty(); };
  auto running = bench.begin(1, request);
  while (!kept()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  bench.pool->cancel(1);
  REQUIRE(std::holds_alternative<Released>(running.get()));
  const auto resumed = bench.run(request);
  CHECK(resumed.rounds_saved > 2);
  ExecutorBench other;
  const auto whole = other.run(request);
  CHECK(whole.rounds_saved == 0);
  CHECK(resumed.archive == whole.archive);
  CHECK(resumed.fuel == whole.fuel);
}

#endif
