#include "coordinator-less/runtime/unit_starter.hpp"

#include "coordinator-less/base/limits.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

class NoInputs final : public UnitInputs {
 public:
  base::Expected<int> open(const base::JobId&, const protocol::BlobRef&) override { return base::fail(base::ErrorCode::not_found, "none"); }
  bool whole(const Digest&) override { return false; }
  base::Expected<void> ensure(const base::JobId&, const protocol::BlobRef&, std::uint64_t, std::uint64_t) override { return {}; }
};

// A starter whose executor runs `function`; every work it got is kept.
struct Bench {
  explicit Bench(FakeExecutor::Function function, std::uint64_t quota_bytes = 64ULL << 20)
      : blobs(*storage::BlobStore::open(folder / "blobs", quota_bytes, crypto::sha256)),
        executor([this, function](const UnitWork& work, UnitInputs& reader, const FakeExecutor::Stopped& stopped) {
          {
            const std::lock_guard lock(mutex);
            works.push_back(work);
          }
          return function(work, reader, stopped);
        }) {
    executor.attach(inputs);
    REQUIRE(blobs->put(job.program));
    REQUIRE(blobs->put(job.units));
  }

  UnitStarter::Ended next_end() {
    auto events = inbox->take(1, std::nullopt);
    return starter.on_ended(std::get<RunEnded>(std::move(events.front())));
  }

  ScratchFolder folder;
  std::shared_ptr<storage::BlobStore> blobs;
  JobBlobs job{10};
  base::JobId id = base::retag<base::JobId>(name_of(base::view("job")));
  base::MessageId accused = base::retag<base::MessageId>(name_of(base::view("accused")));
  std::mutex mutex;
  std::vector<UnitWork> works;
  NoInputs inputs;
  BlobPins pins;
  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
  FakeExecutor executor;
  base::PeerId self = base::retag<base::PeerId>(name_of(base::view("self"))), liar = base::retag<base::PeerId>(name_of(base::view("liar")));
  UnitStarter starter{self, &executor, blobs, pins, inbox};
};

// Whose fingerprint it was, as a fingerprint.
UnitEnd answer(const UnitWork& work, UnitInputs&, const FakeExecutor::Stopped&) {
  UnitDone done{.kind = protocol::OutcomeKind::ok, .archive = bytes_of("answer"), .stderr_tail = {}, .fuel = 77};
  for (const auto& peer : work.fingerprints_of) done.fingerprints.push_back(base::retag<Digest>(peer));
  return done;
}
UnitEnd drop(const UnitWork&, UnitInputs&, const FakeExecutor::Stopped&) { return UnitDropped{"too slow"}; }

}  // namespace

TEST_CASE("the seed is the digest of its stated bytes") {
  const auto job = base::retag<base::JobId>(name_of(base::view("job")));
  Bytes bytes = bytes_of("starling/v1/seed");
  bytes.push_back(std::byte{0});
  base::append(bytes, job.view());
  for (const int b : {2, 1, 0, 0}) bytes.push_back(static_cast<std::byte>(b));
  CHECK(seed_of(job, 258) == crypto::sha256(bytes));
}

TEST_CASE("a unit's work carries its program, items, limits and seed; its archive is stored and pinned until told") {
  Bench bench(answer);
  bench.job.manifest.items_per_unit = 4;
  bench.job.manifest.unit_count = 3;
  REQUIRE(bench.starter.start_unit({bench.id, 2}, bench.job.manifest));
  const auto ended = bench.next_end();
  const auto& work = bench.works.at(0);
  CHECK(work.tier == Tier::compiled);
  CHECK(work.first_item_index == 8);
  CHECK(work.items == std::vector<Bytes>{bytes_of("item 8"), bytes_of("item 9")});
  CHECK(work.arguments == bench.job.manifest.arguments);
  CHECK(work.inputs == bench.job.manifest.inputs);
  CHECK(work.limits == bench.job.manifest.limits);
  CHECK(work.seed == seed_of(bench.id, 2));
  CHECK(work.fingerprints_of == std::vector{bench.self});
  std::ifstream program(work.program, std::ios::binary);
  CHECK(std::string(std::istreambuf_iterator<char>(program), {}) == base::text(bench.job.program));
  const auto& finished = std::get<protocol::UnitFinished>(*ended.input);
  CHECK(finished.unit == 2);
  CHECK(finished.outcome == protocol::Outcome{protocol::OutcomeKind::ok, 0, name_of(base::view("answer")), 6, 77});
  CHECK(finished.fingerprint == base::retag<Digest>(bench.self));
  CHECK(*bench.blobs->read(finished.outcome.digest, 6) == bytes_of("answer"));
  CHECK(ended.pinned);
  CHECK(bench.pins.pinned(finished.outcome.digest));
}

TEST_CASE("a dropped unit is released and says why") {
  Bench bench(drop);
  REQUIRE(bench.starter.start_unit({bench.id, 1}, bench.job.manifest));
  const auto ended = bench.next_end();
  CHECK(std::holds_alternative<protocol::UnitReleased>(*ended.input));
  CHECK(ended.why_dropped == "too slow");
}

TEST_CASE("an archive that finds the store full comes back with its name") {
  Bench bench([](const UnitWork&, UnitInputs&, const FakeExecutor::Stopped&) -> UnitEnd {
    return UnitDone{protocol::OutcomeKind::ok, 0, Bytes(64 * 1024), {}};
  }, 32 * 1024);
  REQUIRE(bench.starter.start_unit({bench.id, 1}, bench.job.manifest));
  const auto ended = bench.next_end();
  CHECK(ended.archive.size() == 64 * 1024);
  CHECK(ended.digest == name_of(ended.archive));
  CHECK_FALSE(ended.pinned);
}

TEST_CASE("a replay runs both tiers, the second with more time, and stores nothing") {
  Bench bench(answer);
  REQUIRE(bench.starter.start_replay({bench.id, 3, bench.accused, bench.liar}, bench.job.manifest));
  CHECK_FALSE(bench.next_end().input);
  const auto ended = bench.next_end();
  const auto& finished = std::get<protocol::ReplayFinished>(*ended.input);
  CHECK(finished.accused_statement == bench.accused);
  REQUIRE(finished.compiled);
  CHECK(finished.compiled == finished.interpreted);
  CHECK(finished.compiled->fuel == 77);
  CHECK(finished.fingerprint == base::retag<Digest>(bench.liar));
  CHECK(finished.interpreted_fingerprint == finished.fingerprint);
  REQUIRE(bench.works.size() == 2);
  CHECK(bench.works[0].tier == Tier::compiled);
  CHECK(bench.works[1].tier == Tier::interpreted);
  CHECK(bench.works[1].items == bench.works[0].items);
  CHECK(bench.works[1].limits.time_ms == bench.works[0].limits.time_ms * limits::interpreter_time_factor);
  CHECK_FALSE(bench.blobs->has(name_of(base::view("answer"))));
  CHECK(ended.archive == bytes_of("answer"));  // for whoever needs these bytes
}

TEST_CASE("fingerprints of others are made in the same execution and come back by name, of replays for both tiers; none made are zeros") {
  const auto second = base::retag<base::PeerId>(name_of(base::view("second"))), third = base::retag<base::PeerId>(name_of(base::view("third")));
  Bench bench([](const UnitWork& work, UnitInputs& inputs, const FakeExecutor::Stopped& stopped) {
    UnitEnd end = answer(work, inputs, stopped);
    auto& made = std::get<UnitDone>(end).fingerprints;
    if (work.unit == 1) made.clear();
    else if (work.tier == Tier::interpreted) made[1] = {};
    return end;
  });
  REQUIRE(bench.starter.start_unit({bench.id, 2, {}, {second, third}}, bench.job.manifest));
  const auto unit = std::get<protocol::UnitFinished>(*bench.next_end().input);
  CHECK(bench.works.at(0).fingerprints_of == std::vector{bench.self, second, third});
  REQUIRE(unit.others.size() == 2);
  CHECK(unit.others[0].peer == second);
  CHECK(unit.others[1].peer == third);
  CHECK(unit.others[1].compiled == base::retag<Digest>(third));

  REQUIRE(bench.starter.start_replay({bench.id, 3, bench.accused, bench.liar, {}, {second, third}}, bench.job.manifest));
  CHECK_FALSE(bench.next_end().input);
  const auto replay = std::get<protocol::ReplayFinished>(*bench.next_end().input);
  CHECK(replay.fingerprint == base::retag<Digest>(bench.liar));
  REQUIRE(replay.others.size() == 2);
  CHECK(replay.others[0].compiled == base::retag<Digest>(second));
  CHECK(replay.others[0].interpreted == Digest{});
  CHECK(replay.others[1].interpreted == base::retag<Digest>(third));

  REQUIRE(bench.starter.start_unit({bench.id, 1, {}, {second}}, bench.job.manifest));
  const auto brief = std::get<protocol::UnitFinished>(*bench.next_end().input);
  REQUIRE(brief.others.size() == 1);
  CHECK(brief.others[0].compiled == Digest{});
}

TEST_CASE("a replay whose first tier is dropped ends at once without outcomes") {
  Bench bench(drop);
  REQUIRE(bench.starter.start_replay({bench.id, 3, bench.accused, bench.liar}, bench.job.manifest));
  const auto ended = bench.next_end();
  const auto& finished = std::get<protocol::ReplayFinished>(*ended.input);
  CHECK_FALSE(finished.compiled);
  CHECK_FALSE(finished.interpreted);
  CHECK(bench.works.size() == 1);
}

TEST_CASE("a replay whose second tier is dropped keeps the first outcome apart") {
  Bench bench([](const UnitWork& work, UnitInputs& inputs, const FakeExecutor::Stopped& stopped) {
    return work.tier == Tier::compiled ? answer(work, inputs, stopped) : drop(work, inputs, stopped);
  });
  REQUIRE(bench.starter.start_replay({bench.id, 3, bench.accused, bench.liar}, bench.job.manifest));
  bench.next_end();
  const auto ended = bench.next_end();
  const auto& finished = std::get<protocol::ReplayFinished>(*ended.input);
  CHECK(finished.compiled);
  CHECK_FALSE(finished.interpreted);
}

TEST_CASE("a segment's work is its unit's, with the archive that it goes on from; its outcome names that") {
  Bench bench(answer);
  bench.job.manifest.rounds_max = 25;
  bench.job.manifest.segment_rounds = 10;
  const auto before = *bench.blobs->put(base::view("the archive before"));
  const protocol::BlobRef input{before, 18};
  REQUIRE(bench.starter.start_unit({bench.id, 13, input}, bench.job.manifest));  // segment 1 of unit 3
  const auto ended = bench.next_end();
  const auto& work = bench.works.at(0);
  CHECK(work.unit == 3);
  CHECK(work.items == std::vector<Bytes>{bytes_of("item 3")});
  CHECK(work.seed == seed_of(bench.id, 3));
  CHECK(work.rounds_max == 20);
  REQUIRE(work.segment);
  CHECK(work.segment->archive == bytes_of("the archive before"));
  CHECK(work.segment->first_round == 10);
  CHECK_FALSE(work.segment->last);
  const auto& finished = std::get<protocol::UnitFinished>(*ended.input);
  CHECK(finished.unit == 13);
  CHECK(finished.outcome.input == before);

  REQUIRE(bench.starter.start_replay({bench.id, 23, bench.accused, bench.liar, input}, bench.job.manifest));
  CHECK_FALSE(bench.next_end().input);
  const auto replayed = bench.next_end();
  CHECK(std::get<protocol::ReplayFinished>(*replayed.input).interpreted->input == before);
  REQUIRE(bench.works.size() == 3);
  for (const std::size_t tier : {1U, 2U}) {
    CHECK(bench.works[tier].replay);
    CHECK(bench.works[tier].rounds_max == 25);
    CHECK(bench.works[tier].segment->last);
    CHECK(bench.works[tier].segment->archive == bytes_of("the archive before"));
  }
  const protocol::BlobRef gone{name_of(base::view("gone")), 4};
  CHECK_FALSE(bench.starter.start_unit({bench.id, 13, gone}, bench.job.manifest));
}

TEST_CASE("closing stops what runs and starts nothing more") {
  std::atomic<bool> entered = false;
  Bench bench([&](const UnitWork&, UnitInputs&, const FakeExecutor::Stopped& stopped) -> UnitEnd {
    entered = true;
    while (!stopped()) std::this_thread::yield();
    return UnitDropped{"stopped"};
  });
  REQUIRE(bench.starter.start_unit({bench.id, 0}, bench.job.manifest));
  while (!entered) std::this_thread::yield();
  bench.starter.begin_closing();
  bench.starter.wait_idle();
  CHECK(std::holds_alternative<protocol::UnitReleased>(*bench.next_end().input));
  CHECK(bench.starter.start_unit({bench.id, 1}, bench.job.manifest).error().code == base::ErrorCode::interrupted);
}

TEST_CASE("a unit whose program or lines are not here is not started") {
  Bench bench(answer);
  auto other = bench.job.manifest;
  other.program.name = name_of(base::view("another program"));
  CHECK_FALSE(bench.starter.start_unit({bench.id, 0}, other));
  other = bench.job.manifest;
  other.item_count = other.unit_count = 11;
  CHECK(bench.starter.start_unit({bench.id, 0}, other).error().code == base::ErrorCode::bad_input);
  CHECK(bench.executor.run_count() == 0);
}
