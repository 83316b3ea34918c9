// One run of the statistical simulator: a policy against an attack, one seed.
//
// Model: no messages and no latency. Time goes in rounds; in each every live peer executes at most one unit, drawn peers are
// uniform, everything that was stated in a round is known to all after it. Worst-case collusion: the members of a coalition know
// each other, everything that was stated, who executes what in the same round, and agree on one wrong value per unit.
// Not modelled here: churn, latency, withheld evidence, own orders inside a block: peers are drawn for units instead (forced_order.hpp
// has orders, speeds and deaths).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::simulation::policy {

using protocol::VerificationClass;

enum class Policy { starling, voting, boinc_visible, boinc_hidden, sarmenta };

enum class Attack {
  none,
  selective,    // one wrong value, only where the coalition holds every slot, on a share `rate` of such units
  constant,     // one wrong value on a share `rate` of all units
  independent,  // each its own wrong values on a share `rate` of its units
  sleeper,      // honest for 50 units, then wrong together, always
  whitewasher,  // selective; whoever was found out comes back under a new key
  withdrawer,   // the same, at its second proven fault, and takes back all that the old key said
  copier,       // repeats what others answered, under a fingerprint of its own making; executes only when it is first
  lazy_auditor, // selective, and as many honest peers again confirm whatever they are to audit
  squatter,     // claims units and never answers: they wait until its claim lapses
  flood,        // ten guesses a round at units of its choice, without executing anything
  accuser,      // contradicts accepted units and publishes replays that nobody asked for
  ration,       // selective, but no key takes part in more than two lies: three proven ones ban
  farmer,       // selective (and only that, where `farmed` is 0); its members earned `farmed` units under an owner of their own
  hardware,     // nobody lies; every peer errs in a share `rate` of its units
  image,        // nobody lies; a tenth of the peers is set back to an older image of its disk, once
  tier,         // nobody lies; a share f has a compiler tier that errs in a share `rate` of this program's units
  bomber,       // a program on which honest peers differ
};

struct Trial {
  Policy policy = Policy::starling;
  Attack attack = Attack::selective;
  double f = 0.05;               // share of saboteurs
  double rate = 1;               // of lies, where the attack has one
  double collusion = 1;          // share of lies that carry the common value
  std::uint32_t peers = 1000;
  std::uint32_t units_per_peer = 100;
  std::uint64_t seed = 1;
  // starling
  VerificationClass verification = VerificationClass::standard;
  std::uint32_t epsilon_ppm = 1000;
  bool roots = true;             // the reader names two active roots; else it has only its own replays
  std::uint32_t earned_before = 0;  // verified units of every peer under this owner, from earlier jobs
  std::uint32_t farmed = 0;         // that a reader would count of what farmers earned under their own owner: none, in truth
  bool judge_has_tier = true;       // tier: one of the judges' machines has it too
  double audit_share = 0.05, closing_share = 0.02;
  std::uint32_t fault_reach = 100;
  std::uint32_t heard_late = 0;  // rounds until a peer hears that it is contradicted: about as many answers of its own
  std::uint32_t takes_back_at = 0;     // so many of its units are proven faulty: of an honest machine that knows that it errs
  // others
  std::uint32_t votes = 2;       // voting
  double check_share = 0.1;      // sarmenta: spot checks

  std::uint32_t units() const { return peers * units_per_peer; }
};

struct Measures {
  std::uint64_t units = 0;
  std::uint64_t wrong = 0;            // accepted with a wrong answer at the end
  std::uint64_t ever_wrong = 0;       // at some time
  std::uint64_t open = 0;             // never accepted (quarantined, or too few peers left)
  std::uint64_t executions = 0;       // audits and replays included
  std::uint64_t coalition_units = 0;  // every answer that first accepted it was the coalition's
  std::uint32_t honest_bans = 0, liars_banned = 0, honest_faults = 0;
  std::uint32_t honest_bans_for_now = 0;  // at some time
  std::uint32_t withdrawn = 0;
  std::uint64_t identities = 0;       // of saboteurs, used up or not
  std::uint64_t rounds = 0;
  std::uint64_t statements = 0, replays = 0;
  // Of 200 units: final at the end, and rounds from the first answer until final for the first time.
  double final_share = 0, final_rounds_p50 = 0, final_rounds_p99 = 0;
  std::uint64_t agreements = 0, comparisons = 0;  // units and peers on which a second reader says the same
  bool quarantined = false;

  double error() const { return static_cast<double>(wrong) / static_cast<double>(units); }
  double redundancy() const { return static_cast<double>(executions) / static_cast<double>(units); }
};

const char* name_of(Policy policy);
const char* name_of(Attack attack);

Measures run(const Trial& trial);           // any policy
Measures run_starling(const Trial& trial);  // the real V
Measures run_voting(const Trial& trial);
Measures run_boinc(const Trial& trial);
Measures run_sarmenta(const Trial& trial);

}  // namespace starling::simulation::policy
