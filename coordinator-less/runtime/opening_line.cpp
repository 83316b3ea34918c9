#include "coordinator-less/runtime/opening_line.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/limits.hpp"

namespace starling::runtime {

void OpeningLine::expect(std::vector<StatementAhead> line, CoreView core) {
  line_.clear();
  seen_.clear();
  places_.clear();
  waiting_.clear();
  looked_at_ = 0;
  core_ = std::move(core);
  if (!line.empty()) std::erase_if(suspects_, [&](const base::PeerId& peer) { return !core_.listens_to(peer); });
  if (cores_.threads() < 2 || line.size() < limits::signatures_together_min) return;
  if (line.size() > limits::statements_ahead_max) line.resize(limits::statements_ahead_max);
  line_ = std::move(line);
  for (std::size_t place = 0; place < line_.size(); ++place) places_.emplace(line_[place].raw->data(), place);
}

std::optional<std::size_t> OpeningLine::place_of(base::ByteView raw) const {
  const auto place = places_.find(raw.data());
  if (place == places_.end() || line_[place->second].raw->size() != raw.size()) return std::nullopt;
  return place->second;
}

OpeningLine::Seen& OpeningLine::see(std::size_t place) {
  auto found = seen_.find(place);
  if (found == seen_.end()) found = seen_.emplace(place, Seen{functions_.peek(*line_[place].raw)}).first;
  if (!found->second.id) suspects_.insert(line_[place].from);
  return found->second;
}

base::Expected<base::MessageId> OpeningLine::peek(base::ByteView raw) {
  const auto place = place_of(raw);
  if (!place) return functions_.peek(raw);
  seen_.erase(seen_.begin(), seen_.lower_bound(*place));  // the core is past these
  return see(*place).id;
}

OpeningLine::Opened OpeningLine::open(const Raw& raw) {
  const auto place = place_of(*raw);
  if (!place || line_[*place].raw != raw) return functions_.open(raw);
  Seen& asked = see(*place);
  if (!asked.opened) {
    std::vector<std::pair<Raw, Seen*>> window;
    for (const std::size_t one : window_from(*place)) {
      window.emplace_back(line_[one].raw, &see(one));
      if (const auto& id = window.back().second->id) waiting_.insert(*id);
    }
    cores_.each(window.size(), [&](std::size_t i) { window[i].second->opened = functions_.open(window[i].first); });
  }
  if (!*asked.opened) suspects_.insert(line_[*place].from);
  if (asked.id) waiting_.erase(*asked.id);
  return *std::exchange(asked.opened, std::nullopt);
}

// The core asks in the line's order, so whoever is looked at here and not wanted now is not wanted later either; should the core ask for one
// after all, it makes a window of its own.
std::vector<std::size_t> OpeningLine::window_from(std::size_t first) {
  std::vector<std::size_t> window{first};
  std::set<base::MessageId> ids;
  if (const auto& id = see(first).id) ids.insert(*id);
  looked_at_ = std::max(looked_at_, first + 1);
  while (looked_at_ < line_.size() && window.size() < limits::signatures_together_max) {
    const std::size_t next = looked_at_++;
    if (suspects_.contains(line_[next].from) || !core_.listens_to(line_[next].from)) continue;
    const auto& id = see(next).id;
    if (id && !core_.knows(*id) && !waiting_.contains(*id) && ids.insert(*id).second) window.push_back(next);
  }
  if (window.size() < limits::signatures_together_min) window.resize(1);
  return window;
}

}  // namespace starling::runtime
