#include "tests/simulation/policy/grid.hpp"

#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "tests/simulation/policy/forced_order.hpp"
#include "tests/simulation/policy/trial.hpp"

namespace starling::simulation::policy {
namespace {

using Plan = std::vector<Planned>;

const char* name_of(VerificationClass verification) {
  constexpr const char* names[] = {"trusted", "fast", "standard", "strict"};
  return names[static_cast<int>(verification)];
}

std::string name_of(VerificationClass verification, std::uint32_t epsilon_ppm) {
  if (verification == VerificationClass::trusted) return name_of(verification);
  return std::string(name_of(verification)) + (epsilon_ppm >= 10'000 ? " 6e-2" : epsilon_ppm >= 1000 ? " 1e-3" : " 1e-4");
}

std::string policy_text(const Trial& trial) {
  if (trial.policy == Policy::voting) return std::to_string(trial.votes) + "-first voting";
  if (trial.policy != Policy::starling) return name_of(trial.policy);
  return name_of(trial.verification, trial.epsilon_ppm) + (trial.roots ? "" : ", no roots");
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

Row measure(const Trial& trial, const std::string& note) {
  const Measures m = run(trial);
  Row row;
  row.set("policy", policy_text(trial)).set("attack", std::string(name_of(trial.attack))).set("note", note);
  row.set("f", trial.f).set("rate", trial.rate).set("units_per_peer", trial.units_per_peer).set("peers", trial.peers);
  row.set("seed", static_cast<double>(trial.seed)).set("earned_before", trial.earned_before).set("audit_share", trial.audit_share);
  row.set("units", static_cast<double>(m.units)).set("error", m.error()).set("ever_wrong", share(m.ever_wrong, m.units));
  row.set("redundancy", m.redundancy()).set("captured", share(m.coalition_units, m.units)).set("open", share(m.open, m.units));
  row.set("statements", share(m.statements, m.units)).set("replays", share(m.replays, m.units));
  row.set("final_share", m.final_share).set("final_p50", m.final_rounds_p50).set("final_p99", m.final_rounds_p99);
  row.set("honest_bans", m.honest_bans).set("honest_faults", m.honest_faults).set("liars_banned", m.liars_banned);
  row.set("bans_for_now", m.honest_bans_for_now).set("withdrawn", m.withdrawn);
  row.set("identities", static_cast<double>(m.identities)).set("wrong_per_identity", share(m.wrong, m.identities));
  row.set("quarantined", m.quarantined ? 1 : 0).set("rounds", static_cast<double>(m.rounds));
  row.set("agreements", static_cast<double>(m.agreements)).set("comparisons", static_cast<double>(m.comparisons));
  return row;
}

void add(Plan& plan, const std::string& group, const Trial& trial, const std::string& note = {}) {
  plan.push_back({group, [trial, note] { return measure(trial, note); }});
}

Row measure(const OrderedTrial& trial, const std::string& note) {
  constexpr const char* choices[] = {"forced", "common", "free"};
  const OrderedMeasures m = run_ordered(trial);
  Row row;
  row.set("policy", name_of(trial.verification, trial.epsilon_ppm) + (note.empty() ? "" : ", " + note));
  row.set("choice", std::string(choices[static_cast<int>(trial.choice)])).set("note", note);
  row.set("class", name_of(trial.verification, trial.epsilon_ppm)).set("peers", trial.peers).set("units", trial.units);
  constexpr const char* manners[] = {"in turn", "hunts", "ignores its order"};
  row.set("manner", std::string(manners[static_cast<int>(trial.manner)])).set("f", trial.f).set("speed", trial.speed).set("rate", trial.rate).set("one_liar", trial.one_liar ? 1 : 0);
  row.set("seed", static_cast<double>(trial.seed)).set("error", share(m.wrong, m.units)).set("ever_wrong", share(m.ever_wrong, m.units));
  row.set("alone_at_once", share(m.alone_at_once, m.units)).set("alone_left", share(m.alone_left, m.units));
  row.set("open", share(m.open, m.units)).set("redundancy", share(m.executions, m.units));
  row.set("liars", m.liars).set("liars_banned", m.liars_banned).set("honest_bans", m.honest_bans);
  row.set("honest_left", m.honest_left).set("fresh_target", m.fresh_target);
  row.set("finished_rounds", m.finished_rounds).set("rounds", m.rounds).set("removed_rounds", m.removed_rounds);
  row.set("wrong_rounds_mean", m.wrong_rounds_mean).set("wrong_rounds_p99", m.wrong_rounds_p99);
  row.set("final_share", m.final_share).set("final_p50", m.final_rounds_p50).set("final_p99", m.final_rounds_p99);
  row.set("agreements", static_cast<double>(m.agreements)).set("comparisons", static_cast<double>(m.comparisons));
  return row;
}

void add(Plan& plan, const std::string& group, const OrderedTrial& trial, const std::string& note = {}) {
  plan.push_back({group, [trial, note] { return measure(trial, note); }});
}

// ---------------------------------------------------------------- attackers

void stealth(Plan& plan, const std::string& group, Trial trial, const std::vector<double>& rates, std::uint64_t seeds) {
  for (const double f : {0.05, 0.2}) {
    for (const double rate : rates) {
      for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        trial.f = f;
        trial.rate = rate;
        trial.seed = seed;
        add(plan, group, trial);
      }
    }
  }
}

std::vector<Trial> other_policies(std::uint32_t peers) {
  std::vector<Trial> out;
  Trial trial;
  trial.peers = peers;
  trial.policy = Policy::voting;
  for (const std::uint32_t votes : {2U, 3U}) {
    trial.votes = votes;
    out.push_back(trial);
  }
  for (const Policy policy : {Policy::boinc_visible, Policy::boinc_hidden, Policy::sarmenta}) {
    trial.policy = policy;
    out.push_back(trial);
  }
  return out;
}

// Section 2.2 of the published figures: all collude, f = 0.35; and a tenth of lies collide.
void published(Plan& plan, std::uint64_t seeds, std::uint32_t units_per_peer) {
  Trial trial;
  trial.policy = Policy::voting;
  trial.attack = Attack::constant;
  trial.f = 0.35;
  trial.peers = 20'000;  // so many that drawing without replacement is as good as with
  trial.units_per_peer = units_per_peer;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    trial.seed = seed;
    for (const std::uint32_t votes : {15U, 29U}) {
      trial.collusion = 1;
      trial.votes = votes;
      add(plan, "published", trial);
    }
    trial.collusion = 0.1;
    trial.votes = 2;
    add(plan, "published", trial);
    Trial credibility = trial;
    credibility.policy = Policy::sarmenta;
    credibility.collusion = 1;
    credibility.peers = 200;
    credibility.units_per_peer = 100;
    credibility.epsilon_ppm = 10'000;
    for (const double rate : {1.0, 0.5, 0.25, 0.1, 0.05}) add(plan, "published", (credibility.rate = rate, credibility));
  }
}

const std::vector<double>& rates_of(Attack attack) {
  static const std::vector<double> once = {1}, often = {0.2}, several = {1, 0.2, 0.05};
  switch (attack) {
    case Attack::selective: return several;
    case Attack::constant:
    case Attack::independent:
    case Attack::whitewasher:
    case Attack::withdrawer:
    case Attack::lazy_auditor:
    case Attack::farmer:
    case Attack::ration: return often;
    default: return once;
  }
}

// A swarm of a quarter of the peers has ten times the units each: as many units in all as one can wait for.
void attacks(Plan& plan, std::uint32_t peers, const std::vector<double>& shares, const std::vector<std::uint32_t>& lengths) {
  for (const std::uint32_t units_per_peer : lengths) {
    for (const Attack attack : {Attack::none, Attack::selective, Attack::independent, Attack::constant, Attack::sleeper, Attack::whitewasher, Attack::withdrawer,
                                Attack::copier, Attack::lazy_auditor, Attack::squatter, Attack::flood, Attack::accuser, Attack::ration,
                                Attack::farmer, Attack::bomber}) {
      const bool nobody = attack == Attack::none || attack == Attack::bomber;
      for (const double f : shares) {
        for (const double rate : rates_of(attack)) {
          Trial trial;
          trial.attack = attack;
          trial.peers = units_per_peer >= 1000 ? peers / 4 : peers;
          trial.units_per_peer = units_per_peer;
          trial.f = nobody ? 0 : f;
          trial.rate = rate;
          if (!nobody || f == shares.front()) add(plan, "attacks", trial);
        }
      }
    }
  }
}

// Members of a coalition have done much under an owner of their own; and what it would do if that counted everywhere.
void farming(Plan& plan, std::uint32_t peers, const std::vector<double>& rates, std::uint64_t seeds) {
  for (const auto verification : {VerificationClass::fast, VerificationClass::standard}) {
    for (const std::uint32_t farmed : {0U, 10'000U}) {
      Trial trial;
      trial.attack = Attack::farmer;
      trial.peers = peers;
      trial.verification = verification;
      trial.farmed = farmed;
      for (const double f : {0.05, 0.2}) {
        for (const double rate : rates) {
          for (trial.seed = 1; trial.seed <= seeds; ++trial.seed) {
            add(plan, "farming", (trial.f = f, trial.rate = rate, trial), farmed == 0 ? "of this job's owner (as it is)" : "of every owner (not ours)");
          }
        }
      }
    }
  }
}

// Nobody means harm. What no judge can tell from a lie is named as a limit, and is outside the gates.
void faults(Plan& plan, std::uint32_t peers, const std::vector<std::uint32_t>& lengths, std::uint64_t seeds) {
  for (const std::uint32_t units_per_peer : lengths) {
    Trial trial;
    trial.peers = units_per_peer >= 1000 ? peers / 4 : peers;
    trial.units_per_peer = units_per_peer;
    const auto one = [&](Attack attack, double rate, const std::string& note) {
      trial.attack = attack;
      trial.rate = rate;
      for (trial.seed = 1; trial.seed <= seeds; ++trial.seed) add(plan, "faults", trial, note);
    };
    trial.f = 0;
    one(Attack::none, 1, "nothing");
    one(Attack::hardware, 1e-4, "every machine errs once in 10,000 units");
    one(Attack::hardware, 1e-3, "limit: every machine errs once in 1,000 units");
    one(Attack::image, 1, "a tenth of the disks is set back");
    trial.f = 0.1;
    one(Attack::tier, 0.01, "a tenth has a tier that miscompiles (1 % of units wrong), a judge too");
    trial.judge_has_tier = false;
    one(Attack::tier, 0.01, "a tenth has such a tier, no judge has");
  }
}

// Everybody, the coalition too, has 1,000 verified units under this owner from earlier jobs.
void mature(Plan& plan, std::uint32_t peers, const std::vector<double>& rates, std::uint64_t seeds, bool small) {
  constexpr std::uint64_t target_seeds = 16;
  const auto one = [&](VerificationClass verification, std::uint32_t epsilon_ppm, double audit_share, std::uint32_t units_per_peer = 100) {
    const bool target = units_per_peer >= 1000 && audit_share <= 0.1;  // the row that meets it
    Trial trial;
    trial.units_per_peer = units_per_peer;
    trial.peers = units_per_peer >= 1000 ? peers / 4 : peers;
    trial.earned_before = 1000;
    trial.verification = verification;
    trial.epsilon_ppm = epsilon_ppm;
    trial.audit_share = audit_share;
    stealth(plan, "mature", trial, rates, target ? target_seeds : seeds);
  };
  one(VerificationClass::fast, 1000, 0.05);
  if (small) return;
  one(VerificationClass::fast, 100, 0.05);
  for (const double audit_share : {0.1, 0.25, 0.33, 0.4}) one(VerificationClass::fast, 1000, audit_share);
  for (const double audit_share : {0.05, 0.1, 0.2}) one(VerificationClass::fast, 1000, audit_share, 1000);
  one(VerificationClass::standard, 1000, 0.05);
  one(VerificationClass::standard, 100, 0.05);
}

// ---------------------------------------------------------------- forced order

struct CaptureGrid {
  std::uint32_t peers, units_per_peer;
  std::uint64_t seeds;
  std::vector<double> shares, speeds, rates;
};

// Of what is there to compare with only what the coalition holds alone.
void capture(Plan& plan, const CaptureGrid& grid) {
  const auto one = [&](OrderedTrial trial) {
    for (const double rate : grid.rates) {
      const bool compared = trial.choice != Choice::forced || trial.manner == Manner::ignores;
      if (compared && (rate > 0 || trial.speed > 10)) continue;
      for (trial.seed = 1; trial.seed <= grid.seeds; ++trial.seed) add(plan, "capture", (trial.rate = rate, trial));
    }
  };
  const std::pair<Choice, Manner> ways[] = {{Choice::free, Manner::hunts}, {Choice::common, Manner::hunts}, {Choice::forced, Manner::ignores},
                                            {Choice::forced, Manner::hunts}, {Choice::forced, Manner::in_turn}};
  for (const std::uint32_t epsilon_ppm : {60'000U, 1000U}) {
    for (const auto& [choice, manner] : ways) {
      for (const double f : grid.shares) {
        for (const double speed : grid.speeds) {
          OrderedTrial trial;
          trial.choice = choice;
          trial.manner = manner;
          trial.peers = grid.peers;
          trial.units = grid.peers * grid.units_per_peer;
          trial.epsilon_ppm = epsilon_ppm;
          trial.f = f;
          trial.speed = speed;
          one(trial);
        }
      }
    }
  }
}

// The coalition of the first table, with real orders: what it can reach decides what it can lie on.
void ordered(Plan& plan, std::uint32_t peers, const std::vector<double>& rates, std::uint64_t seeds) {
  for (const Manner manner : {Manner::in_turn, Manner::hunts}) {
    for (const double f : {0.05, 0.2}) {
      for (const double rate : rates) {
        OrderedTrial trial;
        trial.manner = manner;
        trial.peers = peers;
        trial.units = 100 * peers;
        trial.f = f;
        trial.rate = rate;
        for (trial.seed = 1; trial.seed <= seeds; ++trial.seed) add(plan, "ordered", trial, manner == Manner::hunts ? "own orders, hunts" : "own orders, in turn");
      }
    }
  }
}

struct Class {
  VerificationClass verification;
  std::uint32_t epsilon_ppm;
};

bool reachable(const Class& one, std::uint32_t peers) {
  const auto needed = protocol::members_needed({one.verification, one.epsilon_ppm}, {});
  return needed && peers >= *needed;
}

// Sizes: 0 is a few units a peer; in the largest jobs and swarms only the default class is run.
void honest(Plan& plan, const std::vector<std::uint32_t>& swarms, const std::vector<std::uint32_t>& sizes) {
  using enum VerificationClass;
  const Class classes[] = {{trusted, 60'000}, {fast, 60'000}, {fast, 1000}, {standard, 60'000}, {standard, 1000}, {strict, 60'000}, {strict, 1000}};
  struct Kind {
    const char* note;
    double slow_share, leaving_share;
  };
  const Kind kinds[] = {{"all alike", 0, 0}, {"half ten times slower", 0.5, 0}, {"30 % leave midway", 0, 0.3}};
  for (const std::uint32_t size : sizes) {
    for (const std::uint32_t peers : swarms) {
      for (const Class& one : classes) {
        if (!reachable(one, peers)) continue;
        for (const Kind& kind : kinds) {
          const bool alike = kind.note == kinds[0].note, medium = size > 0, large = size > 10'000 || (medium && peers >= 1000);
          if ((medium && !alike && one.verification != standard) || (large && (!alike || one.verification != standard))) continue;
          for (const bool liar : {false, true}) {
            OrderedTrial trial;
            trial.peers = peers;
            trial.units = medium ? size : 4 * peers;
            trial.verification = one.verification;
            trial.epsilon_ppm = one.epsilon_ppm;
            trial.slow_share = kind.slow_share;
            trial.leaving_share = kind.leaving_share;
            trial.one_liar = liar;
            add(plan, "honest", trial, kind.note);
          }
        }
      }
    }
  }
}

}  // namespace

std::vector<Planned> small_grid() {
  Plan plan;
  Trial trial;
  trial.peers = 100;
  stealth(plan, "gate", trial, {1, 0.2, 0.1}, 3);
  ordered(plan, 60, {0.2}, 1);
  for (const Trial& other : other_policies(100)) stealth(plan, "others", other, {1, 0.2}, 1);
  published(plan, 1, 3);
  attacks(plan, 60, {0.2}, {40});
  farming(plan, 60, {0.2}, 1);
  faults(plan, 60, {100}, 1);
  mature(plan, 60, {0.2}, 1, true);
  capture(plan, {60, 50, 1, {0.2}, {1, 10}, {0, 1}});
  honest(plan, {2, 5, 8, 20}, {0});
  return plan;
}

std::vector<Planned> full_grid(std::uint32_t peers) {
  Plan plan;
  Trial trial;
  trial.peers = peers;
  stealth(plan, "gate", trial, stealth_rates, 16);
  ordered(plan, peers, stealth_rates, 3);
  for (const Trial& other : other_policies(peers)) stealth(plan, "others", other, stealth_rates, 16);
  published(plan, 4, 5);
  attacks(plan, peers, {0.01, 0.05, 0.1, 0.2, 0.35}, {10, 100, 1000});
  trial.roots = false;
  stealth(plan, "rootless", trial, stealth_rates, 2);
  trial.roots = true;
  for (const auto verification : {VerificationClass::fast, VerificationClass::strict}) {
    trial.verification = verification;
    stealth(plan, "classes", trial, stealth_rates, 2);
  }
  farming(plan, peers, stealth_rates, 2);
  faults(plan, peers, {100, 1000}, 4);
  mature(plan, peers, stealth_rates, 2, false);
  capture(plan, {peers, 100, 1, {0.05, 0.1, 0.2, 0.35}, {1, 10, 100}, {0, 1, 0.1}});
  honest(plan, {2, 5, 8, 20, 100, 1000}, {0, 4096, 65'536});
  return plan;
}

}  // namespace starling::simulation::policy
