// The demo's judgement as a pure function of its three inputs: what was planted and who lies (the sealed truth), the list of
// hits, and the exported evidence. It asks the verdict once per honest key, with that key as the only judge.
//
// Good means: every planted signal found and nothing else; at least units_min units; exactly the liars, of whom there is
// one, are banned by every honest key; nobody honest is banned by anybody.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "tasks/dedoppler/checker/check.hpp"

namespace starling::demo {

inline constexpr std::uint32_t units_min = 256;  // issue 2: fewer would not show a queue
inline constexpr std::size_t liars_wanted = 1;

struct Truth {
  std::vector<dedoppler::checker::Signal> signals;
  std::set<base::PeerId> honest, liars;
};

// `seal` is the SHA-256 that was printed before the job began. Errors (bad_input): another text, or one that is no truth.
base::Expected<Truth> open_truth(const std::string& sealed, const std::string& seal);
std::string seal_of(const std::string& sealed);

struct Judgement {
  dedoppler::checker::Verdict signals;
  std::map<base::PeerId, std::size_t> banned_by;  // each banned key, and how many honest keys ban it
  std::size_t liars_banned = 0;                   // keys banned by every honest key
  std::size_t honest_banned = 0;                  // honest keys banned by any
  std::uint32_t units = 0;
  double executions_per_unit = 0;                 // stated results plus two for each replay, which runs two tiers
  std::vector<std::string> objections;            // empty: all is as it must be

  bool good() const { return objections.empty(); }
  std::string line() const;                       // demo: F/P signals verified, ...
};

// Errors (bad_input): the evidence holds no job, or statements that do not verify.
base::Expected<Judgement> judge(const Truth& truth, const std::vector<dedoppler::Hit>& hits, const runtime::EvidenceFile& evidence);

}  // namespace starling::demo
