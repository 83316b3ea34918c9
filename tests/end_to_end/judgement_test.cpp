// The demo's judge can say no: each wrong input costs exactly its own objection, and the exit code of the real program.
#include "tests/end_to_end/judgement.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/keys.hpp"
#include "tests/support/scratch.hpp"

using namespace starling;
using Json = nlohmann::json;

namespace {

constexpr std::int64_t made_unix_s = 1'800'000'000;
constexpr std::size_t honest_count = 4;

protocol::SwarmParameters swarm() {
  protocol::SwarmParameters out;
  out.kind = protocol::SwarmKind::development;
  out.name = "judgement";
  return out;
}

// A peer of that swarm with its real key.
struct Peer {
  explicit Peer(unsigned n) : keys(testing::identity(n)), notary(runtime::network_id_of(swarm()), keys) {}
  crypto::Identity keys;
  runtime::SigningNotary notary;
  const base::PeerId& id() const { return keys.id(); }
};

protocol::Outcome outcome(const std::string& text) { return {protocol::OutcomeKind::ok, 0, testing::digest_of(text), text.size()}; }

// What a good run of the demo leaves behind, made with the library's own types; the tests spoil one thing at a time.
struct Run {
  explicit Run(std::uint32_t unit_count = 256) : units(unit_count) {
    for (unsigned i = 0; i < 6; ++i) peers.push_back(std::make_unique<Peer>(100 + i));  // 0..3 honest, 4 the liar, 5 spare
    evidence.swarm = swarm();
    job = base::retag<base::JobId>(say(*peers[5], testing::manifest(units, made_unix_s)));
    for (int i = 0; i < 2; ++i) state(*peers[static_cast<std::size_t>(i)], "right");
    lies = state(liar(), "wrong");
    hits = {{8419.297028, -0.39, 246, 748928}, {8420.5, 1.0, 50, 317000}};
  }
  // Honest peers prove three of a key's answers wrong.
  Run& proven(std::size_t judges, const Peer& accused, base::MessageId statement) {
    for (std::size_t i = 0; i < judges; ++i)
      for (base::UnitIndex unit = 0; unit < 3; ++unit)
        say(*peers[i], protocol::Replay{job, statement, accused.id(), unit, outcome("right"), outcome("right")});
    return *this;
  }
  Run& good() { return proven(honest_count, liar(), lies); }

  base::MessageId say(Peer& who, protocol::Body body) {
    auto statement = who.notary.seal(std::move(body));
    evidence.envelopes.push_back(statement.raw);
    return statement.id;
  }
  // The first units come in the first statement, whose id is returned.
  base::MessageId state(Peer& who, const std::string& text) {
    base::MessageId first;
    constexpr std::uint32_t batch = limits::results_per_batch_max;
    protocol::UnitOrder order(job, who.id(), units, testing::manifest(units, made_unix_s).peer_estimate, who.notary);
    base::MessageId previous;
    for (std::uint32_t begin = 0; begin < units; begin += batch) {
      protocol::Results results{job, begin, {}, 0, previous};
      for (std::uint32_t unit = begin; unit < std::min(units, begin + batch); ++unit) results.entries.push_back({unit, order.position_of(unit), outcome(text)});
      previous = say(who, std::move(results));
      if (begin == 0) first = previous;
    }
    return first;
  }
  Peer& liar() const { return *peers[4]; }

  std::string sealed() const {
    Json json;
    json["observation"]["signals"] = {{{"frequency_mhz", 8419.297028}, {"drift_hz_s", -0.39}, {"snr", 246.0}},
                                      {{"frequency_mhz", 8420.5}, {"drift_hz_s", 1.0}, {"snr", 50.0}}};
    for (std::size_t i = 0; i < 5; ++i) json["peers"].push_back({{"id", peers[i]->id().base32()}, {"liar", i >= honest_sealed}});
    return json.dump(1);
  }
  demo::Judgement judged() const {
    const auto truth = demo::open_truth(sealed(), demo::seal_of(sealed()));
    REQUIRE_MESSAGE(truth.has_value(), truth.error().message);
    auto judgement = demo::judge(*truth, hits, evidence);
    REQUIRE_MESSAGE(judgement.has_value(), judgement.error().message);
    return *std::move(judgement);
  }

  std::uint32_t units;
  std::vector<std::unique_ptr<Peer>> peers;
  runtime::EvidenceFile evidence;
  base::JobId job;
  base::MessageId lies;
  std::vector<dedoppler::Hit> hits;
  std::size_t honest_sealed = honest_count;  // the sealed truth says that so many of the five are honest
};

using Objections = std::vector<std::string>;

// The real program, with everything in files.
int exit_code_of(const Run& run, const std::string& seal, const std::string& hits_text) {
  const testing::ScratchFolder folder;
  const auto file = [&](const char* name, const std::string& text) {
    const auto path = folder.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  };
  const auto evidence = folder.path() / "job.evidence";
  REQUIRE(runtime::write_evidence_file(evidence, run.evidence).has_value());
  const std::string command = std::string(STARLING_DEMO_CHECK) + " judge --sealed " + file("sealed.json", run.sealed()) + " --seal " + seal +
                              " --hits " + file("hits.csv", hits_text) + " --evidence " + evidence.string() + " >" +
                              (folder.path() / "said").string() + " 2>&1";
  const int status = std::system(command.c_str());
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

std::string csv_of(const Run& run) {
  std::string text = std::string(dedoppler::csv_header) + "\n";
  for (const auto& hit : run.hits) text += dedoppler::format_row(hit);
  return text;
}
int exit_code_of(const Run& run) { return exit_code_of(run, demo::seal_of(run.sealed()), csv_of(run)); }

}  // namespace

TEST_CASE("demo: a run as it should be is good, and its line says so") {
  Run run;
  const auto judgement = run.good().judged();
  CHECK(judgement.objections == Objections{});
  // (2 x 256 + 256 results + 2 x 12 replays) / 256
  CHECK(judgement.line() == "demo: 2/2 signals verified, 1 liar banned, 0 honest peers banned, 256 units, 3.09 executions per unit");
  CHECK(exit_code_of(run) == 0);
}

TEST_CASE("demo: a missing signal, or one that nobody planted") {
  Run missing;
  missing.good().hits.pop_back();
  CHECK(missing.judged().objections == Objections{"a planted signal is missing"});
  CHECK(exit_code_of(missing) == 1);
  Run invented;
  invented.good().hits.push_back({8421.0, 0.5, 300, 138000});
  CHECK(invented.judged().objections == Objections{"a signal was reported that nobody planted"});
  CHECK(exit_code_of(invented) == 1);
}

TEST_CASE("demo: a liar who is not banned, or by three of four only") {
  Run free;
  CHECK(free.judged().objections.front() == "the liar is not banned by every honest peer");
  CHECK(free.judged().liars_banned == 0);
  CHECK(exit_code_of(free) == 1);
  Run doubted;
  doubted.proven(honest_count - 1, doubted.liar(), doubted.lies);
  CHECK(doubted.judged().objections.front() == "the liar is not banned by every honest peer");
  CHECK(doubted.judged().banned_by.at(doubted.liar().id()) == honest_count - 1);
  CHECK(exit_code_of(doubted) == 1);
}

TEST_CASE("demo: an honest peer banned by one other") {
  Run run;
  const auto wronged = run.state(*run.peers[2], "wrong too");
  run.good().proven(1, *run.peers[2], wronged);
  CHECK(run.judged().objections == Objections{"an honest peer is banned"});
  CHECK(run.judged().honest_banned == 1);
  CHECK(exit_code_of(run) == 1);
}

TEST_CASE("demo: too few units") {
  Run run(255);
  CHECK(run.good().judged().objections == Objections{"the job has 255 units, fewer than 256"});
  CHECK(exit_code_of(run) == 1);
}

TEST_CASE("demo: two liars, both caught, are one too many; none is one too few") {
  Run two;
  two.honest_sealed = 3;
  const auto wronged = two.state(*two.peers[3], "wrong too");
  two.proven(3, two.liar(), two.lies).proven(3, *two.peers[3], wronged);
  CHECK(two.judged().liars_banned == 2);
  CHECK(two.judged().objections == Objections{"the sealed truth names 2 liars"});
  CHECK(exit_code_of(two) == 1);
  Run none;
  none.honest_sealed = 5;
  CHECK(none.judged().objections == Objections{"the sealed truth names 0 liars"});
  CHECK(exit_code_of(none) == 1);
}

TEST_CASE("demo: what cannot be judged is exit code 2, not a verdict") {
  Run run;
  run.good();
  const std::string seal = demo::seal_of(run.sealed());
  run.honest_sealed = 3;  // the truth says something else than it did when it was sealed
  CHECK_FALSE(demo::open_truth(run.sealed(), seal).has_value());
  CHECK(exit_code_of(run, seal, csv_of(run)) == 2);
  run.honest_sealed = honest_count;
  CHECK(exit_code_of(run, seal, csv_of(run)) == 0);
  CHECK(exit_code_of(run, seal, "not,a,list\n") == 2);
  auto forged = *run.evidence.envelopes.back();
  forged.back() ^= std::byte{1};
  run.evidence.envelopes.push_back(std::make_shared<const base::Bytes>(std::move(forged)));
  CHECK(exit_code_of(run, seal, csv_of(run)) == 2);
  run.evidence.envelopes.clear();
  CHECK(exit_code_of(run, seal, csv_of(run)) == 2);
  CHECK_FALSE(demo::open_truth("{}", demo::seal_of("{}")).has_value());
  CHECK_FALSE(demo::open_truth("[", demo::seal_of("[")).has_value());
}
