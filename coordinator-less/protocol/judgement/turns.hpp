// Whose turn it was: which results name their unit's place in their author's own order and pass over at most order_slack (facts.hpp)
// earlier positions that are open to him, neither answered by him nor excused. The rules are those under "order" in evaluation.hpp.
// Everything here follows from facts and from what logs make void (log_standing.hpp): stages do not matter.
// Cost: amortised O(1) steps of its author's order for an answer, O(keys of the block that are ahead of their order x slack) when its unit
// becomes excused, O(answers of the block) when an excuse is taken back or a log was looked at anew.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "coordinator-less/protocol/judgement/entries.hpp"

namespace starling::protocol {

class Turns {
 public:
  // An excuse asks for so many keys. All must outlive this.
  Turns(Entries& entries, const EvaluationParameters& parameters, OwnOrders& orders, std::uint32_t keys_to_excuse);

  bool at_its_position(const Entry& entry) const;
  // A new result, which may have brought others into order: these.
  std::span<const EntryIndex> on_answer(EntryIndex e);
  // What this log makes void has changed: names the blocks to reorder() for it, ascending, when all such logs were told.
  void on_restood(std::span<const EntryIndex> log);
  std::vector<std::uint32_t> poll_disordered();
  void reorder(std::uint32_t block);
  // Nobody is expected in this block any more: what is known of orders there is dropped, and found again should somebody come.
  void rest(std::uint32_t block);

  bool same_excuses(const Turns& other) const { return excused_ == other.excused_; }

 private:
  // How far a peer's own order of a block is known to be open, and what of his lies beyond. With its units, so that whoever asks for one need not
  // have the order drawn.
  struct Open {
    std::uint32_t position;
    UnitIndex unit;
  };
  struct Cursor {
    std::uint32_t scanned = 0;           // earlier positions have been looked at
    std::vector<Open> open;              // of these, neither answered nor excused when last looked at; one above the slack at most
    std::vector<EntryIndex> ahead;       // out of order, by position
  };
  static std::uint64_t cursor_key(std::uint32_t block, PeerIndex peer) { return std::uint64_t{block} << 32 | peer; }
  bool reaches(Cursor& cursor, PeerIndex peer, std::uint32_t block, std::uint32_t position) const;
  bool answered(PeerIndex peer, UnitIndex unit) const;
  bool excusable(UnitIndex unit) const;
  void place(EntryIndex e);
  bool release(PeerIndex peer, UnitIndex unit);

  Entries& entries_;
  const EvaluationParameters& parameters_;
  OwnOrders& orders_;
  std::uint32_t keys_to_excuse_;
  std::vector<bool> excused_;                // per unit
  std::map<std::uint64_t, Cursor> cursors_;  // of (block, peer)
  std::vector<std::vector<PeerIndex>> ahead_of_block_;  // who has entries ahead of his order there
  std::vector<std::uint32_t> disordered_;    // blocks in which what is excused has changed
  std::vector<EntryIndex> released_;         // by the last answer
};

}  // namespace starling::protocol
