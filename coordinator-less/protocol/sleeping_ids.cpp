#include "coordinator-less/protocol/sleeping_ids.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {
namespace {

std::size_t group_of(const MessageId& id) { return std::to_integer<std::size_t>(id.bytes[0] >> 4); }

}  // namespace

void SleepingIds::add(const JobId& job, const std::vector<MessageId>& ids) {
  STARLING_ENSURE(!full());
  while (std::ranges::contains(numbers_, next_, &std::pair<const JobId, std::uint16_t>::second)) ++next_;
  STARLING_ENSURE(numbers_.emplace(job, next_).second);
  std::array<std::vector<Entry>, group_count> added;
  for (const MessageId& id : ids) added[group_of(id)].push_back({id, next_});
  ++next_;
  for (std::size_t n = 0; n < groups_.size(); ++n) {
    if (added[n].empty()) continue;
    std::ranges::sort(added[n], {}, &Entry::id);
    std::vector<Entry> merged;
    merged.reserve(groups_[n].size() + added[n].size());  // to the byte: this is what memory is saved by
    std::ranges::merge(groups_[n], added[n], std::back_inserter(merged), {}, &Entry::id, &Entry::id);
    groups_[n] = std::move(merged);
  }
}

std::vector<MessageId> SleepingIds::remove(const JobId& job) {
  std::vector<MessageId> out;
  const auto found = numbers_.find(job);
  if (found == numbers_.end()) return out;
  const std::uint16_t number = found->second;
  numbers_.erase(found);
  for (auto& group : groups_) {
    const auto gone = std::ranges::stable_partition(group, [&](const Entry& entry) { return entry.job != number; });
    for (const Entry& entry : gone) out.push_back(entry.id);
    if (gone.empty()) continue;
    group.erase(gone.begin(), gone.end());
    group.shrink_to_fit();
  }
  return out;
}

bool SleepingIds::contains(const MessageId& id) const { return std::ranges::binary_search(groups_[group_of(id)], id, {}, &Entry::id); }

std::span<const SleepingIds::Entry> SleepingIds::bucket(std::size_t number) const {
  const auto first_byte = [](const Entry& entry) { return std::to_integer<std::size_t>(entry.id.bytes[0]); };
  const auto found = std::ranges::equal_range(groups_[number >> 4], number, {}, first_byte);
  return {found.begin(), found.end()};
}

std::size_t SleepingIds::size() const {
  std::size_t count = 0;
  for (const auto& group : groups_) count += group.size();
  return count;
}

void SleepingIds::check_invariants() const {
  std::vector<bool> taken(jobs_max + 1, false);
  for (const auto& [job, number] : numbers_) {
    STARLING_ENSURE(!taken[number]);
    taken[number] = true;
  }
  for (std::size_t n = 0; n < groups_.size(); ++n) {
    const auto& group = groups_[n];
    for (std::size_t i = 0; i < group.size(); ++i) {
      STARLING_ENSURE(group_of(group[i].id) == n && (i == 0 || group[i - 1].id < group[i].id));
      STARLING_ENSURE(taken[group[i].job]);
    }
  }
}

}  // namespace starling::protocol
