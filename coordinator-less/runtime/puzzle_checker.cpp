#include "coordinator-less/runtime/puzzle_checker.hpp"

#include <pthread.h>
#include <sched.h>

#include <condition_variable>
#include <mutex>

#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/crypto/puzzle.hpp"

namespace starling::runtime {
namespace {

constexpr std::chrono::seconds memory_patience{1};

// Without memory for one try there is no answer yet, and a false one would get an honest peer refused.
std::optional<bool> passes(const std::stop_token& stop, const base::PeerId& id, std::uint64_t nonce, unsigned difficulty_bits) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  while (!stop.stop_requested()) {
    if (const auto found = crypto::try_nonce(id, nonce, difficulty_bits)) return found;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, memory_patience, [] { return false; });
  }
  return std::nullopt;
}

std::uint64_t random_nonce() {
  base::Digest random;
  crypto::fill_random(random.bytes);
  return base::read_u64(random.view());
}

}  // namespace

void PuzzleChecker::mint(const base::PeerId& id, unsigned difficulty_bits) {
  minter_ = std::jthread([inbox = inbox_, id, difficulty_bits](const std::stop_token& stop) {
    const sched_param parameters{};
    pthread_setschedparam(pthread_self(), SCHED_IDLE, &parameters);
    for (std::uint64_t nonce = random_nonce();; ++nonce) {
      const auto good = passes(stop, id, nonce, difficulty_bits);
      if (!good) return;
      if (*good) return inbox->push(protocol::Input(protocol::IdMinted{nonce}));
    }
  });
}

void PuzzleChecker::check(const protocol::CheckPuzzle& puzzle) {
  checker_ = std::jthread([inbox = inbox_, puzzle](const std::stop_token& stop) {
    const auto good = passes(stop, puzzle.peer, puzzle.nonce, puzzle.difficulty_bits);
    if (good) inbox->push(protocol::Input(protocol::PuzzleChecked{puzzle.peer, puzzle.nonce, *good}));
  });
}

}  // namespace starling::runtime
