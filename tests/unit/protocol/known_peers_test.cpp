#include "coordinator-less/protocol/known_peers.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "tests/support/author.hpp"
#include "tests/support/ids.hpp"

namespace {

using namespace starling;
using namespace starling::protocol;
using testing::peer;

PeerStanding standing(unsigned n, std::uint32_t units, std::uint32_t faults = 0, bool banned = false) {
  PeerStanding out;
  out.peer = peer(n);
  out.verified_units = units;
  out.faulty_units = faults;
  out.banned = banned;
  return out;
}

Outcome right(UnitIndex unit) { return {OutcomeKind::ok, 0, testing::digest_of("unit " + std::to_string(unit)), 10, 100}; }

// A job of public epsilon, as every peer judges it.
struct Judged {
  explicit Judged(Manifest of) : manifest(std::move(of)), evidence(manifest.unit_count), verdict(evidence, {peer(1)}, parameters_of(manifest)) {}

  void states(unsigned author, UnitIndex unit) { states(author, unit, right(unit)); }
  void states(unsigned author, UnitIndex unit, const Outcome& outcome) {
    Results results = logs[author].prepare({}, {{unit, 0, outcome}});
    const auto id = base::retag<MessageId>(testing::digest_of("statement " + std::to_string(++statements)));
    logs[author].on_stated(id, results, false);
    evidence.add_results(peer(author), id, results);
    verdict.on_results(peer(author), id, results);
    verdict.settle();
    verdict.check_invariants();
  }
  Manifest manifest;
  JobEvidence evidence;
  Verdict verdict;
  std::map<unsigned, OwnLog> logs;
  int statements = 0;
};

Manifest public_job(std::vector<KnownPeer> known) {
  Manifest manifest;
  manifest.unit_count = 16;
  manifest.epsilon_ppm = 1000;
  manifest.known = std::move(known);
  return manifest;
}

}  // namespace

TEST_CASE("known peers: the most that a finished job gave, no sum; nobody with a fault or a ban anywhere") {
  const auto known = known_from({{true, {standing(3, 40), standing(4, 10), standing(5, 9), standing(6, 7)}},
                                 {true, {standing(3, 25), standing(4, 12), standing(7, 0)}},
                                 {false, {standing(4, 900), standing(5, 0, 1), standing(6, 3, 3, true), standing(8, 5)}}});
  CHECK(known == std::vector<KnownPeer>{{peer(3), 40}, {peer(4), 12}});
  CHECK(known_from({}).empty());
}

TEST_CASE("known peers: nothing is earned where one answer alone is believed, but faults there are remembered") {
  using enum VerificationClass;
  const std::vector<PeerStanding> some{standing(3, 40), standing(4, 30, 1)};
  CHECK(known_from({{true, some, trusted}, {true, some, fast}}).empty());
  CHECK(known_from({{true, some, trusted}, {true, {standing(3, 5), standing(4, 6)}, strict}}) == std::vector<KnownPeer>{{peer(3), 5}});
}

TEST_CASE("known peers: as many as a manifest may name, those with most, none with more than is credited") {
  EarnedInJob job{true, {}};
  for (unsigned n = 0; n < limits::known_peers_max + 50; ++n) {
    job.peers.push_back(standing(n % 256, 1 + n));
    job.peers.back().peer.bytes[1] = static_cast<std::byte>(n / 256);
  }
  job.peers.back().verified_units = 5000;
  const auto known = known_from({job});
  REQUIRE(known.size() == limits::known_peers_max);
  CHECK(std::ranges::is_sorted(known));
  CHECK(std::ranges::min(known, {}, &KnownPeer::units).units == 51);
  CHECK(std::ranges::max(known, {}, &KnownPeer::units).units == credited_units_max);
}

TEST_CASE("known peers: two that the manifest names are believed from their first unit on, strangers are not") {
  Judged fresh(public_job({}));
  Judged named(public_job({{peer(3), 50}, {peer(4), 50}}));
  for (Judged* judged : {&fresh, &named}) judged->states(3, 0), judged->states(4, 0), judged->states(5, 1), judged->states(6, 1);
  CHECK_FALSE(fresh.verdict.accepted(0));
  CHECK(named.verdict.accepted(0));
  CHECK_FALSE(named.verdict.accepted(1));
  CHECK(named.verdict.verified_units(peer(3)) == 51);
  CHECK(fresh.verdict.unit(0).missing == 3);
}

TEST_CASE("known peers: what a fault takes, no manifest gives back") {
  Judged judged(public_job({{peer(3), 50}, {peer(4), 50}}));
  judged.states(3, 0, {OutcomeKind::ok, 0, testing::digest_of("wrong"), 10, 100});
  judged.evidence.add_replay(peer(1), Replay{{}, {}, peer(3), 0, right(0), right(0)});
  judged.verdict.on_replay(fact_of(peer(1), Replay{{}, {}, peer(3), 0, right(0), right(0)}));
  judged.verdict.settle();
  CHECK(judged.verdict.verified_units(peer(3)) == 0);
  CHECK(judged.verdict.verified_units(peer(4)) == 50);
}
