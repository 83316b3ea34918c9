#include "tests/simulation/policy/attackers.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "tests/simulation/policy/trial.hpp"

namespace starling::simulation::policy {
namespace {

const std::vector<double> stealth_rates = {1, 0.5, 0.3, 0.2, 0.1, 0.05};

// What a row is grouped by, as text, so that the table is computed from the file alone.
struct Row {
  std::string group, policy, attack;
  double f = 0, rate = 0;
  std::uint32_t units_per_peer = 0, peers = 0;
  std::uint64_t seed = 0;
  double error = 0, ever = 0, redundancy = 0, capture = 0, open = 0;
  std::uint32_t honest_bans = 0, honest_faults = 0, liars_banned = 0, quarantined = 0;
  std::uint64_t identities = 0, rounds = 0, agreements = 0, comparisons = 0;
};

constexpr const char* header =
    "group,policy,attack,f,rate,units_per_peer,peers,seed,error,ever_wrong,redundancy,capture,open,honest_bans,honest_faults,"
    "liars_banned,quarantined,identities,rounds,agreements,comparisons";

std::string policy_text(const Trial& trial) {
  if (trial.policy == Policy::voting) return std::to_string(trial.votes) + "-first voting";
  if (trial.policy != Policy::starling) return name_of(trial.policy);
  const char* classes[] = {"trusted", "fast", "standard", "strict"};
  return std::string(classes[static_cast<int>(trial.verification)]) + (trial.epsilon_ppm >= 10'000 ? " 6e-2" : " 1e-3") +
         (trial.roots ? "" : ", no roots") + (trial.earned_before > 0 ? ", mature" : "");
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

Row measure(const std::string& group, const Trial& trial) {
  const Measures m = run(trial);
  Row row{group, policy_text(trial), name_of(trial.attack), trial.f, trial.rate, trial.units_per_peer, trial.peers, trial.seed,
          m.error(), share(m.ever_wrong, m.units), m.redundancy(), share(m.coalition_units, m.units), share(m.open, m.units),
          m.honest_bans, m.honest_faults, m.liars_banned, m.quarantined ? 1U : 0U, m.identities, m.rounds, m.agreements, m.comparisons};
  return row;
}

void write(std::ofstream& out, const Row& r) {
  std::string policy = r.policy;
  std::ranges::replace(policy, ',', ';');
  out << r.group << ',' << policy << ',' << r.attack << ',' << r.f << ',' << r.rate << ',' << r.units_per_peer << ',' << r.peers << ','
      << r.seed << ',' << r.error << ',' << r.ever << ',' << r.redundancy << ',' << r.capture << ',' << r.open << ',' << r.honest_bans
      << ',' << r.honest_faults << ',' << r.liars_banned << ',' << r.quarantined << ',' << r.identities << ',' << r.rounds << ','
      << r.agreements << ',' << r.comparisons << '\n';
  out.flush();
}

std::vector<Row> read_rows(const std::string& file) {
  std::vector<Row> rows;
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);  // the header
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::vector<std::string> w;
    for (std::string word; std::getline(words, word, ',');) w.push_back(word);
    if (w.size() != 21) continue;
    const auto real = [&](std::size_t i) { return std::stod(w[i]); };
    const auto whole = [&](std::size_t i) { return std::stoull(w[i]); };
    const auto small = [&](std::size_t i) { return static_cast<std::uint32_t>(std::stoul(w[i])); };
    std::ranges::replace(w[1], ';', ',');
    rows.push_back({w[0], w[1], w[2], real(3), real(4), small(5), small(6), whole(7), real(8), real(9), real(10), real(11), real(12),
                    small(13), small(14), small(15), small(16), whole(17), whole(18), whole(19), whole(20)});
  }
  return rows;
}

// ---------------------------------------------------------------- the grid

struct Planned {
  std::string group;
  Trial trial;
};

void stealth(std::vector<Planned>& plan, const std::string& group, Trial trial, const std::vector<double>& rates, std::uint64_t seeds) {
  for (const double f : {0.05, 0.2}) {
    for (const double rate : rates) {
      for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        trial.f = f;
        trial.rate = rate;
        trial.seed = seed;
        plan.push_back({group, trial});
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
void published(std::vector<Planned>& plan, std::uint64_t seeds, std::uint32_t units_per_peer) {
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
      plan.push_back({"published", trial});
    }
    trial.collusion = 0.1;
    trial.votes = 2;
    plan.push_back({"published", trial});
  }
}

void attacks(std::vector<Planned>& plan, std::uint32_t peers, const std::vector<double>& shares, std::uint64_t seeds) {
  for (const Attack attack : {Attack::none, Attack::independent, Attack::constant, Attack::sleeper, Attack::whitewasher, Attack::copier,
                              Attack::lazy_auditor, Attack::squatter, Attack::flood, Attack::accuser, Attack::hardware, Attack::bomber}) {
    for (const double f : shares) {
      const bool nobody = attack == Attack::none || attack == Attack::hardware || attack == Attack::bomber;
      if (nobody && f != shares.front()) continue;
      for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        Trial trial;
        trial.attack = attack;
        trial.peers = peers;
        trial.f = nobody ? 0 : f;
        trial.rate = attack == Attack::constant || attack == Attack::independent || attack == Attack::whitewasher || attack == Attack::lazy_auditor ? 0.2 : 1;
        trial.seed = seed;
        plan.push_back({"attacks", trial});
      }
    }
  }
}

std::vector<Planned> small_grid() {
  std::vector<Planned> plan;
  Trial trial;
  trial.peers = 100;
  stealth(plan, "gate", trial, {1, 0.2, 0.1}, 3);
  for (Trial other : other_policies(100)) stealth(plan, "others", other, {1, 0.2}, 1);
  published(plan, 1, 3);
  trial.units_per_peer = 40;
  attacks(plan, 60, {0.2}, 1);
  return plan;
}

std::vector<Planned> full_grid(std::uint32_t peers) {
  std::vector<Planned> plan;
  Trial trial;
  trial.peers = peers;
  stealth(plan, "gate", trial, stealth_rates, 16);
  for (const Trial& other : other_policies(peers)) stealth(plan, "others", other, stealth_rates, 16);
  published(plan, 4, 5);
  attacks(plan, peers, {0.01, 0.05, 0.1, 0.2, 0.35}, 1);
  trial.roots = false;
  stealth(plan, "rootless", trial, stealth_rates, 2);
  trial.roots = true;
  for (const auto verification : {VerificationClass::fast, VerificationClass::strict}) {
    trial.verification = verification;
    stealth(plan, "classes", trial, stealth_rates, 2);
  }
  trial.verification = VerificationClass::standard;
  for (const std::uint32_t units_per_peer : {10U, 1000U}) {
    for (const double f : {0.05, 0.2, 0.35}) {
      for (const double rate : {1.0, 0.2, 0.05}) {
        Trial wide = trial;
        wide.peers = units_per_peer == 1000 ? peers / 4 : peers;
        wide.units_per_peer = units_per_peer;
        wide.f = f;
        wide.rate = rate;
        plan.push_back({"length", wide});
      }
    }
  }
  return plan;
}

// ---------------------------------------------------------------- the table

struct Estimate {
  double mean = 0, half_width = 0;  // 95 %, normal
};

Estimate estimate(const std::vector<double>& values) {
  Estimate e;
  for (const double v : values) e.mean += v;
  e.mean /= static_cast<double>(values.size());
  double squares = 0;
  for (const double v : values) squares += (v - e.mean) * (v - e.mean);
  if (values.size() > 1) e.half_width = 1.96 * std::sqrt(squares / static_cast<double>(values.size() - 1) / static_cast<double>(values.size()));
  return e;
}

struct Worst {
  Estimate error, redundancy;
  std::size_t seeds = 0;
};

// Per seed the rate that does most harm; the mean of these over the seeds.
Worst worst_of(const std::vector<Row>& rows) {
  std::map<std::uint64_t, const Row*> by_seed;
  for (const Row& row : rows) {
    const Row*& worst = by_seed[row.seed];
    if (worst == nullptr || row.error > worst->error) worst = &row;
  }
  std::vector<double> errors, redundancies;
  for (const auto& [seed, row] : by_seed) {
    errors.push_back(row->error);
    redundancies.push_back(row->redundancy);
  }
  return {estimate(errors), estimate(redundancies), by_seed.size()};
}

struct Text {
  std::string out;
  void line(const char* text) { out += std::string(text) + '\n'; }
  template <class... Values>
  void line(const char* format, Values... values) {
    char text[400];
    std::snprintf(text, sizeof text, format, values...);
    line(static_cast<const char*>(text));
  }
};

std::vector<Row> filter(const std::vector<Row>& rows, const auto& keep) {
  std::vector<Row> out;
  std::ranges::copy_if(rows, std::back_inserter(out), keep);
  return out;
}

void stealth_table(Text& text, const std::vector<Row>& rows) {
  text.line("| policy | f | worst rate per seed: error | R there | mean error by rate 1 / .5 / .3 / .2 / .1 / .05 | seeds |");
  text.line("|---|---|---|---|---|---|");
  std::vector<std::string> policies;
  for (const Row& row : rows) {
    if (row.attack == "selective" && row.group != "length" && std::ranges::find(policies, row.policy) == policies.end()) policies.push_back(row.policy);
  }
  for (const std::string& policy : policies) {
    for (const double f : {0.05, 0.2}) {
      const auto mine = filter(rows, [&](const Row& r) { return r.policy == policy && r.f == f && r.attack == "selective" && r.group != "length"; });
      if (mine.empty()) continue;
      std::string by_rate;
      for (const double rate : stealth_rates) {
        std::vector<double> errors;
        for (const Row& r : mine) {
          if (r.rate == rate) errors.push_back(r.error);
        }
        char number[32] = "-";
        if (!errors.empty()) std::snprintf(number, sizeof number, "%.1e", estimate(errors).mean);
        by_rate += (by_rate.empty() ? "" : " / ") + std::string(number);
      }
      const Worst worst = worst_of(mine);
      text.line("| %s | %.2f | %.1e ± %.0e | %.2f ± %.2f | %s | %zu |", policy.c_str(), f, worst.error.mean, worst.error.half_width,
                worst.redundancy.mean, worst.redundancy.half_width, by_rate.c_str(), worst.seeds);
    }
  }
}

void attack_table(Text& text, const std::vector<Row>& rows) {
  text.line("| attack | units per peer | f | rate | error | ever wrong | open | R | liars banned of | honest bans, with a fault | quarantined |");
  text.line("|---|---|---|---|---|---|---|---|---|---|---|");
  std::vector<Row> done;
  for (const Row& row : rows) {
    if (row.group != "attacks" && row.group != "length") continue;
    const auto same = [&](const Row& r) {
      return r.group == row.group && r.attack == row.attack && r.f == row.f && r.rate == row.rate && r.units_per_peer == row.units_per_peer;
    };
    if (std::ranges::any_of(done, same)) continue;
    done.push_back(row);
    const auto mine = filter(rows, same);
    double error = 0, ever = 0, open = 0, redundancy = 0, banned = 0, identities = 0;
    std::uint32_t bans = 0, faults = 0, quarantined = 0;
    for (const Row& r : mine) {
      error += r.error, ever += r.ever, open += r.open, redundancy += r.redundancy;
      banned += r.liars_banned, identities += static_cast<double>(r.identities);
      bans += r.honest_bans, faults += r.honest_faults, quarantined += r.quarantined;
    }
    const auto n = static_cast<double>(mine.size());
    text.line("| %s | %u | %.2f | %.2f | %.1e | %.1e | %.1e | %.2f | %.0f of %.0f | %u, %u | %u of %zu |", row.attack.c_str(), row.units_per_peer,
              row.f, row.rate, error / n, ever / n, open / n, redundancy / n, banned / n, identities / n, bans, faults, quarantined, mine.size());
  }
}

// m-first voting: sum of C(2m-1, j) p^j (1-p)^(2m-1-j) for j >= m (Watanabe and Fukushi, eq. 7).
double m_first_error(std::uint32_t m, double p) {
  const double n = 2.0 * m - 1;
  double sum = 0;
  for (std::uint32_t j = m; j <= 2 * m - 1; ++j) {
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(j + 1.0) - std::lgamma(n - j + 1) + j * std::log(p) + (n - j) * std::log(1 - p));
  }
  return sum;
}

bool published_table(Text& text, const std::vector<Row>& rows) {
  bool holds = true;
  text.line("| published case (f = 0.35) | formula or bound | simulated | within |");
  text.line("|---|---|---|---|");
  for (const std::uint32_t votes : {15U, 29U, 2U}) {
    std::vector<double> errors;
    for (const Row& r : rows) {
      if (r.group == "published" && r.policy == std::to_string(votes) + "-first voting") errors.push_back(r.error);
    }
    if (errors.empty()) continue;
    const double simulated = estimate(errors).mean, formula = m_first_error(votes, 0.35);
    if (votes == 2) {
      text.line("| 2-first, one lie in ten collides | below 1e-2 | %.2e | %s |", simulated, simulated < 1e-2 ? "yes" : "NO");
      holds = holds && simulated < 1e-2;
    } else {
      const bool near = std::abs(simulated - formula) <= 0.1 * formula;
      text.line("| %u-first, all collude | %.4f | %.4f | %s (10 %%) |", votes, formula, simulated, near ? "yes" : "NO");
      holds = holds && near;
    }
  }
  return holds;
}

struct Gates {
  bool hold = true;
  std::string truth;
};

Gates gates(const std::vector<Row>& rows, Text& text) {
  Gates out;
  std::uint64_t bans = 0, agreements = 0, comparisons = 0;
  for (const Row& row : rows) {
    bans += row.group == "others" || row.group == "published" ? 0 : row.honest_bans;
    agreements += row.agreements;
    comparisons += row.comparisons;
  }
  const auto at = [&](double f) { return worst_of(filter(rows, [&](const Row& r) { return r.group == "gate" && r.f == f; })); };
  const Worst low = at(0.05), high = at(0.2);
  const auto gate = [&](const char* what, bool holds) {
    text.line("- %s: %s", what, holds ? "holds" : "BROKEN");
    out.hold = out.hold && holds;
  };
  gate("no honest peer is banned", bans == 0);
  gate("equal judges agree on everything", agreements == comparisons && comparisons > 0);
  gate("f = 0.05: at most 1.5e-3 at R at most 2.25", low.error.mean <= 1.5e-3 && low.redundancy.mean <= 2.25);
  gate("f = 0.2: at most 5.5e-3 at R at most 2.45", high.error.mean <= 5.5e-3 && high.redundancy.mean <= 2.45);
  char truth[300];
  std::snprintf(truth, sizeof truth, "truth: honest bans %llu, agreement %g %%, standard f=0.05 error %.1e R=%.2f, f=0.2 error %.1e R=%.2f",
                static_cast<unsigned long long>(bans), 100 * share(agreements, comparisons), low.error.mean, low.redundancy.mean,
                high.error.mean, high.redundancy.mean);
  out.truth = truth;
  return out;
}

bool run_grid(const AttackersOptions& options) {
  const auto plan = options.small ? small_grid() : full_grid(options.peers);
  std::ofstream out(options.rows_file);
  if (!out) return false;
  out << header << '\n';
  std::size_t done = 0;
  for (const Planned& planned : plan) {
    write(out, measure(planned.group, planned.trial));
    if (!options.small && ++done % 50 == 0) std::fprintf(stderr, "%zu of %zu\n", done, plan.size());
  }
  return out.good();
}

}  // namespace

int run_attackers(const AttackersOptions& options) {
  if (options.run && !run_grid(options)) {
    std::fprintf(stderr, "simulate: cannot write %s\n", options.rows_file.c_str());
    return 2;
  }
  const auto rows = read_rows(options.rows_file);
  const std::uint32_t peers = options.small ? 100 : options.peers;
  std::uint64_t seeds = 0;
  for (const Row& row : rows) seeds = std::max(seeds, row.seed);
  Text text;
  text.line("# Verification, measured\n");
  text.line("Written by `tests/simulate --attackers%s`; the numbers are computed from the raw rows that the run leaves (%zu rows).", options.small ? " --small" : "", rows.size());
  text.line("Model: `tests/simulation/policy/trial.hpp`. %u peers, 100 units each where nothing else is said, seeds 1 to %llu, epsilon 1e-3.", peers, static_cast<unsigned long long>(seeds));
  text.line("Our rows run the real V (`coordinator-less/protocol/judgement/evaluation.hpp`); R counts audits, closing audits and three");
  text.line("executions for each disputed unit. Readers name two active roots unless it says \"no roots\" (there a reader has only its own");
  text.line("replays, 1 % of its executions and, when idle, as many as it likes; R has the 1 % but not the idle ones). Closing audits are 2 %.");
  text.line("Every coalition also confirms its own lies when it audits. Lazy auditors count as honest peers. The bomber's job is quarantined,");
  text.line("so its units stay open. Not in the grid: lies rationed per identity, owners who farm (k of other owners does not enter V).\n");
  text.line("## Coalition that lies only where it holds every slot\n");
  text.line("Error: the mean over seeds of the rate that does most harm in that seed, with its 95 % interval. R: of those runs.\n");
  stealth_table(text, rows);
  text.line("\n## Other attackers, `standard`, two roots\n");
  attack_table(text, rows);
  text.line("\n## Published figures\n");
  const bool reproduced = published_table(text, rows);
  text.line("\nNot reproduced: 50-first at f = 0.35 (needs 10^6 units for 10 %), spot checks without blacklisting, checkpoint comparison, 50 % defection.");
  text.line("\n## Gates\n");
  const Gates result = gates(rows, text);
  text.line("\n%s", result.truth.c_str());
  if (options.table_file.empty()) {
    std::fputs(text.out.c_str(), stdout);
  } else {
    std::ofstream(options.table_file) << text.out;
    std::printf("%s\n", result.truth.c_str());
  }
  return result.hold && reproduced ? 0 : 1;
}

}  // namespace starling::simulation::policy
