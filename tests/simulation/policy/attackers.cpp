#include "tests/simulation/policy/attackers.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <set>

#include "tests/simulation/policy/grid.hpp"
#include "tests/simulation/policy/tables.hpp"

namespace starling::simulation::policy {
namespace {

// With --part the gates of other parts have nothing to judge.
struct Gates {
  Text& text;
  const std::string& part;
  const Rows& rows;
  bool hold = true;
  void gate(const char* group, const char* what, bool holds) {
    const bool asked = part.empty() || part == group, measured = *group == 0 || !of_group(rows, group).empty();
    text.line("- %s: %s", what, !asked ? "not measured" : !measured ? "BROKEN: no rows" : holds ? "holds" : "BROKEN");
    hold = hold && ((holds && measured) || !asked);
  }
};

bool is_limit(const Row& row) { return row.text("note").starts_with("limit:"); }

bool ours(const Row& row) {
  const std::string& group = row.text("group");
  return group != "others" && group != "published" && !is_limit(row);
}

double total(const Rows& rows, const std::string& cell) {
  double sum = 0;
  for (const Row& row : rows) sum += row.number(cell);
  return sum;
}

void honest_gates(Gates& gates, const Rows& rows) {
  const auto all = [&](const char* group, auto&& holds) { return std::ranges::all_of(of_group(rows, group), holds); };
  gates.gate("honest", "every honest swarm finishes, and every one with a liar in which as many honest peers stay as must agree",
             all("honest", [](const Row& row) { return finished(row) || !must_finish(row); }));
  gates.gate("honest", "nothing wrong stays accepted beside one liar (class trusted aside)",
             all("honest", [](const Row& row) { return row.number("error") == 0 || row.text("class") == "trusted"; }));
  gates.gate("faults", "honest faults: what they touched ends right, quarantined programs aside",
             all("faults", [](const Row& row) { return (row.number("error") == 0 && row.number("open") == 0) || row.number("quarantined") > 0 || is_limit(row); }));
}

void attack_gates(Gates& gates, const Rows& rows) {
  const Rows all = of_group(rows, "attacks");
  const std::set<std::string> together{"selective", "whitewasher", "withdrawer", "lazy-auditor", "ration", "farmer"};
  const auto every = [&](auto&& holds) { return std::ranges::all_of(all, holds); };
  gates.gate("attacks", "whoever does not lie together with others leaves nothing wrong and nothing open", every([&](const Row& row) {
               return together.contains(row.text("attack")) || row.text("attack") == "bomber" || (row.number("error") == 0 && row.number("open") == 0);
             }));
  gates.gate("attacks", "who lies together, f <= 0.2: at most 5.5e-3 from 100 units per peer on, 2e-2 in shorter jobs, and nothing open", every([&](const Row& row) {
               const bool asked = together.contains(row.text("attack")) && row.number("f") <= 0.2;
               return !asked || (row.number("error") <= (row.number("units_per_peer") >= 100 ? 5.5e-3 : 2e-2) && row.number("open") == 0);
             }));
  gates.gate("attacks", "the bomber's program is quarantined", every([](const Row& row) { return row.text("attack") != "bomber" || row.number("quarantined") > 0; }));
  gates.gate("attacks", "copiers of right answers are banned: a quarter of them in jobs of 40 units per peer, half from 100 on", every([](const Row& row) {
               const double least = row.number("units_per_peer") >= 100 ? 0.5 : row.number("units_per_peer") >= 40 ? 0.25 : 0;
               return row.text("attack") != "copier" || row.number("liars_banned") >= least * row.number("identities");
             }));
}

void capture_gates(Gates& gates, const Rows& rows) {
  const auto alone = [&](const std::string& choice, const std::string& manner) {  // the mean
    const Rows those = filter(of_group(rows, "capture"), [&](const Row& row) {
      return row.text("choice") == choice && row.text("manner") == manner && row.number("f") == 0.2 && row.number("speed") == 1 && row.number("rate") == 0;
    });
    return those.empty() ? 0 : total(those, "alone_at_once") / static_cast<double>(those.size());
  };
  gates.gate("capture", "forced order, f = 0.2, normal speed: in turn a coalition holds at most a third alone of what it can choose freely",
             alone("free", "hunts") > 0 && alone("forced", "in turn") * 3 <= alone("free", "hunts"));
  gates.gate("capture", "who ignores his own order holds less alone than in turn", alone("forced", "ignores its order") < alone("forced", "in turn"));
}

std::string truth(Gates& gates, const Rows& rows) {
  const Rows mine = filter(rows, ours);
  const double bans = total(mine, "honest_bans"), agreements = total(rows, "agreements"), comparisons = total(rows, "comparisons");
  const auto at = [&](double f) { return worst_of(filter(of_group(rows, "gate"), [&](const Row& row) { return row.number("f") == f; })); };
  const Worst low = at(0.05), high = at(0.2);
  gates.gate(gates.part.c_str(), "no honest peer is banned for a while either, where all hear of what contradicts them at once", total(mine, "bans_for_now") == 0);
  gates.gate(gates.part.c_str(), "no honest peer is banned", bans == 0);
  gates.gate(gates.part.c_str(), "equal judges agree on everything", agreements == comparisons && (comparisons > 0 || !gates.part.empty()));
  gates.gate("gate", "f = 0.05: at most 1.5e-3 at R at most 2.25", low.error.mean <= 1.5e-3 && low.redundancy.mean <= 2.25);
  gates.gate("gate", "f = 0.2: at most 5.5e-3 at R at most 2.45", high.error.mean <= 5.5e-3 && high.redundancy.mean <= 2.45);
  char text[300];
  std::snprintf(text, sizeof text, "truth: honest bans %.0f, agreement %g %%, standard f=0.05 error %.1e R=%.2f, f=0.2 error %.1e R=%.2f", bans,
                comparisons == 0 ? 0 : 100 * agreements / comparisons, low.error.mean, low.redundancy.mean, high.error.mean, high.redundancy.mean);
  return text;
}

// What the last line does not say.
void not_gated(Text& text, const Rows& rows) {
  text.line("\nOutside the gates: rows that begin with `limit`; honest machines that err always and alike, which are banned like liars (docs/threat-model.md); own orders, under which");
  text.line("a coalition that hunts takes part in what it reaches first:");
  for (const double f : {0.05, 0.2}) {
    const Worst worst = worst_of(filter(of_group(rows, "ordered"), [&](const Row& row) { return row.number("f") == f && row.text("note") == "own orders, hunts"; }));
    text.line("f = %.2f leaves %.1e at R = %.2f (%zu seeds).", f, worst.error.mean, worst.redundancy.mean, worst.seeds);
  }
}

// The parts that were run on this grid, in words.
std::string parts_of(const Rows& rows, const std::string& grid) {
  std::set<std::string> parts;
  for (const Row& row : rows) {
    if (row.text("grid") == grid) parts.insert(row.text("group"));
  }
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out.empty() ? "none" : out;
}

void introduction(Text& text, const AttackersOptions& options, const Rows& rows) {
  double seeds = 0, cpu_s = 0;
  for (const Row& row : rows) seeds = std::max(seeds, row.number("seed")), cpu_s += row.number("cpu_s");
  text.line("# Verification, measured\n");
  text.line("Written by `tests/simulate --attackers%s`; the numbers are computed from the raw rows that the run leaves (%zu rows, %.0f s of one core).",
            options.small ? " --small" : "", rows.size(), cpu_s);
  text.line("Models: `tests/simulation/policy/trial.hpp` (peers are drawn for units; attackers, faults) and `forced_order.hpp` (peers take units by their");
  text.line("own orders; capture, honest swarms). %u peers, 100 units each where nothing else is said, seeds from 1 (to %.0f in the first table), epsilon 1e-3.",
            options.small ? 100 : options.peers, seeds);
  text.line("Parts with rows of the full grid: %s; of the small one, which gives no more than an impression: %s.\n", parts_of(rows, "full").c_str(),
            parts_of(rows, "small").c_str());
  text.line("A round is the time of one execution by a peer of normal speed.");
  text.line("Our rows run the real V (`coordinator-less/protocol/judgement/evaluation.hpp`); R counts audits, closing audits and three");
  text.line("executions for each disputed unit. Readers name two active roots unless it says \"no roots\" (there a reader has only its own");
  text.line("replays, 1 % of its executions and, when idle, as many as it likes; R has the 1 % but not the idle ones). Closing audits are 2 %.");
  text.line("Every coalition also confirms its own lies when it audits. Lazy auditors count as honest peers. The bomber's job is quarantined,");
  text.line("so its units stay open.\n");
}

int write_page(const AttackersOptions& options, const Rows& rows) {
  Text text;
  introduction(text, options, rows);
  const auto part = [&](const char* title, const char* words, auto&& table) {
    text.line("\n## %s\n", title);
    text.line(words);
    text.line("");
    return table(text, rows);
  };
  part("Coalition that lies only where it holds every slot",
       "Error: the mean over seeds of the rate that does most harm in that seed, with its 95 % interval. R: of those runs.", stealth_table);
  part("Every attacker, `standard` 1e-3, two roots",
       "One seed. A thousand units per peer: a quarter of the peers. Ever wrong: accepted wrong at some time. Captured: every answer that first\n"
       "accepted the unit was the coalition's. Final: what the share of 200 units is that are final when the job ends (nobody works on to prove\n"
       "them), and from its first answer until then. `ration`: two lies a key at most. `selective` lies only where it holds every slot.\n"
       "`farmer` is that too: what it farmed under an owner of its own is not known of it here (the next table). `copier` executes only what it is first at, and its\n"
       "copies are right; `squatter`: what it claims waits for four rounds.",
       attack_table);
  part("An owner who farms",
       "A coalition has 10,000 verified units each under an owner of its own, and now works in somebody else's job. V takes k that was earned under\n"
       "this job's owner and those that its manifest names, so what was farmed is 0 here. The second rows are not ours: they show why.", farming_table);
  part("Honest faults", "Nobody means harm. A peer executes again what contradicts it, before anything else (decision 0027): tiers that differ end its work, and it takes\n"
       "back its answers, as with a third error; a second one makes it execute twice; R has that. Rows that begin with `limit` are outside the gates.\n"
       "The rate that must be borne is one error in 10,000 units.", faults_table);
  part("Mature swarm", "Every peer, the coalition too, has 1,000 verified units under this owner from earlier jobs; two roots.", mature_table);
  mature_target(text, rows);
  part("Capture under forced order",
       "A coalition that is as fast as others, or 10 or 100 times faster, and knows everything at once. Alone: every counted copy was its own when\n"
       "the unit was first accepted, so it could have been wrong; at the end: still so, and nobody else has executed the unit. The next columns:\n"
       "it lies on all units where it can, or on a tenth. `forced` is as it is, `common` has blocks without own orders, `free` neither.\n"
       "`in turn`: the coalition takes its units as everybody; `hunts`: first units that only it holds, as far as the rules let it reach (under\n"
       "`forced` the slack beyond its first open unit: 5 % of a block, at least 4, at most 4 + log2 of its units); `ignores its order`: it hunts as under `common`, and V does not\n"
       "count what is out of order. DESIGN's figures for f = 0.2, two copies: free choice 24.7 % (of 0.24 active), own orders 3.7 to 3.9 % (in turn).",
       capture_table);
  part("Honest swarms, and one liar among them",
       "Fresh peers, real own orders, deaths; the liar is wrong in everything. The smallest jobs have four units a peer, the largest a full shard\n"
       "of 65,536; there, and among 1,000 peers, only the default class is run in jobs of more than four units a peer. Class trusted\n"
       "believes its liar: it is for one's own machines. Final as above.", honest_table);
  text.line("\n## Published figures\n");
  const bool reproduced = published_table(text, rows);
  text.line("\nNot reproduced: 50-first at f = 0.35 (needs 10^6 units for 10 %), spot checks without blacklisting, 2-first with spot checks and backtracking (2 to 3 times");
  text.line("the work), checkpoint comparison, 50 % defection. The other policies of the first table meet its coalition alone, the attack that does them most harm.");
  text.line("\n## Gates\n");
  Gates gates{text, options.part, rows};
  honest_gates(gates, rows);
  attack_gates(gates, rows);
  capture_gates(gates, rows);
  const std::string last = truth(gates, rows);
  not_gated(text, rows);
  text.line("\n%s", last.c_str());
  if (options.table_file.empty()) {
    std::fputs(text.out.c_str(), stdout);
  } else {
    std::ofstream(options.table_file) << text.out;
    std::printf("%s\n", last.c_str());
  }
  const bool asked = options.part.empty() || options.part == "published";
  return gates.hold && (reproduced || !asked) ? 0 : 1;
}

bool run_grid(const AttackersOptions& options) {
  const auto plan = options.small ? small_grid() : full_grid(options.peers);
  std::ofstream out(options.rows_file);
  std::size_t done = 0;
  std::map<std::string, double> seconds;
  for (const Planned& planned : plan) {
    ++done;
    if (!options.part.empty() && planned.group != options.part) continue;
    const std::clock_t start = std::clock();
    Row row = planned.measure();
    const double cpu_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    seconds[planned.group] += cpu_s;
    row.set("grid", std::string(options.small ? "small" : "full"));
    out << row.set("group", planned.group).set("cpu_s", cpu_s).line() << std::endl;
    if (!options.small && done % 50 == 0) std::fprintf(stderr, "%zu of %zu\n", done, plan.size());
  }
  for (const auto& [group, s] : seconds) std::fprintf(stderr, "%-10s %6.1f s\n", group.c_str(), s);
  return out.good();
}

}  // namespace

int run_attackers(const AttackersOptions& options) {
  if (options.run && !run_grid(options)) {
    std::fprintf(stderr, "simulate: cannot write %s\n", options.rows_file.c_str());
    return 2;
  }
  return write_page(options, read_rows(options.rows_file));
}

}  // namespace starling::simulation::policy
