// Whom a donor serves next: his own choice, equal shares, favours; and what no owner can gain by what he writes or farms.
#include "coordinator-less/protocol/fair_share.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "tests/support/ids.hpp"

namespace {

using namespace starling;
using namespace starling::protocol;
using testing::peer;

JobId job_id(unsigned n) {
  JobId id;
  id.bytes[0] = static_cast<std::byte>(n);
  id.bytes[31] = std::byte{0x55};
  return id;
}

ShareCandidate job(unsigned number, unsigned owner, std::uint8_t priority = 100, std::int64_t created = 0) {
  return {job_id(number), peer(owner), priority, created};
}

ProjectChoice choice(const PeerId& owner, std::uint32_t weight = 1) { return {base::retag<Digest>(owner), weight}; }
ProjectChoice choice(const JobId& id, std::uint32_t weight = 1) { return {base::retag<Digest>(id), weight}; }

// A machine that serves until `fuel` is spent, each job's units being as long as it says; gives the share of every owner.
struct Machine {
  explicit Machine(std::vector<ProjectChoice> choices = {}, bool only = false) : shares(std::move(choices), only) {}

  void add(ShareCandidate candidate, std::uint64_t unit_fuel = 1'000'000'000) {
    jobs.push_back(candidate);
    unit_fuels[candidate.job] = unit_fuel;
  }
  // False: there is nobody to serve.
  bool serve_one(const std::function<bool(const ShareCandidate&)>& has_work = [](const ShareCandidate&) { return true; }) {
    for (const std::size_t place : shares.order(jobs)) {
      const ShareCandidate& served = jobs[place];
      if (!has_work(served)) continue;
      const std::uint64_t fuel = unit_fuels[served.job];
      shares.on_started(served.job, served.owner, ++unit);
      running.push_back({served, unit, fuel});
      if (running.size() >= slots) finish_one();
      spent[served.owner] += fuel;
      order.push_back(served.job);
      shares.check_invariants();
      return true;
    }
    return false;
  }
  void finish_one() {
    shares.on_finished(running.front().candidate.job, running.front().unit, running.front().fuel);
    running.erase(running.begin());
  }
  void serve(std::uint64_t fuel) {
    const std::uint64_t before = total();
    while (total() - before < fuel) REQUIRE(serve_one());
  }
  std::uint64_t total() const {
    return std::accumulate(spent.begin(), spent.end(), std::uint64_t{0}, [](std::uint64_t sum, const auto& entry) { return sum + entry.second; });
  }
  double share(unsigned owner) const {
    const auto found = spent.find(peer(owner));
    return found == spent.end() ? 0 : static_cast<double>(found->second) / static_cast<double>(total());
  }
  void forget_past() { spent.clear(), order.clear(); }

  struct Run {
    ShareCandidate candidate;
    UnitIndex unit;
    std::uint64_t fuel;
  };
  FairShare shares;
  std::vector<ShareCandidate> jobs;
  std::map<JobId, std::uint64_t> unit_fuels;
  std::map<PeerId, std::uint64_t> spent;
  std::vector<JobId> order;
  std::vector<Run> running;
  std::size_t slots = 1;
  UnitIndex unit = 0;
};

constexpr std::uint64_t giga = 1'000'000'000;

}  // namespace

TEST_CASE("fair share: owners share equally, in fuel and not in units or jobs, whatever priority they write") {
  Machine machine;
  machine.add(job(1, 1, 255), 4 * giga);  // urgent, and long units
  machine.add(job(2, 2, 0), giga);
  machine.add(job(3, 2, 0), giga);        // two jobs of one owner
  machine.serve(400 * giga);
  CHECK(machine.share(1) == doctest::Approx(0.5).epsilon(0.05));
  CHECK(machine.share(2) == doctest::Approx(0.5).epsilon(0.05));
}

TEST_CASE("fair share: an owner's priority orders his own jobs, then the older one comes first") {
  Machine machine;
  machine.add(job(1, 1, 10));
  machine.add(job(2, 1, 20, 200));
  machine.add(job(3, 1, 20, 100));
  machine.serve(3 * giga);
  CHECK(std::ranges::all_of(machine.order, [](const JobId& id) { return id == job_id(3); }));
}

TEST_CASE("fair share: chosen projects come before all others, in the ratio of their weights; others when these have no work") {
  Machine machine({choice(peer(1), 3), choice(job_id(2)), choice(peer(9), 0)});
  machine.add(job(1, 1));
  machine.add(job(2, 2));  // a chosen job
  machine.add(job(3, 2));  // of an owner who is not
  machine.add(job(4, 9));  // never
  machine.serve(400 * giga);
  CHECK(machine.share(1) == doctest::Approx(0.75).epsilon(0.03));
  CHECK_FALSE(std::ranges::contains(machine.order, job_id(3)));
  machine.serve_one([](const ShareCandidate& candidate) { return candidate.job != job_id(1) && candidate.job != job_id(2); });
  CHECK(machine.order.back() == job_id(3));
  CHECK_FALSE(machine.serve_one([](const ShareCandidate& candidate) { return candidate.job == job_id(4); }));
}

TEST_CASE("fair share: with chosen projects alone nobody else is served") {
  Machine machine({choice(peer(1))}, true);
  machine.add(job(2, 2));
  CHECK_FALSE(machine.serve_one());
  CHECK_FALSE(machine.shares.serves(job_id(2), peer(2)));
  machine.add(job(1, 1));
  CHECK(machine.serve_one());
}

TEST_CASE("fair share: a choice of one job stands above that of its owner") {
  Machine machine({choice(peer(1), 1), choice(job_id(2), 0)});
  machine.add(job(2, 1));
  CHECK_FALSE(machine.serve_one());
  machine.add(job(3, 1));
  CHECK(machine.serve_one());
}

TEST_CASE("fair share: a newcomer gets its share from now on, not what it missed; so does who was away") {
  Machine machine;
  machine.add(job(1, 1));
  machine.serve(1000 * giga);
  machine.forget_past();
  machine.add(job(2, 2));
  machine.serve(100 * giga);
  CHECK(machine.share(2) == doctest::Approx(0.5).epsilon(0.03));
  for (int i = 0; i < 500; ++i) REQUIRE(machine.serve_one([](const ShareCandidate& candidate) { return candidate.owner == peer(1); }));
  machine.forget_past();
  machine.serve(100 * giga);
  CHECK(machine.share(2) == doctest::Approx(0.5).epsilon(0.03));
}

TEST_CASE("fair share: favours decide over half, the other half is dealt out equally") {
  Machine machine;
  for (unsigned owner = 1; owner <= 4; ++owner) machine.add(job(owner, owner));
  machine.shares.set_favours({{peer(1), 300 * giga}, {peer(2), 100 * giga}});
  machine.serve(4000 * giga);
  CHECK(machine.share(1) == doctest::Approx(0.125 + 0.375).epsilon(0.03));
  CHECK(machine.share(2) == doctest::Approx(0.125 + 0.125).epsilon(0.03));
  CHECK(machine.share(3) == doctest::Approx(0.125).epsilon(0.05));
}

TEST_CASE("fair share: a thousand keys of one hand take no more than half from who has earned it") {
  Machine machine;
  machine.add(job(1, 1));
  machine.shares.set_favours({{peer(1), 1}});
  for (unsigned n = 2; n < 202; ++n) {
    ShareCandidate sybil = job(n, n);
    sybil.owner.bytes[1] = std::byte{1};
    sybil.job.bytes[1] = std::byte{1};
    machine.add(sybil);
  }
  machine.serve(500 * giga);  // each of the keys has had its first turn
  machine.forget_past();
  machine.serve(3000 * giga);
  CHECK(machine.share(1) >= 0.49);
}

TEST_CASE("fair share: a new key for each unit, one after the other, gets what one owner gets") {
  for (const std::uint64_t fuel : {giga / 100, giga, 100 * giga}) {
    Machine machine;
    machine.add(job(1, 1), giga);
    machine.serve(50 * giga);
    machine.forget_past();
    for (unsigned key = 2; machine.total() < 1000 * giga; ++key) {
      if (machine.jobs.size() < 2) machine.add(job(key, key), fuel);
      REQUIRE(machine.serve_one());
      if (machine.order.back() != job_id(1)) machine.jobs.pop_back();  // its only unit
    }
    CAPTURE(fuel);
    CHECK(machine.share(1) > 0.45);
  }
}

TEST_CASE("fair share: what runs for a job that is not served is not charged, and breaks nothing") {
  FairShare shares({choice(peer(1))}, true);
  CHECK(shares.order(std::vector{job(2, 2)}).empty());
  shares.on_started(job_id(2), peer(2), 7);
  shares.on_finished(job_id(2), 7, giga);
  shares.check_invariants();
}

TEST_CASE("fair share: what is farmed elsewhere is no favour: without favours all are equal") {
  Machine machine;
  machine.add(job(1, 1));
  machine.add(job(2, 2));
  machine.shares.set_favours({{peer(3), 1'000'000 * giga}});  // of an owner without a job here
  machine.serve(200 * giga);
  CHECK(machine.share(1) == doctest::Approx(0.5).epsilon(0.03));
}

TEST_CASE("fair share: shares converge to the weights, whatever is chosen, however long the units and however many slots") {
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    base::Rng rng(seed);
    const unsigned owners = 2 + static_cast<unsigned>(rng.below(5));
    std::vector<ProjectChoice> choices;
    std::vector<double> weights;
    for (unsigned owner = 1; owner <= owners; ++owner) {
      choices.push_back(choice(peer(owner), 1 + static_cast<std::uint32_t>(rng.below(20))));
      weights.push_back(choices.back().weight);
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    Machine machine(choices, rng.below(2) == 0);
    machine.slots = 1 + rng.below(8);
    std::uint64_t longest = 0;
    for (unsigned n = 1; n <= owners * 2; ++n) {
      const std::uint64_t fuel = giga / 10 * (1 + rng.below(100));
      longest = std::max(longest, fuel);
      machine.add(job(n, 1 + (n - 1) % owners, static_cast<std::uint8_t>(rng.below(256))), fuel);
    }
    machine.serve(longest * 2000);
    CAPTURE(seed);
    for (unsigned owner = 1; owner <= owners; ++owner) {
      CAPTURE(owner);
      CHECK(machine.share(owner) == doctest::Approx(weights[owner - 1] / sum).epsilon(0.05));
    }
  }
}

TEST_CASE("fair share: units that are given back are paid for, and nothing is kept of jobs that are gone") {
  Machine machine;
  machine.add(job(1, 1));
  machine.add(job(2, 2));
  std::map<PeerId, int> turns;
  for (UnitIndex unit = 0; unit < 100; ++unit) {
    const ShareCandidate served = machine.jobs[machine.shares.order(machine.jobs).front()];
    ++turns[served.owner];
    machine.shares.on_started(served.job, served.owner, unit);
    if (served.owner == peer(1)) machine.shares.on_ended(served.job, unit);
    else machine.shares.on_finished(served.job, unit, giga);
  }
  CHECK(turns[peer(1)] == doctest::Approx(50).epsilon(0.1));
  machine.shares.on_job_gone(job_id(1));
  machine.shares.on_finished(job_id(1), 1, giga);  // of a job that was forgotten while it ran
  machine.shares.check_invariants();
}

TEST_CASE("fair share: no owner is left with nothing, no favour is so large and no number of owners so great") {
  CHECK(FairShare::share_of(0, UINT64_MAX >> 16, 1'000'000'000) >= 1);
  CHECK(FairShare::share_of(UINT64_MAX >> 16, UINT64_MAX >> 16, 1) == FairShare::whole);
  CHECK(FairShare::share_of(0, 0, 4) == FairShare::whole / 4);
}
