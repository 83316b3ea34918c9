// A member with a valid key that says whatever hurts. Its machine runs the real Node as well, so it is linked and gossips
// like everybody; once a second it adds statements and link messages of this file. What it does is data: scenario.hpp,
// Hostility. All of it is well formed and signed: bytes that are not cost the sender its links at once (scenario hostile_relay).
#pragma once

#include <vector>

#include "coordinator-less/protocol/statement_store.hpp"
#include "tests/simulation/world.hpp"

namespace starling::simulation {

class HostileMember {
 public:
  HostileMember(const Hostility& traits, SimNotary& notary, base::Rng rng) : traits_(traits), notary_(notary), rng_(rng) {}

  // What it says to every neighbour this second about one job of which it knows these statements.
  std::vector<protocol::Statement> speak(const JobRun& job, const std::vector<protocol::KeptStatement>& known, std::int64_t unix_ms);
  std::vector<protocol::LinkMessage> whisper(const JobRun& job);  // what carries no signature
  std::uint64_t work_claimed() const { return work_claimed_; }    // results and replays that it made up

 private:
  protocol::Statement false_fold(const JobRun& job, std::int64_t unix_ms);
  void claim_everything(const JobRun& job, std::vector<protocol::Statement>& out);
  void flood(const JobRun& job, const std::vector<protocol::KeptStatement>& known, std::vector<protocol::Statement>& out);
  protocol::Body made_up(const JobRun& job, const std::vector<protocol::KeptStatement>& known);
  protocol::Manifest absurd_manifest(std::int64_t unix_s);
  protocol::PeerRecord moved(std::int64_t unix_ms);
  base::Digest any_digest() { return digest_of_words({rng_.next(), rng_.next()}); }

  const Hostility& traits_;
  SimNotary& notary_;
  base::Rng rng_;
  std::uint64_t sequence_ = 0, work_claimed_ = 0;
  std::uint32_t manifests_made_ = 0;
};

}  // namespace starling::simulation
