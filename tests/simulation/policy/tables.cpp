#include "tests/simulation/policy/tables.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/simulation/policy/grid.hpp"
#include "tests/simulation/policy/statement_sizes.hpp"

namespace starling::simulation::policy {
namespace {

std::string format(const char* how, double value) {
  char text[40];
  std::snprintf(text, sizeof text, how, value);
  return text;
}

double mean_of(const Rows& rows, const std::string& cell) {
  double sum = 0;
  for (const Row& row : rows) sum += row.number(cell);
  return rows.empty() ? 0 : sum / static_cast<double>(rows.size());
}

double sum_of(const Rows& rows, const std::string& cell) {
  return mean_of(rows, cell) * static_cast<double>(rows.size());
}

// Rows that are alike in these cells, in the order in which they come first.
std::vector<Rows> alike(const Rows& rows, const std::vector<std::string>& cells) {
  std::vector<Rows> out;
  std::map<std::string, std::size_t> place;
  for (const Row& row : rows) {
    std::string key;
    for (const std::string& cell : cells) key += row.text(cell) + '|';
    const auto [it, fresh] = place.try_emplace(key, out.size());
    if (fresh) out.emplace_back();
    out[it->second].push_back(row);
  }
  return out;
}

std::string by_rate(const Rows& rows) {
  std::string out;
  for (const double rate : stealth_rates) {
    std::vector<double> errors;
    for (const Row& row : rows) {
      if (row.number("rate") == rate) errors.push_back(row.number("error"));
    }
    out += (out.empty() ? "" : " / ") + (errors.empty() ? "-" : format("%.1e", estimate(errors).mean));
  }
  return out;
}

std::string agreement_of(const Rows& rows) {
  const double compared = sum_of(rows, "comparisons");
  return compared == 0 ? "-" : format("%g %%", 100 * sum_of(rows, "agreements") / compared);
}

std::string final_of(const Rows& rows) {
  if (mean_of(rows, "final_share") == 0) return "0 %";
  return format("%.0f %%, ", 100 * mean_of(rows, "final_share")) + format("%.0f, ", mean_of(rows, "final_p50")) + format("%.0f", mean_of(rows, "final_p99"));
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

}  // namespace

Worst worst_of(const Rows& rows) {
  std::map<double, const Row*> by_seed;
  for (const Row& row : rows) {
    const Row*& worst = by_seed[row.number("seed")];
    if (worst == nullptr || row.number("error") > worst->number("error")) worst = &row;
  }
  std::vector<double> errors, redundancies;
  for (const auto& [seed, row] : by_seed) {
    errors.push_back(row->number("error"));
    redundancies.push_back(row->number("redundancy"));
  }
  return {estimate(errors), estimate(redundancies), by_seed.size()};
}

void stealth_table(Text& text, const Rows& rows) {
  const auto stealthy = filter(rows, [](const Row& row) {
    const std::string& group = row.text("group");
    return group == "gate" || group == "ordered" || group == "others" || group == "rootless" || group == "classes";
  });
  text.line("| policy | peers | f | worst rate per seed: error | R there | mean error by rate 1 / .5 / .3 / .2 / .1 / .05 | seeds |");
  text.line("|---|---|---|---|---|---|---|");
  for (const Rows& mine : alike(stealthy, {"policy", "peers", "f"})) {
    const Worst worst = worst_of(mine);
    text.line("| %s | %.0f | %.2f | %.1e ± %.0e | %.2f ± %.2f | %s | %zu |", mine[0].text("policy").c_str(), mine[0].number("peers"), mine[0].number("f"), worst.error.mean,
              worst.error.half_width, worst.redundancy.mean, worst.redundancy.half_width, by_rate(mine).c_str(), worst.seeds);
  }
}

void attack_table(Text& text, const Rows& rows) {
  const StatementSizes sizes = measure_statement_sizes();
  text.line("A signed statement with one answer is %.0f bytes, an answer's share of a full batch of them %.0f, a replay %.0f (real encoders, whole",
            sizes.result_alone_bytes, sizes.result_in_batch_bytes, sizes.replay_bytes);
  text.line("envelopes). Bytes a unit: of all statements about it, each answer alone (units that take longer than the batch delay), or in full");
  text.line("batches; signatures a unit likewise. Wrong per key: units accepted wrong at the end over all keys that the attacker used.\n");
  text.line("| attack | peers | units per peer | f | rate | error | ever wrong | wrong per key | captured | open | R | final: share, rounds p50, p99 | bytes a unit alone, batched | signatures | agreement | liars banned of | honest bans, with a fault | quarantined |");
  text.line("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
  for (const Rows& mine : alike(of_group(rows, "attacks"), {"attack", "peers", "units_per_peer", "f", "rate"})) {
    const Row& row = mine[0];
    const double statements = mean_of(mine, "statements"), replays = mean_of(mine, "replays");
    text.line("| %s | %.0f | %.0f | %.2f | %.2f | %.1e | %.1e | %.2g | %.1e | %.1e | %.2f | %s | %.0f, %.0f | %.2f, %.2f | %s | %.0f of %.0f | %.0f, %.0f | %.0f of %zu |",
              row.text("attack").c_str(), row.number("peers"), row.number("units_per_peer"), row.number("f"), row.number("rate"), mean_of(mine, "error"),
              mean_of(mine, "ever_wrong"), mean_of(mine, "wrong_per_identity"), mean_of(mine, "captured"), mean_of(mine, "open"),
              mean_of(mine, "redundancy"), final_of(mine).c_str(), statements * sizes.result_alone_bytes + replays * sizes.replay_bytes,
              statements * sizes.result_in_batch_bytes + replays * sizes.replay_bytes, statements + replays, statements / 96 + replays,
              agreement_of(mine).c_str(), mean_of(mine, "liars_banned"), mean_of(mine, "identities"), sum_of(mine, "honest_bans"),
              sum_of(mine, "honest_faults"), sum_of(mine, "quarantined"), mine.size());
  }
}

void farming_table(Text& text, const Rows& rows) {
  text.line("| class | k counts | peers | f | worst rate per seed: error | R there | mean error by rate 1 / .5 / .3 / .2 / .1 / .05 | wrong per key | seeds |");
  text.line("|---|---|---|---|---|---|---|---|---|");
  for (const Rows& mine : alike(of_group(rows, "farming"), {"policy", "note", "peers", "f"})) {
    const Worst worst = worst_of(mine);
    text.line("| %s | %s | %.0f | %.2f | %.1e ± %.0e | %.2f | %s | %.2g | %zu |", mine[0].text("policy").c_str(), mine[0].text("note").c_str(),
              mine[0].number("peers"), mine[0].number("f"),
              worst.error.mean, worst.error.half_width, worst.redundancy.mean, by_rate(mine).c_str(),
              worst.error.mean * mine[0].number("units") / mine[0].number("identities"), worst.seeds);
  }
}

void faults_table(Text& text, const Rows& rows) {
  text.line("| what fails | peers | units per peer | seeds | honest bans | peers with a proven fault | error | open | R | R without it | quarantined |");
  text.line("|---|---|---|---|---|---|---|---|---|---|---|");
  const Rows all = of_group(rows, "faults");
  for (const Rows& mine : alike(all, {"note", "peers", "units_per_peer"})) {
    const Rows none = filter(all, [&](const Row& row) {
      return row.text("attack") == "none" && row.text("peers") == mine[0].text("peers") && row.text("units_per_peer") == mine[0].text("units_per_peer");
    });
    text.line("| %s | %.0f | %.0f | %zu | %.0f | %.0f | %.1e | %.1e | %.2f | %.2f | %.0f of %zu |", mine[0].text("note").c_str(), mine[0].number("peers"), mine[0].number("units_per_peer"),
              mine.size(), sum_of(mine, "honest_bans"), sum_of(mine, "honest_faults"), mean_of(mine, "error"), mean_of(mine, "open"),
              mean_of(mine, "redundancy"), mean_of(none, "redundancy"), sum_of(mine, "quarantined"), mine.size());
  }
}

const std::vector<std::string> mature_cells{"policy", "peers", "units_per_peer", "audit_share", "f"};

void mature_table(Text& text, const Rows& rows) {
  text.line("| class | peers | units per peer | audits | f | worst rate per seed: error | R there | mean error by rate 1 / .5 / .3 / .2 / .1 / .05 | seeds |");
  text.line("|---|---|---|---|---|---|---|---|---|");
  for (const Rows& mine : alike(of_group(rows, "mature"), mature_cells)) {
    const Worst worst = worst_of(mine);
    text.line("| %s | %.0f | %.0f | %.0f %% | %.2f | %.1e ± %.0e | %.2f ± %.2f | %s | %zu |", mine[0].text("policy").c_str(), mine[0].number("peers"), mine[0].number("units_per_peer"),
              100 * mine[0].number("audit_share"), mine[0].number("f"), worst.error.mean, worst.error.half_width, worst.redundancy.mean, worst.redundancy.half_width,
              by_rate(mine).c_str(), worst.seeds);
  }
}

// What was to be reached, and how near each share of saboteurs lets one come.
void mature_target(Text& text, const Rows& rows) {
  text.line("\nTarget: error at most 1e-4 at R at most 1.6. Two seeds a row are an impression of what it takes; sixteen at 1,000 units per peer with up to 10 % audits.");
  for (const double f : {0.05, 0.2}) {
    std::string met, nearest;
    double least = 1;
    for (const Rows& mine : alike(of_group(rows, "mature"), mature_cells)) {
      const Worst worst = worst_of(mine);
      if (mine[0].number("f") != f || worst.redundancy.mean > 1.6) continue;
      const std::string name = mine[0].text("policy") + format(" with %.0f %% audits", 100 * mine[0].number("audit_share")) +
                               format(" at %.0f units per peer", mine[0].number("units_per_peer")) + format(" (%.1e ", worst.error.mean) +
                               format("at R %.2f)", worst.redundancy.mean);
      if (worst.error.mean <= 1e-4) met += (met.empty() ? "" : ", ") + name;
      if (worst.error.mean < least) least = worst.error.mean, nearest = name;
    }
    text.line("- f = %.2f: %s", f, !met.empty() ? ("met by " + met).c_str() : nearest.empty() ? "not measured" : ("missed; nearest " + nearest).c_str());
  }
}

void capture_table(Text& text, const Rows& rows) {
  text.line("| choice, coalition | class | peers | f | speed | alone at once | alone at the end | lies 1: wrong at once, at the end | lies 0.1: wrong at once, at the end | wrong stood, rounds: mean, p99 | banned of, last at round | rounds | R |");
  text.line("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
  for (const Rows& mine : alike(of_group(rows, "capture"), {"choice", "manner", "class", "peers", "f", "speed"})) {
    const auto at = [&](double rate) { return filter(mine, [&](const Row& row) { return row.number("rate") == rate; }); };
    const auto wrong = [&](double rate) {
      const Rows those = at(rate);
      return those.empty() ? "-" : format("%.2e, ", mean_of(those, "ever_wrong")) + format("%.2e", mean_of(those, "error"));
    };
    const Row& row = mine[0];
    const Rows quiet = at(0), bold = at(1), few = at(0.1);
    const std::string stood = bold.empty() ? "-" : format("%.0f, ", mean_of(bold, "wrong_rounds_mean")) + format("%.0f", mean_of(bold, "wrong_rounds_p99"));
    const std::string banned = bold.empty() ? "-" : format("%.0f of ", mean_of(bold, "liars_banned")) + format("%.0f, ", mean_of(bold, "liars")) +
                                                        format("%.0f", mean_of(bold, "removed_rounds"));
    text.line("| %s, %s | %s | %.0f | %.2f | %.0f | %.1f %% | %.1f %% | %s | %s | %s | %s | %.0f | %.2f |", row.text("choice").c_str(),
              row.text("manner").c_str(), row.text("class").c_str(),
              row.number("peers"), row.number("f"), row.number("speed"), 100 * mean_of(quiet, "alone_at_once"), 100 * mean_of(quiet, "alone_left"), wrong(1).c_str(),
              wrong(0.1).c_str(), stood.c_str(), banned.c_str(), mean_of(quiet, "finished_rounds"), mean_of(quiet, "redundancy"));
  }
}

bool finished(const Row& row) { return row.number("finished_rounds") > 0; }
bool must_finish(const Row& row) {
  return row.text("class") == "trusted" ? row.number("honest_left") > 0 : row.number("honest_left") >= row.number("fresh_target");
}

void honest_table(Text& text, const Rows& rows) {
  text.line("| peers | units | class | swarm | R | finished at round | final: share, rounds p50, p99 | with a liar: R | finished at round | liar banned | wrong |");
  text.line("|---|---|---|---|---|---|---|---|---|---|---|");
  const auto end_of = [](const Row& row) {
    if (finished(row)) return format("%.0f", row.number("finished_rounds"));
    if (must_finish(row)) return std::string("NEVER");
    return format("no: %.0f honest stay, ", row.number("honest_left")) + format("%.0f must agree, ", row.number("fresh_target")) +
           format("%.0f %% open", 100 * row.number("open"));
  };
  for (const Rows& mine : alike(of_group(rows, "honest"), {"peers", "units", "class", "note"})) {
    const Rows clean = filter(mine, [](const Row& row) { return row.number("one_liar") == 0; });
    const Rows liar = filter(mine, [](const Row& row) { return row.number("one_liar") > 0; });
    if (clean.empty() || liar.empty()) continue;
    const Row &a = clean[0], &b = liar[0];
    text.line("| %.0f | %.0f | %s | %s | %.2f | %s | %s | %.2f | %s | %.0f | %.1e |", a.number("peers"), a.number("units"), a.text("class").c_str(),
              a.text("note").c_str(), a.number("redundancy"), end_of(a).c_str(), final_of(clean).c_str(), b.number("redundancy"), end_of(b).c_str(),
              b.number("liars_banned"), b.number("error"));
  }
}

bool published_table(Text& text, const Rows& rows) {
  bool holds = true;
  text.line("| published case (f = 0.35) | formula or bound | simulated | within |");
  text.line("|---|---|---|---|");
  for (const std::uint32_t votes : {15U, 29U, 2U}) {
    const std::string policy = std::to_string(votes) + "-first voting";
    const Rows mine = filter(of_group(rows, "published"), [&](const Row& row) { return row.text("policy") == policy; });
    if (mine.empty()) continue;
    const double simulated = mean_of(mine, "error"), formula = m_first_error(votes, 0.35);
    if (votes == 2) {
      text.line("| 2-first, one lie in ten collides | below 1e-2 | %.2e | %s |", simulated, simulated < 1e-2 ? "yes" : "NO");
      holds = holds && simulated < 1e-2;
    } else {
      const bool near = std::abs(simulated - formula) <= 0.1 * formula;
      text.line("| %u-first, all collude | %.4f | %.4f | %s (10 %%) |", votes, formula, simulated, near ? "yes" : "NO");
      holds = holds && near;
    }
  }
  const Rows credibility = filter(of_group(rows, "published"), [](const Row& row) { return row.text("policy") == "sarmenta"; });
  double most = 0;
  for (const Rows& mine : alike(credibility, {"rate"})) most = std::max(most, mean_of(mine, "error"));
  if (!credibility.empty()) {
    text.line("| credibility voting with blacklisting, q = 0.1: target 1e-2, the worst of five rates of lies | at most 1e-2 | %.2e | %s |", most, most <= 1e-2 ? "yes" : "NO");
    holds = holds && most <= 1e-2;
  }
  return holds && !credibility.empty();
}

}  // namespace starling::simulation::policy
