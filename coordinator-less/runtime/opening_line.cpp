#include "coordinator-less/runtime/opening_line.hpp"

#include <algorithm>

namespace starling::runtime {

void OpeningLine::expect(std::vector<StatementAhead> line, CoreView core) {
  line_.clear();
  places_.clear();
  waiting_.clear();
  looked_at_ = 0;
  core_ = std::move(core);
  if (!line.empty()) std::erase_if(suspects_, [&](const base::PeerId& peer) { return !core_.listens_to(peer); });
  if (cores_.threads() < 2 || line.size() < limits::signatures_together_min) return;
  for (StatementAhead& ahead : line) {
    Entry& entry = line_.emplace_back(std::move(ahead), line_.size());
    places_.emplace(entry.ahead.raw->data(), &entry);
  }
}

const base::Expected<base::MessageId>& OpeningLine::id_of(Entry& entry) {
  if (!entry.id) entry.id = functions_.peek(*entry.ahead.raw);
  if (!*entry.id) suspects_.insert(entry.ahead.from);
  return *entry.id;
}

base::Expected<base::MessageId> OpeningLine::peek(base::ByteView raw) {
  const auto place = places_.find(raw.data());
  if (place == places_.end() || place->second->ahead.raw->size() != raw.size()) return functions_.peek(raw);
  return id_of(*place->second);
}

OpeningLine::Opened OpeningLine::open(const Raw& raw) {
  const auto place = places_.find(raw->data());
  if (place == places_.end() || place->second->ahead.raw != raw) return functions_.open(raw);
  Entry& entry = *place->second;
  if (!entry.opened) {
    const auto window = window_from(entry);
    for (Entry* one : window)
      if (const auto& id = id_of(*one)) waiting_.insert(*id);
    cores_.each(window.size(), [&](std::size_t i) { window[i]->opened = functions_.open(window[i]->ahead.raw); });
  }
  if (!*entry.opened) suspects_.insert(entry.ahead.from);
  if (const auto& id = id_of(entry)) waiting_.erase(*id);
  return *std::exchange(entry.opened, std::nullopt);
}

// The core asks in the line's order, so whoever is looked at here and not wanted now is not wanted later either; should the core ask for one
// after all, it makes a window of its own.
std::vector<OpeningLine::Entry*> OpeningLine::window_from(Entry& first) {
  std::vector<Entry*> window{&first};
  std::set<base::MessageId> ids;
  if (const auto& id = id_of(first)) ids.insert(*id);
  looked_at_ = std::max(looked_at_, first.place + 1);
  while (looked_at_ < line_.size() && window.size() < limits::signatures_together_max) {
    Entry& next = line_[looked_at_++];
    if (suspects_.contains(next.ahead.from) || !core_.listens_to(next.ahead.from)) continue;
    const auto& id = id_of(next);
    if (id && !core_.knows(*id) && !waiting_.contains(*id) && ids.insert(*id).second) window.push_back(&next);
  }
  if (window.size() < limits::signatures_together_min) window.resize(1);
  return window;
}

}  // namespace starling::runtime
