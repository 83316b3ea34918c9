#include "worker/fault_injection.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <set>

#include "coordinator-less/crypto/digest.hpp"
#include "sdk/client/unit_archive.hpp"
#include "worker/execution/archive.hpp"

using namespace starling;

namespace {

base::Digest mark_of(int peer) { return crypto::sha256(base::view("peer " + std::to_string(peer))); }

struct Item {
  execution::OutcomeKind kind;
  std::int32_t code;
  std::string text;
};

runtime::UnitDone unit_of(const std::vector<Item>& items) {
  execution::Archive archive;
  for (const auto& item : items) archive.items.push_back({.kind = item.kind, .code = item.code, .standard_output = base::view(item.text), .files = {}});
  const auto [kind, code] = execution::worst_of(archive);
  return {.kind = static_cast<protocol::OutcomeKind>(kind), .code = code, .archive = execution::write_archive(archive), .stderr_tail = {}};
}

using enum execution::OutcomeKind;
const std::vector<runtime::UnitDone> units{unit_of({{ok, 0, ""}}), unit_of({{ok, 0, "1,2,3,4\n"}, {ok, 0, ""}}), unit_of({{exit_code, 3, "partly"}}),
                                           unit_of({{trap, 1, ""}}), unit_of({{ok, 0, "x"}, {output_limit, 0, ""}})};

// Ends each run at once with what it was given.
class ScriptedExecutor final : public runtime::UnitExecutor {
 public:
  void attach(runtime::UnitInputs&) override {}
  void run(std::uint64_t, runtime::UnitWork, std::function<void(runtime::UnitEnd)> done) override { done(next); }
  void stop(std::uint64_t token) override { stopped = token; }
  runtime::UnitEnd next;
  std::uint64_t stopped = 0;
};

runtime::UnitEnd run_once(runtime::UnitExecutor& executor, const runtime::UnitWork& work = {}) {
  runtime::UnitEnd got;
  executor.run(1, work, [&](runtime::UnitEnd end) { got = std::move(end); });
  return got;
}

runtime::UnitWork work_of(base::UnitIndex unit, bool replay = false) {
  runtime::UnitWork work;
  work.unit = unit;
  work.seed = crypto::sha256(base::view("unit " + std::to_string(unit)));
  work.replay = replay;
  return work;
}

// What one attacker's executor says where the honest answer is units[1].
base::Bytes said_by(const worker::Attack& attack, const runtime::UnitWork& work, worker::SeenAnswers* seen = nullptr) {
  ScriptedExecutor real;
  real.next = units[1];
  worker::FaultInjector injector(real, attack);
  injector.arm(seen);
  return std::get<runtime::UnitDone>(run_once(injector, work)).archive;
}

// Saw one answer to every unit, which is accepted or not.
class OneSeen final : public worker::SeenAnswers {
 public:
  OneSeen(runtime::UnitDone answer, bool accepted) : answer_(std::move(answer)), accepted_(accepted) {}
  std::optional<runtime::UnitDone> leading(const base::JobId&, base::UnitIndex, bool accepted) override {
    return accepted && !accepted_ ? std::nullopt : std::optional(answer_);
  }

 private:
  runtime::UnitDone answer_;
  bool accepted_;
};

}  // namespace

TEST_CASE("every unit is wrong, in every item, and each peer's bytes are its own") {
  for (const auto& honest : units) {
    std::set<base::Bytes> seen{honest.archive};
    for (int peer = 0; peer < 8; ++peer) {
      const auto lie = worker::falsify(honest, mark_of(peer));
      CHECK(seen.insert(lie.archive).second);
      const auto items = client::read_archive(lie.archive);
      REQUIRE(items.has_value());
      for (const auto& item : *items) CHECK(base::text(item.standard_output).ends_with(worker::false_signal(mark_of(peer))));
      const auto [kind, code] = execution::worst_of(execution::parse_archive(lie.archive).value());
      CHECK(static_cast<int>(kind) == static_cast<int>(lie.kind));
      CHECK(code == lie.code);
    }
  }
}

TEST_CASE("a liar forges checkpoints: the lie is an archive that the next segment could go on from") {
  execution::Archive archive;
  archive.items.push_back({checkpoint, execution::checkpoint_exit_code, {}, {{execution::checkpoint_name, base::view("state")}}, 5, 6});
  const runtime::UnitDone honest{.kind = protocol::OutcomeKind::checkpoint, .code = 85, .archive = execution::write_archive(archive), .stderr_tail = {}};
  const auto lie = worker::falsify(honest, mark_of(1));
  CHECK(lie.kind == protocol::OutcomeKind::checkpoint);
  CHECK(lie.archive != honest.archive);
  const auto forged = execution::parse_archive(lie.archive);
  REQUIRE(forged);
  CHECK(forged->items[0].fuel == 5);
  CHECK(client::read_archive(lie.archive).has_value());
}

TEST_CASE("a liar says the same thing twice") {
  CHECK(worker::falsify(units[1], mark_of(1)).archive == worker::falsify(units[1], mark_of(1)).archive);
}

TEST_CASE("the false signal is a row of the science") {
  const std::string row = worker::false_signal(mark_of(5));
  double frequency = 0, drift = 0, strength = 0;
  unsigned long channel = 0;
  REQUIRE(std::sscanf(row.c_str(), "%lf,%lf,%lf,%lu\n", &frequency, &drift, &strength, &channel) == 4);
  CHECK(frequency >= 8420.0);
  CHECK(frequency < 8421.0);
  CHECK(strength == 99.0);
  CHECK(channel < 1048576);
}

TEST_CASE("the injector lies only once armed, and passes on what is no result") {
  ScriptedExecutor real;
  worker::FaultInjector injector(real, {.mark = mark_of(1)});
  real.next = units[1];
  CHECK(std::get<runtime::UnitDone>(run_once(injector)).archive == units[1].archive);
  injector.arm();
  CHECK(std::get<runtime::UnitDone>(run_once(injector)).archive == worker::falsify(units[1], mark_of(1)).archive);
  injector.disarm();
  CHECK(std::get<runtime::UnitDone>(run_once(injector)).archive == units[1].archive);
  injector.arm();
  real.next = runtime::UnitDropped{"no time"};
  CHECK(std::get<runtime::UnitDropped>(run_once(injector)).reason == "no time");
  injector.stop(9);
  CHECK(real.stopped == 9);
}

TEST_CASE("who shares a secret lies in the same units and with the same bytes, who does not never agrees") {
  const auto one = worker::parse_attack("liar:0.3:flock", mark_of(1)), other = worker::parse_attack("liar:0.3:flock", mark_of(2));
  const auto alone = worker::parse_attack("liar:0.3", mark_of(3));
  REQUIRE((one && other && alone));
  int lies = 0, both = 0;
  for (base::UnitIndex unit = 0; unit < 1000; ++unit) {
    const auto said = said_by(*one, work_of(unit)), lonely = said_by(*alone, work_of(unit));
    CHECK(said == said_by(*other, work_of(unit)));
    CHECK(said == said_by(*one, work_of(unit, true)));  // ... and a replay confirms the lie
    if (said == units[1].archive) continue;
    ++lies;
    if (lonely != units[1].archive) CHECK(lonely != said), ++both;
  }
  CHECK(lies > 240);
  CHECK(lies < 360);
  CHECK(both > 0);
}

TEST_CASE("an accuser lies in replays alone") {
  const worker::Attack accuser{.kind = worker::AttackKind::accuser, .mark = mark_of(1)};
  CHECK(said_by(accuser, work_of(1)) == units[1].archive);
  CHECK(said_by(accuser, work_of(1, true)) == worker::falsify(units[1], mark_of(1)).archive);
}

TEST_CASE("a copier repeats what it saw, a lazy auditor what is accepted, and neither can copy a fingerprint") {
  using enum worker::AttackKind;
  OneSeen open(units[2], false), accepted(units[2], true);
  CHECK(said_by({.kind = copier, .mark = mark_of(1)}, work_of(1), &open) == units[2].archive);
  CHECK(said_by({.kind = lazy, .mark = mark_of(1)}, work_of(1), &open) == units[1].archive);
  CHECK(said_by({.kind = lazy, .mark = mark_of(1)}, work_of(1), &accepted) == units[2].archive);
  CHECK(said_by({.kind = copier, .mark = mark_of(1)}, work_of(1)) == units[1].archive);  // saw nothing
  CHECK(said_by({.kind = copier, .share_ppm = 0, .mark = mark_of(1)}, work_of(1), &open) == units[1].archive);

  ScriptedExecutor real;
  runtime::UnitDone honest = units[2];
  honest.fingerprints = {mark_of(7)};
  real.next = honest;
  worker::FaultInjector injector(real, {.kind = copier, .mark = mark_of(1)});
  injector.arm(&open);
  const auto copied = std::get<runtime::UnitDone>(run_once(injector, work_of(1)));
  REQUIRE(copied.fingerprints.size() == 1);
  CHECK(copied.fingerprints[0] != mark_of(7));
  CHECK(copied.fingerprints[0] != base::Digest{});
}

TEST_CASE("attacks are written KIND:SHARE:SECRET") {
  const auto full = worker::parse_attack("copier:0.25:x:y", mark_of(1));
  REQUIRE(full);
  CHECK(full->kind == worker::AttackKind::copier);
  CHECK(full->share_ppm == 250'000);
  CHECK(full->mark != mark_of(1));
  const auto plain = worker::parse_attack("lazy", mark_of(1));
  REQUIRE(plain);
  CHECK(plain->share_ppm == worker::everything_ppm);
  CHECK(plain->mark == mark_of(1));
  for (const char* wrong : {"", "bird", "liar:", "liar:2", "liar:-0.1", "liar:0.2x", "liar:nan", ":1"}) {
    CAPTURE(wrong);
    const auto refused = worker::parse_attack(wrong, mark_of(1));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == base::ErrorCode::usage);
  }
}

TEST_CASE("faults are refused outside development swarms") {
  CHECK(worker::check_fault_injection(protocol::SwarmKind::development).has_value());
  for (const auto kind : {protocol::SwarmKind::public_swarm, protocol::SwarmKind::private_swarm}) {
    const auto refused = worker::check_fault_injection(kind);
    REQUIRE_FALSE(refused.has_value());
    CHECK(base::exit_code(refused.error().code) == 6);
    CHECK(refused.error().message.find("development") != std::string::npos);
    CHECK(worker::check_fault_injection(kind, "--pace").error().message.starts_with("--pace"));
  }
}
