#include "coordinator-less/protocol/known_peers.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "coordinator-less/protocol/judgement/verification_class.hpp"

namespace starling::protocol {

std::vector<KnownPeer> known_from(const std::vector<EarnedInJob>& jobs) {
  std::map<PeerId, std::uint32_t> units;
  std::set<PeerId> doubtful;
  for (const EarnedInJob& job : jobs) {
    const bool earns = job.finished && answers_required(job.verification) >= 2;
    for (const auto& peer : job.peers) {
      if (peer.banned || peer.faulty_units > 0) doubtful.insert(peer.peer);
      if (earns && peer.verified_units > 0) units[peer.peer] = std::max(units[peer.peer], peer.verified_units);
    }
  }
  std::vector<KnownPeer> known;
  for (const auto& [peer, count] : units)
    if (!doubtful.contains(peer)) known.push_back({peer, std::min(count, credited_units_max)});
  std::ranges::stable_sort(known, std::ranges::greater(), &KnownPeer::units);
  if (known.size() > limits::known_peers_max) known.resize(limits::known_peers_max);
  std::ranges::sort(known);
  return known;
}

}  // namespace starling::protocol
