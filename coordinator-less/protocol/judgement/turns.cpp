#include "coordinator-less/protocol/judgement/turns.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/protocol/judgement/verification_class.hpp"

namespace starling::protocol {

Turns::Turns(Entries& entries, const EvaluationParameters& parameters, OwnOrders& orders, std::uint32_t keys_to_excuse)
    : entries_(entries),
      parameters_(parameters),
      orders_(orders),
      keys_to_excuse_(keys_to_excuse),
      excused_(parameters.unit_count),
      ahead_of_block_(parameters.block_count()) {
  STARLING_ENSURE(keys_to_excuse_ > 0 && keys_to_excuse_ <= answers_required(VerificationClass::strict));
  for (UnitIndex unit = 0; unit < parameters_.unit_count; ++unit) excused_[unit] = parameters_.chained(unit);
}

bool Turns::at_its_position(const Entry& entry) const {
  const auto order = orders_.own_order(entry.peer, parameters_.block_of(entry.unit));
  return entry.position < order.size() && order[entry.position] == entry.unit;
}

// Are at most the slack's number of earlier positions open? Looks no further than it must; what is stale is dropped when it blocks.
bool Turns::reaches(Cursor& cursor, PeerIndex peer, std::uint32_t block, std::uint32_t position) const {
  const std::size_t slack = order_slack(parameters_.end_of(block) - parameters_.first_of(block));
  const auto closed = [&](UnitIndex unit) { return excused_[unit] || answered(peer, unit); };
  for (;;) {
    if (cursor.scanned < position && cursor.open.size() <= slack) {
      const auto order = orders_.own_order(peer, block);
      for (; cursor.scanned < position && cursor.open.size() <= slack; ++cursor.scanned) {
        if (const UnitIndex unit = order[cursor.scanned]; !closed(unit)) cursor.open.push_back({cursor.scanned, unit});
      }
    }
    if (cursor.open.size() <= slack || position <= cursor.open[slack].position) return true;
    if (std::erase_if(cursor.open, [&](const Open& open) { return closed(open.unit); }) == 0) return false;
  }
}

bool Turns::answered(PeerIndex peer, UnitIndex unit) const {
  return std::ranges::any_of(entries_.of(unit), [&](EntryIndex e) { return entries_[e].peer == peer && !entries_[e].audit(); });
}

bool Turns::excusable(UnitIndex unit) const {
  if (parameters_.chained(unit)) return true;
  std::array<PeerIndex, answers_required(VerificationClass::strict)> keys;
  std::size_t known = 0;
  for (const EntryIndex e : entries_.of(unit)) {
    const Entry& entry = entries_[e];
    if (!entry.at_position || entry.standing == EntryStanding::void_) continue;
    const auto end = keys.begin() + static_cast<std::ptrdiff_t>(known);
    if (std::find(keys.begin(), end, entry.peer) == end) keys[known++] = entry.peer;
    if (known == keys_to_excuse_) return true;
  }
  return false;
}

void Turns::place(EntryIndex e) {
  Entry& entry = entries_[e];
  entry.in_order = false;
  if (!entry.at_position) return;  // and never will be
  const std::uint32_t block = parameters_.block_of(entry.unit);
  Cursor& cursor = cursors_[cursor_key(block, entry.peer)];
  entry.in_order = reaches(cursor, entry.peer, block, entry.position);
  if (entry.in_order) return;
  if (cursor.ahead.empty()) ahead_of_block_[block].push_back(entry.peer);
  const auto place = std::ranges::upper_bound(cursor.ahead, entry.position, {}, [&](EntryIndex other) { return entries_[other].position; });
  cursor.ahead.insert(place, e);
}

// Its author's own later ones may come into order, and everybody's, if the unit becomes excused by it.
std::span<const EntryIndex> Turns::on_answer(EntryIndex e) {
  const Entry& entry = entries_[e];
  const bool excuses = !excused_[entry.unit] && excusable(entry.unit);
  if (excuses) excused_[entry.unit] = true;
  place(e);
  released_.clear();
  std::erase_if(ahead_of_block_[parameters_.block_of(entry.unit)], [&](PeerIndex peer) { return (excuses || peer == entry.peer) && release(peer, entry.unit); });
  return released_;
}

// This unit is open to him no more. True: nothing of his lies ahead now.
bool Turns::release(PeerIndex peer, UnitIndex unit) {
  const std::uint32_t block = parameters_.block_of(unit);
  Cursor& cursor = cursors_[cursor_key(block, peer)];
  if (!std::ranges::contains(cursor.open, unit, &Open::unit)) return false;
  auto first = cursor.ahead.begin();
  for (; first != cursor.ahead.end() && reaches(cursor, peer, block, entries_[*first].position); ++first) {
    entries_[*first].in_order = true;
    released_.push_back(*first);
  }
  cursor.ahead.erase(cursor.ahead.begin(), first);
  return cursor.ahead.empty();
}

void Turns::on_restood(std::span<const EntryIndex> log) {
  for (const EntryIndex e : log) {
    const UnitIndex unit = entries_[e].unit;
    if (excused_[unit] == excusable(unit)) continue;
    excused_[unit] = !excused_[unit];
    disordered_.push_back(parameters_.block_of(unit));
  }
}

std::vector<std::uint32_t> Turns::poll_disordered() {
  std::ranges::sort(disordered_);
  const auto repeated = std::ranges::unique(disordered_);
  disordered_.erase(repeated.begin(), repeated.end());
  return std::exchange(disordered_, {});
}

void Turns::rest(std::uint32_t block) {
  const auto end = cursors_.lower_bound(cursor_key(block + 1, 0));
  for (auto cursor = cursors_.lower_bound(cursor_key(block, 0)); cursor != end;) cursor = cursor->second.ahead.empty() ? cursors_.erase(cursor) : std::next(cursor);
}

// Excuses may also be taken back, so that everything in the block is placed anew.
void Turns::reorder(std::uint32_t block) {
  cursors_.erase(cursors_.lower_bound(cursor_key(block, 0)), cursors_.lower_bound(cursor_key(block + 1, 0)));
  ahead_of_block_[block].clear();
  for (UnitIndex unit = parameters_.first_of(block); unit < parameters_.end_of(block); ++unit) {
    for (const EntryIndex e : entries_.of(unit)) {
      if (!entries_[e].audit()) place(e);
    }
  }
}

}  // namespace starling::protocol
