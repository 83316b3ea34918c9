// The entries of all logs of a job, each in the list of its unit; with each what V derives about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "coordinator-less/protocol/judgement/facts.hpp"

namespace starling::protocol {

using EntryIndex = std::uint32_t;

// What follows for an entry from its author's log alone (log_standing.hpp).
enum class EntryStanding : std::uint8_t { counts, void_, dropped, wrong };

struct Entry {
  LogPlace at;
  PeerIndex peer;
  UnitIndex unit;
  std::uint32_t position;
  OutcomeIndex outcome : 31;
  std::uint32_t is_audit : 1;
  std::uint32_t rank = 0;    // in the author's log
  std::uint32_t work = 0;    // entries before it in the log that are work
  EntryIndex next_of_unit;
  EntryStanding standing = EntryStanding::counts;
  bool at_position : 1 = false;  // a result where its author's order has its unit
  bool is_work : 1 = false;
  bool in_order : 1 = true;      // counts as far as its author's order goes
  bool pending : 1 = false;      // waits for settle() to look which stage it joins
  bool uncredited : 1 = false;   // while pending: is in no state of its author yet
  bool audit() const { return is_audit != 0; }
  EntryFact fact() const { return {peer, at, unit, position, outcome, audit()}; }
};

class Entries {
 public:
  explicit Entries(std::uint32_t unit_count) : first_(unit_count, none), result_count_(unit_count, 0) {}

  EntryIndex add(const EntryFact& fact) {
    if (all_.size() == all_.capacity()) all_.reserve(all_.size() + all_.size() / 8 + 16);  // twice as much would be half empty
    const auto e = static_cast<EntryIndex>(all_.size());
    all_.push_back({.at = fact.at, .peer = fact.peer, .unit = fact.unit, .position = fact.position, .outcome = fact.outcome & 0x7fff'ffffU,
                    .is_audit = fact.audit ? 1U : 0U, .next_of_unit = first_[fact.unit]});
    first_[fact.unit] = e;
    if (!fact.audit && result_count_[fact.unit] < std::numeric_limits<std::uint8_t>::max()) ++result_count_[fact.unit];
    return e;
  }
  Entry& operator[](EntryIndex e) { return all_[e]; }
  const Entry& operator[](EntryIndex e) const { return all_[e]; }
  const std::vector<Entry>& all() const { return all_; }
  std::uint8_t result_count(UnitIndex unit) const { return result_count_[unit]; }  // saturating; repetitions count

  // Indices of a unit's entries, the newest first.
  class Iterator {
   public:
    using value_type = EntryIndex;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(const Entry* all, EntryIndex at) : all_(all), at_(at) {}
    EntryIndex operator*() const { return at_; }
    Iterator& operator++() {
      at_ = all_[at_].next_of_unit;
      return *this;
    }
    Iterator operator++(int) {
      const Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const Entry* all_ = nullptr;
    EntryIndex at_ = none;
  };
  struct OfUnit {
    Iterator first;
    Iterator begin() const { return first; }
    Iterator end() const { return {}; }
  };
  OfUnit of(UnitIndex unit) const { return {{all_.data(), first_[unit]}}; }

 private:
  static constexpr EntryIndex none = std::numeric_limits<EntryIndex>::max();
  std::vector<Entry> all_;
  std::vector<EntryIndex> first_;            // per unit
  std::vector<std::uint8_t> result_count_;   // per unit
};

}  // namespace starling::protocol
