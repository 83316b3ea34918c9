#include "coordinator-less/protocol/custody.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

std::vector<std::pair<UnitIndex, UnitIndex>> ranges_of(const std::set<UnitIndex>& units) {
  std::vector<std::pair<UnitIndex, UnitIndex>> out;
  for (const UnitIndex unit : units) {
    if (!out.empty() && out.back().second == unit)
      out.back().second = unit + 1;
    else
      out.emplace_back(unit, unit + 1);
  }
  return out;
}

Bytes keeper_prefix(const JobId& job, std::optional<UnitIndex> unit) {
  Bytes out = base::copy(base::view("starling/v1/keeper"));
  out.push_back(std::byte{0});
  base::append(out, job.view());
  if (unit) base::append_u32(out, *unit);
  return out;
}

}  // namespace

Custody::Custody(const JobId& job, const PeerId& self, bool light, const JobEvidence& evidence, const Verdict& verdict, Notary& notary)
    : job_(job),
      self_(self),
      light_(light),
      evidence_(evidence),
      verdict_(verdict),
      notary_(notary),
      here_(evidence.unit_count(), false),
      safe_(evidence.unit_count(), false),
      archive_of_(evidence.unit_count()) {}

void Custody::on_unit_changed(UnitIndex unit, const std::set<Digest>& here, const Neighbours& neighbours) {
  std::optional<Digest> archive;
  if (accepted(unit)) archive = verdict_.unit(unit).outcome->digest;
  if (archive != archive_of_[unit]) {
    if (archive_of_[unit]) {
      auto& units = units_of_[*archive_of_[unit]];
      units.erase(unit);
      if (units.empty()) units_of_.erase(*archive_of_[unit]);
    }
    archive_of_[unit] = archive;
    if (archive) {
      units_of_[*archive].insert(unit);
      fresh_.insert(unit);
    }
    orphaned_since_.erase(unit);
    here_[unit] = false;
    news_.erase(unit);
  }
  if (archive && !here_[unit] && here.contains(*archive)) {
    here_[unit] = true;
    news_.insert(unit);
  }
  refresh_safe(unit, neighbours);
}

void Custody::on_blob_here(const Digest& blob, const Neighbours& neighbours) {
  const auto it = units_of_.find(blob);
  if (it == units_of_.end()) return;
  for (const UnitIndex unit : it->second) {
    if (here_[unit]) continue;
    here_[unit] = true;
    news_.insert(unit);
    refresh_safe(unit, neighbours);
  }
}

void Custody::on_blob_lost(const Digest& blob, const Neighbours& neighbours) {
  const auto it = units_of_.find(blob);
  if (it == units_of_.end()) return;
  for (const UnitIndex unit : it->second) {
    here_[unit] = false;
    news_.erase(unit);
    fresh_.insert(unit);
    refresh_safe(unit, neighbours);
  }
}

void Custody::on_holdings(const PeerId& peer, const Holdings& holdings, const Neighbours& neighbours) {
  if (!neighbours.contains(peer)) return;
  Held& held = held_[peer];
  if (held.units.empty()) held.units.assign(here_.size(), false);
  held.inputs_whole = holdings.inputs_whole;
  std::vector<bool> told(here_.size(), false);
  for (const auto& [begin, end] : holdings.units)
    for (UnitIndex unit = begin; unit < std::min<UnitIndex>(end, evidence_.unit_count()); ++unit) told[unit] = true;
  for (UnitIndex unit = 0; unit < told.size(); ++unit) {
    const bool now_held = told[unit] || (!holdings.complete && held.units[unit]);
    if (now_held == held.units[unit]) continue;
    held.units[unit] = now_held;
    refresh_safe(unit, neighbours);
  }
}

void Custody::on_links_changed(const Neighbours& neighbours) {
  std::erase_if(held_, [&](const auto& entry) { return !neighbours.contains(entry.first); });
  for (UnitIndex unit = 0; unit < here_.size(); ++unit) refresh_safe(unit, neighbours);
  sweep_left_ = evidence_.unit_count();
}

void Custody::set_inputs_whole(bool whole) {
  if (inputs_whole_ == whole) return;
  inputs_whole_ = whole;
  inputs_news_ = true;
}

bool Custody::held_by(UnitIndex unit, const PeerId& peer) const {
  const auto it = held_.find(peer);
  if (it != held_.end() && it->second.units[unit]) return true;
  return std::ranges::any_of(evidence_.results(unit), [&](const ResultFact& fact) {
    return fact.author == peer && archive_of_[unit] && fact.outcome.digest == *archive_of_[unit];
  });
}

bool Custody::compute_safe(UnitIndex unit, const Neighbours& neighbours) const {
  if (!archive_of_[unit]) return false;
  if (here_[unit]) return true;
  for (const ResultFact& fact : evidence_.results(unit))
    if (fact.outcome.digest == *archive_of_[unit] && neighbours.contains(fact.author)) return true;
  return std::ranges::any_of(held_, [&](const auto& entry) { return entry.second.units[unit]; });
}

void Custody::refresh_safe(UnitIndex unit, const Neighbours& neighbours) {
  const bool safe = compute_safe(unit, neighbours);
  if (safe == safe_[unit]) return;
  safe_[unit] = safe;
  safe_count_ += safe ? 1U : -1U;
}

std::uint32_t Custody::input_holders(const Neighbours& neighbours) const {
  std::uint32_t count = inputs_whole_ ? 1 : 0;
  for (const auto& [peer, held] : held_)
    if (held.inputs_whole && neighbours.contains(peer) && !neighbours.at(peer)) ++count;
  return count;
}

bool Custody::among_lowest(const Bytes& prefix, std::size_t wanted, const Neighbours& neighbours) const {
  if (light_) return false;
  const auto rank = [&](const PeerId& peer) {
    Bytes bytes = prefix;
    base::append(bytes, peer.view());
    return notary_.digest(bytes);
  };
  std::size_t workers = 1;
  for (const auto& [peer, light] : neighbours) workers += light ? 0 : 1;
  if (workers <= wanted) return true;
  const Digest mine = rank(self_);
  std::size_t lower = 0;
  for (const auto& [peer, light] : neighbours)
    if (!light && rank(peer) < mine && ++lower >= wanted) return false;
  return true;
}

bool Custody::keeps_inputs(const Neighbours& neighbours) const {
  return among_lowest(keeper_prefix(job_, std::nullopt), limits::input_holders_target, neighbours);
}

bool Custody::keeps(const Digest& archive) const { return units_of_.contains(archive); }

std::vector<PeerId> Custody::input_sources(const Neighbours& neighbours) const {
  std::vector<PeerId> out;
  for (const auto& [peer, held] : held_)
    if (held.inputs_whole && neighbours.contains(peer)) out.push_back(peer);
  return out;
}

std::vector<PeerId> Custody::archive_sources(const Digest& archive, const Neighbours& neighbours) const {
  std::set<PeerId> out;
  const auto it = units_of_.find(archive);
  if (it == units_of_.end()) return {};
  for (const UnitIndex unit : it->second) {
    for (const auto& [peer, light] : neighbours)
      if (held_by(unit, peer)) out.insert(peer);
    if (!out.empty()) break;
  }
  return {out.begin(), out.end()};
}

Custody::Duties Custody::poll_duties(base::Instant now, const Neighbours& neighbours, std::size_t pulls_max) {
  Duties duties;
  const auto look_at = [&](UnitIndex unit) {
    if (!archive_of_[unit] || here_[unit] || light_) return;
    if (!safe_[unit]) orphaned_since_.try_emplace(unit, now);
    if (among_lowest(keeper_prefix(job_, unit), limits::archive_holders_target, neighbours))
      duties.pull.push_back({*archive_of_[unit], verdict_.unit(unit).outcome->archive_bytes});
  };
  while (!fresh_.empty() && duties.pull.size() < pulls_max) {
    look_at(*fresh_.begin());
    fresh_.erase(fresh_.begin());
  }
  for (std::size_t n = 0; n < limits::units_swept_per_tick_max && sweep_left_ > 0 && duties.pull.size() < pulls_max; ++n, --sweep_left_) {
    sweep_at_ = (sweep_at_ + 1) % evidence_.unit_count();
    look_at(sweep_at_);
  }
  for (auto it = orphaned_since_.begin(); it != orphaned_since_.end();) {
    auto& [unit, since] = *it;
    if (safe_[unit] || !archive_of_[unit]) {
      it = orphaned_since_.erase(it);
      continue;
    }
    // Its keepers first; where not everybody is linked to everybody they may be out of sight, then whoever misses it.
    const bool keeper = among_lowest(keeper_prefix(job_, unit), limits::archive_holders_target, neighbours);
    if (now - since >= limits::lost_archive_patience * (keeper ? 1 : 2)) {
      duties.execute_again.push_back(unit);
      since = now;  // asked for again only if that run ends without the archive
    }
    ++it;
  }
  return duties;
}

Holdings Custody::poll_news() {
  Holdings out{job_, inputs_whole_, false, ranges_of(news_)};
  if (out.units.size() > limits::ranges_per_holdings_max) out.units.resize(limits::ranges_per_holdings_max);
  if (out.units.empty())
    news_.clear();
  else
    news_.erase(news_.begin(), news_.lower_bound(out.units.back().second));
  inputs_news_ = false;
  return out;
}

Holdings Custody::everything() const {
  std::set<UnitIndex> units;
  for (UnitIndex unit = 0; unit < here_.size(); ++unit)
    if (here_[unit]) units.insert(units.end(), unit);
  Holdings out{job_, inputs_whole_, true, ranges_of(units)};
  if (out.units.size() > limits::ranges_per_holdings_max) {  // too ragged for one message: what is named is held, the rest unsaid
    out.units.resize(limits::ranges_per_holdings_max);
    out.complete = false;
  }
  return out;
}

void Custody::check_invariants(const Neighbours& neighbours) const {
  std::uint32_t safe = 0;
  std::size_t indexed = 0;
  for (UnitIndex unit = 0; unit < here_.size(); ++unit) {
    const auto& verdict = verdict_.unit(unit);
    STARLING_ENSURE(archive_of_[unit].has_value() == verdict.accepted);
    if (verdict.accepted) STARLING_ENSURE(*archive_of_[unit] == verdict.outcome->digest);
    STARLING_ENSURE(safe_[unit] == compute_safe(unit, neighbours));
    STARLING_ENSURE(!here_[unit] || archive_of_[unit]);
    safe += safe_[unit] ? 1U : 0U;
  }
  for (const auto& [archive, units] : units_of_) indexed += units.size();
  STARLING_ENSURE(safe == safe_count_);
  STARLING_ENSURE(indexed == static_cast<std::size_t>(std::ranges::count_if(archive_of_, [](const auto& a) { return a.has_value(); })));
  for (const auto& [peer, held] : held_) STARLING_ENSURE(neighbours.contains(peer));
}

}  // namespace starling::protocol
