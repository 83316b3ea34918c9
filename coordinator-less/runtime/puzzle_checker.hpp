// Argon2id off the protocol thread: mints this peer's id once and checks others', one after the other. Answers come through
// the inbox as protocol inputs. Threads start with the first order, so a swarm without a puzzle has none.
// Minting begins at a random nonce: the search has no memory, so a restart in the middle loses nothing.
#pragma once

#include <memory>
#include <thread>

#include "coordinator-less/protocol/effect.hpp"
#include "coordinator-less/runtime/inbox.hpp"

namespace starling::runtime {

class PuzzleChecker {
 public:
  explicit PuzzleChecker(std::shared_ptr<Inbox> inbox) : inbox_(std::move(inbox)) {}

  // At idle priority: the machine's owner does not feel it. Gives IdMinted. Called once.
  void mint(const base::PeerId& id, unsigned difficulty_bits);
  // Gives PuzzleChecked. REQUIRES: the check before was answered.
  void check(const protocol::CheckPuzzle& puzzle);

 private:
  std::shared_ptr<Inbox> inbox_;
  std::jthread minter_, checker_;  // asked to stop and waited for: one try takes milliseconds
};

}  // namespace starling::runtime
