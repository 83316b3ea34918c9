// A set of numbers as disjoint half-open ranges: its size follows from the gaps, not from the numbers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {

class RangeSet {
 public:
  void add(std::uint64_t first, std::uint64_t end) {
    if (first >= end) return;
    auto it = ranges_.upper_bound(first);
    if (it != ranges_.begin() && std::prev(it)->second >= first) --it;
    while (it != ranges_.end() && it->first <= end) {
      first = std::min(first, it->first);
      end = std::max(end, it->second);
      it = ranges_.erase(it);
    }
    ranges_[first] = end;
  }
  void remove(std::uint64_t first, std::uint64_t end) {
    if (first >= end) return;
    auto it = ranges_.upper_bound(first);
    if (it != ranges_.begin() && std::prev(it)->second > first) --it;
    while (it != ranges_.end() && it->first < end) {
      const auto [from, to] = *it;
      it = ranges_.erase(it);
      if (from < first) ranges_[from] = first;
      if (to > end) ranges_[end] = to;
    }
  }
  bool contains(std::uint64_t first, std::uint64_t end) const { return first_missing(first, end) >= end; }
  bool touches(std::uint64_t first, std::uint64_t end) const { return first_present(first) < end; }
  // The first number in [first, end) that is not in the set; `end` when all are.
  std::uint64_t first_missing(std::uint64_t first, std::uint64_t end) const {
    const auto it = ranges_.upper_bound(first);
    if (it == ranges_.begin() || std::prev(it)->second <= first) return std::min(first, end);
    return std::min(std::prev(it)->second, end);
  }
  std::uint64_t first_present(std::uint64_t first) const {  // at or after `first`; UINT64_MAX when none is
    const auto it = ranges_.upper_bound(first);
    if (it != ranges_.begin() && std::prev(it)->second > first) return first;
    return it == ranges_.end() ? UINT64_MAX : it->first;
  }
  const std::map<std::uint64_t, std::uint64_t>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  void clear() { ranges_.clear(); }

  void check_invariants() const {
    std::uint64_t last_end = 0;
    for (const auto& [first, end] : ranges_) {
      STARLING_ENSURE(first < end && (last_end == 0 || first > last_end));
      last_end = end;
    }
  }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // first -> end
};

}  // namespace starling::protocol
