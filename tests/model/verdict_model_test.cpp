#include <doctest/doctest.h>

#include <algorithm>
#include <variant>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "tests/model/verdict_model.hpp"

namespace {

using namespace starling;
using namespace starling::protocol;

constexpr std::uint32_t unit_count = 4, peer_count = 6, outcome_count = 3;

template <class Id>
Id numbered(std::uint64_t number) {
  Id id;
  id.bytes[5] = static_cast<std::byte>(number);
  return id;
}

struct ResultsEvent {
  PeerId author;
  MessageId statement;
  Results results;
};
struct ReplayEvent {
  PeerId judge;
  Replay replay;
};
using Event = std::variant<ResultsEvent, ReplayEvent>;

enum class Kind { any, withdrawing };  // ... in which some keys take back what they said

struct World {
  std::set<PeerId> judges;
  VerdictParameters parameters;
  std::vector<Event> events;
};

Outcome draw_outcome(base::Rng& rng, UnitIndex unit, std::uint32_t stride) {
  // The first outcome is the common one, so that units get accepted; one of the others is a failure.
  const std::uint64_t number = rng.chance(0.6) ? 0 : rng.below(outcome_count);
  Outcome outcome{number == 2 ? OutcomeKind::trap : OutcomeKind::ok, 0, numbered<Digest>(number)};
  if (rng.chance(0.05)) outcome.fuel = 1;  // another one is another answer
  if (stride == 0) return outcome;
  outcome.digest = numbered<Digest>(10 + number);
  const bool commonly_ends = unit % 3 == 1;
  if (number == 0 ? !commonly_ends || rng.chance(0.02) : rng.chance(0.5)) outcome.kind = OutcomeKind::checkpoint;
  const bool begins = unit < stride;
  if (begins ? rng.chance(0.05) : rng.chance(0.97)) outcome.input = numbered<Digest>(10 + (rng.chance(0.75) ? 0 : rng.below(outcome_count)));
  return outcome;
}

// Mostly none, as most answers agree.
Digest draw_fingerprint(base::Rng& rng) { return numbered<Digest>(rng.chance(0.1) ? 1 + rng.below(2) : 0); }

// Where each key's log ends. Most keep one; some say things out of place, or follow what another statement follows.
using Logs = std::map<PeerId, OwnLog>;

Event draw_results(base::Rng& rng, std::uint64_t statement, std::uint32_t stride, Logs& logs) {
  ResultsEvent event{numbered<PeerId>(rng.below(peer_count)), numbered<MessageId>(statement), {}};
  OwnLog& log = logs[event.author];
  if (rng.chance(0.05)) log.begin_chain(0);
  event.results = log.prepare({}, std::vector<ResultEntry>(1 + rng.below(3)));
  if (rng.chance(0.03)) event.results.first_log_index = static_cast<std::uint32_t>(rng.below(20));
  if (rng.chance(0.03)) event.results.previous = numbered<MessageId>(rng.below(statement + 1));
  log.on_stated(event.statement, event.results, false);
  for (ResultEntry& entry : event.results.entries) {
    const auto unit = static_cast<UnitIndex>(rng.below(unit_count + 1));  // one past the end at times
    entry = {unit, 0, draw_outcome(rng, unit, stride), draw_fingerprint(rng), rng.chance(0.1)};
  }
  return event;
}

Event draw_replay(base::Rng& rng, bool tiers_may_differ, std::uint32_t stride) {
  Replay replay;
  replay.accused_statement = numbered<MessageId>(rng.below(4));
  replay.accused = numbered<PeerId>(rng.below(peer_count));
  replay.unit = static_cast<UnitIndex>(rng.below(unit_count + 1));
  replay.compiled = draw_outcome(rng, replay.unit, stride);
  replay.interpreted = tiers_may_differ && rng.chance(0.3) ? draw_outcome(rng, replay.unit, stride) : replay.compiled;
  replay.fingerprint = draw_fingerprint(rng);
  replay.interpreted_fingerprint = tiers_may_differ && rng.chance(0.1) ? draw_fingerprint(rng) : replay.fingerprint;
  replay.head = {static_cast<std::uint32_t>(rng.below(2)), static_cast<std::uint32_t>(rng.below(20))};
  return ReplayEvent{numbered<PeerId>(rng.below(peer_count)), replay};
}

// Events in random order, some of them twice.
World draw_world(std::uint64_t seed, Kind kind = Kind::any) {
  base::Rng rng(seed);
  World world;
  for (std::uint64_t n = rng.below(6); n > 0; --n) world.judges.insert(numbered<PeerId>(rng.below(peer_count)));
  constexpr std::uint32_t epsilons[] = {1'000, 60'000, 200'000, 400'000};
  world.parameters = {static_cast<VerificationClass>(rng.below(4)), epsilons[rng.below(4)]};
  constexpr std::uint32_t strides[] = {0, 0, 1, 2};  // no chains, one of four units, two of two
  const std::uint32_t stride = world.parameters.stride = strides[rng.below(4)];
  const bool tiers_may_differ = rng.chance(0.5);
  const double replay_share = 0.1 + rng.unit() * 0.5;
  Logs logs;
  for (std::uint64_t step = 0; step < (stride == 0 ? 100 : 130); ++step) {
    if (kind == Kind::withdrawing && rng.chance(0.015)) {
      world.events.push_back(ResultsEvent{numbered<PeerId>(rng.below(peer_count)), numbered<MessageId>(step), {}});
    } else if (!world.events.empty() && rng.chance(0.15)) {
      world.events.push_back(world.events[rng.below(world.events.size())]);
    } else {
      world.events.push_back(rng.chance(replay_share) ? draw_replay(rng, tiers_may_differ, stride) : draw_results(rng, step, stride, logs));
    }
  }
  return world;
}

struct Reader {
  explicit Reader(const World& world)
      : stride(world.parameters.stride), evidence(unit_count), verdict(evidence, world.judges, world.parameters), naive(unit_count, world.judges, world.parameters) {}

  void hear(const ResultsEvent& event) {
    evidence.add_results(event.author, event.statement, event.results);
    verdict.on_results(event.author, event.statement, event.results);
    if (event.results.takes_back()) return naive.hear(model::Withdrawal{event.author});
    naive.hear(model::Follower{event.author, event.statement, event.results.previous, event.results.place(0)});
    for (std::uint32_t i = 0; i < event.results.entries.size(); ++i) {
      const ResultEntry& entry = event.results.entries[i];
      if (entry.unit < unit_count) naive.hear(model::Answer{event.author, entry.unit, entry.outcome, entry.fingerprint, event.statement, i, event.results.place(i), entry.audit});
    }
  }
  void hear(const ReplayEvent& event) {
    const Replay& replay = event.replay;
    if (evidence.add_replay(event.judge, replay)) verdict.on_replay(fact_of(event.judge, replay));
    if (replay.unit < unit_count) {
      naive.hear(model::Proof{event.judge, replay.accused, replay.unit, replay.compiled, replay.interpreted, replay.fingerprint, replay.interpreted_fingerprint, replay.head});
    }
  }
  void hear(const Event& event) {
    std::visit([&](const auto& e) { hear(e); }, event);
    verdict.settle();
  }

  std::uint32_t stride;
  JobEvidence evidence;
  Verdict verdict;
  model::VerdictModel naive;
};

void compare_evidence(const Reader& reader, UnitIndex unit) {
  std::size_t expected = 0;
  const auto& facts = reader.evidence.results(unit);
  for (std::uint64_t peer = 0; peer < peer_count; ++peer) {
    const auto author = numbered<PeerId>(peer);
    const auto kept = reader.naive.kept(author, unit);
    REQUIRE(reader.evidence.answered(author, unit) == !kept.empty());
    for (const model::Answer& answer : kept) {
      REQUIRE(expected < facts.size());
      const ResultFact& fact = facts[expected++];
      REQUIRE(fact.author == author);
      REQUIRE(fact.outcome == answer.outcome);
      REQUIRE(fact.fingerprint == answer.fingerprint);
      REQUIRE(fact.statement == answer.statement);
      REQUIRE(fact.entry == answer.entry);
      REQUIRE(reader.verdict.proven_wrong(unit, fact) == reader.naive.proven_wrong(author, unit, {fact.outcome, fact.fingerprint}));
    }
  }
  REQUIRE(expected == facts.size());
}

void compare(const Reader& reader) {
  const auto expected = reader.naive.conclude();
  std::uint32_t failures = 0, ended = 0;
  for (UnitIndex unit = 0; unit < unit_count; ++unit) {
    compare_evidence(reader, unit);
    const auto accepted = expected.accepted.find(unit);
    const UnitVerdict found = reader.verdict.unit(unit);
    REQUIRE(found.accepted == (accepted != expected.accepted.end()));
    if (found.accepted) {
      REQUIRE(found.outcome == accepted->second);
      REQUIRE(found.missing == 0);
    }
    REQUIRE(found.skipped == expected.skipped.contains(unit));
    REQUIRE(found.contested == reader.naive.contested(unit, expected));
    const auto start = reader.naive.start(unit, expected);
    REQUIRE(found.open == start.input.has_value());
    const bool last = reader.stride == 0 || unit + reader.stride >= unit_count;
    const bool ends = found.accepted && (last || found.outcome->kind != OutcomeKind::checkpoint);
    REQUIRE(reader.verdict.ends(unit) == ends);
    const auto input = reader.verdict.input(unit);
    REQUIRE((input ? std::optional(input->name) : std::nullopt) == start.input);
    failures += ends && found.outcome->kind != OutcomeKind::ok ? 1U : 0U;
    ended += ends ? 1U : 0U;
  }
  REQUIRE(reader.verdict.accepted_count() == expected.accepted.size());
  REQUIRE(reader.verdict.accepted_failures_count() == failures);
  REQUIRE(reader.verdict.ended_count() == ended);
  REQUIRE(reader.verdict.skipped_count() == expected.skipped.size());
  REQUIRE(reader.verdict.quarantined() == reader.naive.quarantined());
  for (std::uint64_t peer = 0; peer < peer_count; ++peer) {
    const auto id = numbered<PeerId>(peer);
    const auto faults = reader.naive.faults(id);
    REQUIRE(reader.verdict.banned(id) == expected.banned.contains(id));
    REQUIRE(banned_by(reader.evidence, reader.verdict.judges(), id) == reader.naive.banned_by_proofs(id));
    REQUIRE(reader.verdict.faults().contains(id) == !faults.empty());
    if (!faults.empty()) REQUIRE(reader.verdict.faults().at(id) == faults);
  }
}

// What readers are told about when it changes.
struct Standing {
  std::optional<Outcome> accepted;
  std::optional<Digest> input;
  bool skipped = false;
  bool operator==(const Standing&) const = default;
};

std::vector<Standing> standings(const Reader& reader) {
  std::vector<Standing> out;
  const auto now = reader.naive.conclude();
  for (UnitIndex unit = 0; unit < unit_count; ++unit) {
    const auto accepted = now.accepted.find(unit);
    out.push_back({accepted == now.accepted.end() ? std::nullopt : std::optional(accepted->second), reader.naive.start(unit, now).input, now.skipped.contains(unit)});
  }
  return out;
}

struct Coverage {
  std::uint64_t accepted = 0, banned = 0, banned_at_once = 0, spared = 0, quarantined = 0, reopened = 0, late = 0, skipped = 0, moved = 0, unskipped = 0;
};

void run_lockstep(std::uint64_t seed, Coverage& coverage, Kind kind = Kind::any) {
  CAPTURE(seed);
  const World world = draw_world(seed, kind);
  base::Rng rng(seed ^ 0x5eed);
  Reader reader(world);
  auto at_last_poll = standings(reader);
  for (const Event& event : world.events) {
    reader.hear(event);
    reader.evidence.check_invariants();
    reader.verdict.check_invariants();
    compare(reader);
    if (!rng.chance(0.4)) continue;
    const auto now = standings(reader);
    std::vector<UnitIndex> expected;
    for (UnitIndex unit = 0; unit < unit_count; ++unit) {
      if (now[unit] != at_last_poll[unit]) expected.push_back(unit);
      coverage.reopened += at_last_poll[unit].accepted && !now[unit].accepted ? 1U : 0U;
      coverage.moved += at_last_poll[unit].input && now[unit].input != at_last_poll[unit].input ? 1U : 0U;
      coverage.unskipped += at_last_poll[unit].skipped && !now[unit].skipped ? 1U : 0U;
    }
    REQUIRE(reader.verdict.poll_changed() == expected);
    at_last_poll = now;
  }
  coverage.accepted += reader.verdict.accepted_count();
  for (UnitIndex unit = world.parameters.stride; world.parameters.stride > 0 && unit < unit_count; ++unit)
    coverage.late += reader.verdict.unit(unit).accepted ? 1U : 0U;
  coverage.skipped += reader.verdict.skipped_count();
  coverage.banned += reader.verdict.banned().size();
  for (const PeerId& peer : reader.verdict.banned()) coverage.banned_at_once += reader.naive.faults(peer).size() < 3 ? 1U : 0U;
  for (std::uint64_t number = 0; number < peer_count; ++number) {
    const auto peer = numbered<PeerId>(number);
    const bool faulty = reader.verdict.faults().contains(peer) && !reader.naive.without_error(peer);
    coverage.spared += faulty && reader.verdict.withdrawn(peer) ? 1U : 0U;
  }
  coverage.quarantined += reader.verdict.quarantined() ? 1U : 0U;
}

TEST_CASE("model: verdict and evidence equal the naive reading of the rules, step by step") {
  Coverage coverage;
  for (std::uint64_t seed = 1; seed <= 160; ++seed) run_lockstep(seed, coverage);
  // The worlds are worth their time only if everything happens in them.
  CHECK(coverage.accepted > 50);
  CHECK(coverage.banned - coverage.banned_at_once > 20);
  CHECK(coverage.banned_at_once > 20);
  CHECK(coverage.quarantined > 20);
  CHECK(coverage.reopened > 20);
  CHECK(coverage.late > 5);
  CHECK(coverage.skipped > 10);
  CHECK(coverage.moved > 3);
  CHECK(coverage.unskipped > 3);
}

TEST_CASE("model: so they are where keys take back what they said") {
  Coverage coverage;
  for (std::uint64_t seed = 1; seed <= 80; ++seed) run_lockstep(seed, coverage, Kind::withdrawing);
  CHECK(coverage.spared > 5);
  CHECK(coverage.banned_at_once > 5);
}

TEST_CASE("model: the same statements in any order give the same evidence and the same verdict") {
  for (std::uint64_t seed = 1001; seed <= 1120; ++seed) {
    CAPTURE(seed);
    World world = draw_world(seed, seed % 3 == 0 ? Kind::withdrawing : Kind::any);
    Reader first(world), second(world);
    for (const Event& event : world.events) first.hear(event);
    base::Rng rng(seed);
    for (std::size_t i = world.events.size(); i > 1; --i) std::swap(world.events[i - 1], world.events[rng.below(i)]);
    for (const Event& event : world.events) second.hear(event);
    REQUIRE(first.evidence.replays() == second.evidence.replays());
    REQUIRE(first.evidence.result_count() == second.evidence.result_count());
    REQUIRE(first.evidence.results_by_author() == second.evidence.results_by_author());
    for (UnitIndex unit = 0; unit < unit_count; ++unit) {
      REQUIRE(first.verdict.unit(unit) == second.verdict.unit(unit));
      const auto& facts = first.evidence.results(unit);
      REQUIRE(std::ranges::equal(facts, second.evidence.results(unit), [](const ResultFact& a, const ResultFact& b) {
        return a.author == b.author && a.outcome == b.outcome && a.fingerprint == b.fingerprint && a.statement == b.statement && a.entry == b.entry &&
               a.at == b.at && a.audit == b.audit;
      }));
    }
    REQUIRE(first.verdict.banned() == second.verdict.banned());
    REQUIRE(first.verdict.faults() == second.verdict.faults());
  }
}

}  // namespace
