// Names of the whole blobs in the local store, and which of them jobs that sleep need (sleeping_job.hpp). Exact, so that eviction takes all that
// nobody needs; a need costs nothing where one job alone has it, and 80 bytes for each further job, however many of its units share the blob.
// Each sleep has a number of its own, so what it needed ends with it.
#pragma once

#include <cstdint>
#include <map>
#include <ranges>
#include <set>
#include <utility>
#include <vector>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class LocalBlobs {
 public:
  using Sleep = std::uint64_t;

  bool contains(const Digest& blob) const { return blobs_.contains(blob); }
  void insert(const Digest& blob) { blobs_.try_emplace(blob, 0); }
  void erase(const Digest& blob) {
    blobs_.erase(blob);
    further_.erase(further_.lower_bound({blob, Sleep{0}}), further_.upper_bound({blob, last_}));
  }
  auto names() const { return std::views::keys(blobs_); }

  Sleep begin_sleep() {
    sleeps_.insert(++last_);
    return last_;
  }
  void end_sleep(Sleep sleep) {
    sleeps_.erase(sleep);
    std::erase_if(further_, [&](const auto& entry) { return entry.second == sleep; });
  }
  void need(const Digest& blob, Sleep sleep) {
    const auto found = blobs_.find(blob);
    STARLING_ENSURE(found != blobs_.end() && sleeps_.contains(sleep));
    if (found->second == sleep) return;
    if (sleeps_.contains(found->second)) {
      further_.emplace(blob, sleep);
    } else {
      found->second = sleep;
      further_.erase(std::pair(blob, sleep));
    }
  }
  std::vector<Sleep> needed_by(const Digest& blob) const {
    std::vector<Sleep> out;
    if (const auto found = blobs_.find(blob); found != blobs_.end() && sleeps_.contains(found->second)) out.push_back(found->second);
    for (auto it = further_.lower_bound({blob, Sleep{0}}); it != further_.end() && it->first == blob; ++it) out.push_back(it->second);
    return out;
  }
  bool needed(const Digest& blob) const { return !needed_by(blob).empty(); }

 private:
  std::map<Digest, Sleep> blobs_;               // with one that needs it, or did
  std::set<std::pair<Digest, Sleep>> further_;  // where several do
  std::set<Sleep> sleeps_;                      // that last
  Sleep last_ = 0;
};

}  // namespace starling::protocol
