// A set that remembers the last so many ids: a new one pushes out the one added longest ago.
#pragma once

#include <cstddef>
#include <deque>
#include <set>

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {

template <class Id, std::size_t size_max>
class RecentSet {
 public:
  void insert(const Id& id) {
    if (!ids_.insert(id).second) return;
    order_.push_back(id);
    if (order_.size() <= size_max) return;
    ids_.erase(order_.front());
    order_.pop_front();
  }
  bool contains(const Id& id) const { return ids_.contains(id); }
  std::size_t size() const { return ids_.size(); }
  void check_invariants() const { STARLING_ENSURE(ids_.size() == order_.size() && ids_.size() <= size_max); }

 private:
  std::set<Id> ids_;
  std::deque<Id> order_;
};

}  // namespace starling::protocol
