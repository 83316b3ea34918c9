// Whom the manifest of an owner's next job names, and with how much k (decision 0021). Pure.
//
// A peer brings the most that one of his finished jobs gives it. Not their sum: each job began with what the ones before had earned.
// Where one answer alone is believed nobody has earned anything.
// Who has a proven fault or is banned in any of them, whatever its class, ended or not, brings nothing. The limits::known_peers_max with most are named.
#pragma once

#include <vector>

#include "coordinator-less/protocol/explanation.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

struct EarnedInJob {
  bool finished = false;
  std::vector<PeerStanding> peers;
  VerificationClass verification = VerificationClass::standard;
};

std::vector<KnownPeer> known_from(const std::vector<EarnedInJob>& jobs);  // by id

}  // namespace starling::protocol
