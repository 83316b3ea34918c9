// What others do, in the same model: plain m-first voting, BOINC's adaptive replication, Sarmenta's credibility voting.
// Sources: Watanabe and Fukushi (m-first, eq. 7; credibility, eq. 11 to 14), the BOINC wiki's AdaptiveReplication page (consecutive
// valid results CV: below 10 replicate, else trust one result with probability 1 - 1 / CV; a fault zeroes CV).
#include <algorithm>
#include <cmath>
#include <deque>
#include <numbers>
#include <optional>

#include "coordinator-less/base/rng.hpp"
#include "tests/simulation/policy/trial.hpp"

namespace starling::simulation::policy {
namespace {

using base::Rng;

constexpr std::uint32_t right_answer = 0, common_lie = 1, first_own_lie = 2;
constexpr std::uint32_t trusted_from = 10;          // BOINC: consecutive valid results
constexpr std::uint32_t sleeper_honest_units = 50;
constexpr std::uint32_t answers_max = 200;          // to one unit; then it stays open

struct Host {
  bool liar = false, listed = false;  // listed: blacklisted
  std::uint32_t results = 0, valid = 0, checks = 0;
};

// The peers of one run, and what its saboteurs answer.
class Hosts {
 public:
  explicit Hosts(const Trial& trial) : trial_(trial), rng_(trial.seed * 0x9e3779b97f4a7c15ULL + 77), hosts_(trial.peers) {
    const auto liars = trial.attack == Attack::none ? 0U : static_cast<std::uint32_t>(std::lround(trial.f * trial.peers));
    for (std::uint32_t i = 0; i < liars; ++i) hosts_[i].liar = true;  // hosts are drawn uniformly: which ones is all the same
  }

  std::uint32_t draw(const std::vector<std::uint32_t>& taken) {
    for (;;) {
      const auto host = static_cast<std::uint32_t>(rng_.below(hosts_.size()));
      if (!hosts_[host].listed && std::ranges::find(taken, host) == taken.end()) return host;
    }
  }

  // `decides`: the coalition holds every slot that it knows to be needed. `coin`: it wants this unit.
  std::uint32_t answer(std::uint32_t host, bool decides, bool coin) {
    Host& h = hosts_[host];
    ++h.results;
    if (!h.liar) return right_answer;
    switch (trial_.attack) {
      case Attack::selective:
      case Attack::whitewasher:
      case Attack::withdrawer:
      case Attack::lazy_auditor: return decides && coin ? common_lie : right_answer;
      case Attack::constant: return coin ? lie(host) : right_answer;
      case Attack::independent: return rng_.chance(trial_.rate) ? first_own_lie + host : right_answer;
      case Attack::sleeper: return h.results > sleeper_honest_units ? common_lie : right_answer;
      case Attack::flood: return first_own_lie + host;
      default: return right_answer;
    }
  }

  bool coin() { return rng_.chance(trial_.rate); }
  Host& operator[](std::uint32_t host) { return hosts_[host]; }
  Rng& rng() { return rng_; }
  std::uint32_t remaining() const {
    return static_cast<std::uint32_t>(std::ranges::count_if(hosts_, [](const Host& h) { return !h.listed; }));
  }

 private:
  // Watanabe's c: only this share of lies matches others.
  std::uint32_t lie(std::uint32_t host) { return rng_.chance(trial_.collusion) ? common_lie : first_own_lie + host; }

  const Trial trial_;
  Rng rng_;
  std::vector<Host> hosts_;
};

struct Vote {
  std::uint32_t host, outcome;
};

// Until `votes` agree. A selective coalition lies where it holds the first `votes` slots, and then holds on to the lie.
std::optional<std::uint32_t> vote(Hosts& hosts, std::uint32_t votes, bool common_coins, std::vector<Vote>& cast) {
  const bool coin = hosts.coin();
  std::vector<std::uint32_t> taken;
  for (std::uint32_t i = 0; i < votes; ++i) taken.push_back(hosts.draw(taken));
  const bool decides = std::ranges::all_of(taken, [&](std::uint32_t host) { return hosts[host].liar; });
  std::vector<std::pair<std::uint32_t, std::uint32_t>> counts;
  for (std::size_t i = 0; i < answers_max; ++i) {
    if (i == taken.size()) taken.push_back(hosts.draw(taken));
    const std::uint32_t outcome = hosts.answer(taken[i], decides, common_coins ? coin : hosts.coin());
    cast.push_back({taken[i], outcome});
    auto found = std::ranges::find(counts, outcome, &std::pair<std::uint32_t, std::uint32_t>::first);
    if (found == counts.end()) found = counts.insert(found, {outcome, 0});
    if (++found->second == votes) return outcome;
  }
  return std::nullopt;
}

void note(Measures& measures, std::optional<std::uint32_t> outcome) {
  if (!outcome) ++measures.open;
  else if (*outcome != right_answer) ++measures.wrong, ++measures.ever_wrong;
}

Measures begin(const Trial& trial) {
  Measures measures;
  measures.units = trial.units();
  return measures;
}

}  // namespace

Measures run_voting(const Trial& trial) {
  Hosts hosts(trial);
  Measures measures = begin(trial);
  const bool common_coins = trial.collusion == 1;
  for (std::uint32_t unit = 0; unit < trial.units(); ++unit) {
    std::vector<Vote> cast;
    note(measures, vote(hosts, trial.votes, common_coins, cast));
    measures.executions += cast.size();
  }
  return measures;
}

Measures run_boinc(const Trial& trial) {
  Hosts hosts(trial);
  Measures measures = begin(trial);
  const bool visible = trial.policy == Policy::boinc_visible;
  for (std::uint32_t unit = 0; unit < trial.units(); ++unit) {
    const std::uint32_t first = hosts.draw({});
    const std::uint32_t valid = hosts[first].valid;
    const bool trusted = valid >= trusted_from && !hosts.rng().chance(1.0 / valid);
    const bool coin = hosts.coin();
    std::vector<std::uint32_t> taken = {first};
    if (!trusted) taken.push_back(hosts.draw(taken));
    // A public queue shows whether a copy was asked for; else the coalition bets that none was.
    const bool holds_all = std::ranges::all_of(taken, [&](std::uint32_t host) { return hosts[host].liar; });
    const bool bets = valid >= trusted_from;
    std::vector<Vote> cast;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> counts;
    std::optional<std::uint32_t> outcome;
    for (std::size_t i = 0; i < answers_max && !outcome; ++i) {
      if (i == taken.size()) taken.push_back(hosts.draw(taken));
      const bool decides = visible ? holds_all : (i == 0 ? bets : holds_all || (cast.front().outcome == common_lie));
      const std::uint32_t said = hosts.answer(taken[i], decides, coin);
      cast.push_back({taken[i], said});
      auto found = std::ranges::find(counts, said, &std::pair<std::uint32_t, std::uint32_t>::first);
      if (found == counts.end()) found = counts.insert(found, {said, 0});
      if (++found->second == (trusted ? 1U : 2U)) outcome = said;
    }
    if (!trusted && outcome) {
      for (const Vote& each : cast) hosts[each.host].valid = each.outcome == *outcome ? hosts[each.host].valid + 1 : 0;
    }
    measures.executions += cast.size();
    note(measures, outcome);
  }
  return measures;
}

// Credibility voting with spot checks, blacklisting and backtracking: k counts passed checks. Accepts at the trial's epsilon.
Measures run_sarmenta(const Trial& trial) {
  Hosts hosts(trial);
  Measures measures = begin(trial);
  const double assumed = 0.2, target = 1 - trial.epsilon_ppm / 1e6;
  const auto odds = [&](std::uint32_t host) {
    const std::uint32_t k = hosts[host].checks;
    const double c = k == 0 ? 1 - assumed : std::max(1 - assumed, 1 - assumed / ((1 - assumed) * std::numbers::e * k));
    return c / (1 - c);
  };
  struct Unit {
    std::vector<Vote> votes;
    std::optional<std::uint32_t> accepted;
    bool coin = false, settled_lie = false;
  };
  std::vector<Unit> units(trial.units());
  std::vector<std::vector<std::uint32_t>> of_host(trial.peers);
  std::deque<std::uint32_t> open;
  for (std::uint32_t unit = 0; unit < units.size(); ++unit) {
    units[unit].coin = hosts.coin();
    open.push_back(unit);
  }
  const auto judge = [&](Unit& unit) {
    std::vector<std::pair<std::uint32_t, double>> groups;
    for (const Vote& each : unit.votes) {
      auto found = std::ranges::find(groups, each.outcome, &std::pair<std::uint32_t, double>::first);
      if (found == groups.end()) found = groups.insert(found, {each.outcome, 1.0});
      found->second *= odds(each.host);
    }
    double all = 1;
    for (const auto& group : groups) all += group.second;
    unit.accepted.reset();
    for (const auto& [outcome, product] : groups) {
      if (product / all >= target) unit.accepted = outcome;
    }
  };
  while (!open.empty() && hosts.remaining() > trial.peers / 20) {
    const std::uint32_t index = open.front();
    open.pop_front();
    Unit& unit = units[index];
    if (unit.accepted) continue;
    if (unit.votes.size() > answers_max / 4) continue;
    std::vector<std::uint32_t> taken;
    for (const Vote& each : unit.votes) taken.push_back(each.host);
    // Draw as many as their credibility asks, so that the coalition sees whether it holds all.
    std::vector<std::uint32_t> drawn;
    double product = 1;
    for (const Vote& each : unit.votes) product *= odds(each.host);
    while (drawn.empty() || (product / (1 + product) < target && drawn.size() < 8)) {
      drawn.push_back(hosts.draw(taken));
      taken.push_back(drawn.back());
      product *= odds(drawn.back());
    }
    const bool decides = std::ranges::all_of(taken, [&](std::uint32_t host) { return hosts[host].liar; });
    for (const std::uint32_t host : drawn) {
      if (hosts[host].listed) continue;
      // A check comes disguised as a unit, beside the real one; who cheats selectively knows it for what it is.
      if (hosts.rng().chance(trial.check_share / (1 - trial.check_share))) {
        ++measures.executions;
        const bool caught = hosts.answer(host, false, hosts.coin()) != right_answer;
        if (!caught) {
          ++hosts[host].checks;
        } else {
          hosts[host].listed = true;
          if (!hosts[host].liar) ++measures.honest_bans;
          else ++measures.liars_banned;
          for (const std::uint32_t done : of_host[host]) {
            std::erase_if(units[done].votes, [&](const Vote& each) { return each.host == host; });
            judge(units[done]);
            if (!units[done].accepted) open.push_front(done);
          }
          continue;
        }
      }
      ++measures.executions;
      unit.votes.push_back({host, hosts.answer(host, decides, unit.coin)});
      of_host[host].push_back(index);
    }
    judge(unit);
    if (!unit.accepted) open.push_front(index);
  }
  for (Unit& unit : units) note(measures, unit.accepted);
  return measures;
}

Measures run(const Trial& trial) {
  switch (trial.policy) {
    case Policy::starling: return run_starling(trial);
    case Policy::voting: return run_voting(trial);
    case Policy::boinc_visible:
    case Policy::boinc_hidden: return run_boinc(trial);
    case Policy::sarmenta: return run_sarmenta(trial);
  }
  return {};
}

const char* name_of(Policy policy) {
  switch (policy) {
    case Policy::starling: return "starling";
    case Policy::voting: return "voting";
    case Policy::boinc_visible: return "boinc-visible";
    case Policy::boinc_hidden: return "boinc-hidden";
    case Policy::sarmenta: return "sarmenta";
  }
  return "?";
}

const char* name_of(Attack attack) {
  switch (attack) {
    case Attack::none: return "none";
    case Attack::selective: return "selective";
    case Attack::constant: return "constant";
    case Attack::independent: return "independent";
    case Attack::sleeper: return "sleeper";
    case Attack::whitewasher: return "whitewasher";
    case Attack::withdrawer: return "withdrawer";
    case Attack::copier: return "copier";
    case Attack::lazy_auditor: return "lazy-auditor";
    case Attack::squatter: return "squatter";
    case Attack::flood: return "flood";
    case Attack::accuser: return "accuser";
    case Attack::ration: return "ration";
    case Attack::farmer: return "farmer";
    case Attack::image: return "image";
    case Attack::tier: return "tier";
    case Attack::hardware: return "hardware";
    case Attack::bomber: return "bomber";
  }
  return "?";
}

}  // namespace starling::simulation::policy
