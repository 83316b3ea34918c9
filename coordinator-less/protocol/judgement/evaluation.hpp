// V(evidence, judges, parameters): what signed facts imply about every unit and every peer of a job. Pure: no clock, no float,
// no order of arrival, no map order, no network address. Peers, outcomes and units are dense numbers that the reader gives them;
// a unit's number is its place in the common order, so that block b holds units [b x block_units, ...).
//
// Facts   An entry is one signed answer in a peer's log, ordered by chain, then index. A replay is one re-execution of an
//         answer on two tiers. Both may come in any order and more than once.
// Static  What follows from facts alone:
//         - two entries at one place of a log, two different answers of a key to one unit from one input, or what the reader tells
//           as such (two statements that follow the same one): a fork at the later place. Everything of that chain from there on
//           is void, k starts anew behind it, and the different answers void each other. No ban.
//         - equal answers of a key to a unit count once: the first result that may count, else the first audit. Of its answers to a
//           unit from ever more inputs those from the first eight are answers, the others void.
//         - work: the first result of a key to a unit, whatever its input, that is not void so far and, if own orders are given, names
//           its unit's place in its author's own order. What needs no work is an entry all the same, but buys and shields nothing:
//         - the n-th audit of a log counts only behind 8 (n - 4) entries of work, so that dissent is no cheaper than work.
//         - a judge's replay whose tiers agree and differ from the accused's answer from the same input proves that answer wrong:
//           a fault. The replay names the head it had seen. The last `fault_reach` entries of work up to that head count no more,
//           nor do the 64 after it, nor anything among either, and k counts from behind those. Three faulty units within 1,000
//           entries of work, or a replay that finds the fingerprint of an answer from the same input wrong: banned, nothing of that
//           key counts. Tiers that differ quarantine the program.
//         - order: if own orders are given, a result is in order when it names its unit's place in its author's own order and at
//           most max(4, 5 % of the block) earlier positions are neither answered by him nor excused. Excused: answered at its
//           place in their own orders by at least r keys whose answers are not void (nobody banned, no fork), hence every unit that
//           is accepted, and that stays so when a fault drops an answer; and every unit that goes on from another, since no fact
//           tells when those open. (Price: a coalition may choose among the open ones of them.) Only what is in order counts.
//         `trusted` believes any single result: blocks, windows and order do not matter to it.
// Stages  k = what was earned elsewhere (0 if nothing, or after a fault); then, with k frozen, every unit that reaches its target is
//         accepted; k, windows and blocks are counted again; until a stage accepts nothing. Accepted stays accepted.
//         - verified: a counting entry whose unit is accepted with its outcome. k: verified results behind the last fault or fork.
//         - window: a result counts when fewer than min(64, 16 + k / 4) unverified ones of its author that may count stand before
//           it in the log. In the oldest block with an open unit all do. Contradicted results stay unverified, so a liar's own
//           lies fill his window.
//         - blocks: a result in block b counts when at least half of each block before b - 1 is accepted. (Half, since a ban
//           reopens old units: what honest peers did after them must not fall with them.)
//         - audits (answers to units picked with a private coin) never support: else a coalition could choose what it confirms.
//           One that differs from the leading group dissents, in any stage. They add no k, since agreeing costs nothing.
//         - chains: with a stride, unit n >= stride goes on from what was accepted of n - stride. Its entries, audits too, count in
//           a stage if that happened in an earlier one, with an outcome that goes on and that is their input. With any other
//           outcome the later units of the chain are skipped in the same stage: closed and done for blocks, but not accepted and
//           without outcome. An answer from another input is neither vote nor fault; until that input is accepted again it
//           stays unverified in its author's window, like a contradicted one. Below the stride there is but one input.
//         - accepted: the one group with the highest odds of results has at least r of them (fast 1, standard 2, strict 3) and is
//           credible (credibility.hpp) against all other groups. `trusted` asks for one result and no credibility.
// Incremental: stages form a journal. An answer, at the end of its log or among other answers, joins the stage in which it would have
// counted, if nothing else follows from it: no contradiction, repetition or fault, and no other answer pushed out of a window in a
// stage in which it was heard. Any other fact names the first stage that it can touch; settle() takes back the journal to there and goes on.
// An answer in block b touches nothing before block b could count, and nothing at all while it is not enough to accept its unit.
// An acceptance marks the unit that goes on from it; one that joins a past stage tries it in the stages behind that one.
// Equals evaluation from scratch and a naive model, by test (tests/model).
// Cost: add O(answers of the unit), with orders amortised O(1) steps of its author's order more, and O(keys of the block that are
// ahead of their order x slack) when its unit becomes excused; settle O(1) without news, O(open answers of the authors concerned)
// for answers in the usual order, O(facts of two blocks) when a block is passed, O(all) after a fault. An answer among others: O(log)
// more. A log that is looked at as a whole: O(n log n), whatever is repeated in it. Memory: 44 bytes per entry, 13 per unit.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

using PeerIndex = std::uint32_t;
using OutcomeIndex = std::uint32_t;  // below 2^31
using Stage = std::uint32_t;

struct EntryFact {
  PeerIndex peer = 0;
  LogPlace at;
  UnitIndex unit = 0;
  std::uint32_t position = 0;  // in the author's own order, counted from the block's start; of results only
  OutcomeIndex outcome = 0;
  bool audit = false;
  auto operator<=>(const EntryFact&) const = default;
};

struct ReplayedFact {
  PeerIndex judge = 0, accused = 0;
  UnitIndex unit = 0;
  OutcomeIndex compiled = 0, interpreted = 0;
  LogPlace head;                    // the accused's last entry that the judge had seen
  bool fingerprint_wrong = false;   // no execution gives the fingerprint that the accused signed
  auto operator<=>(const ReplayedFact&) const = default;
};

// What the reader saw of a contradiction in a key's log beside its entries: this place follows what another place follows.
struct ForkedFact {
  PeerIndex peer = 0;
  LogPlace at;  // the later one
  auto operator<=>(const ForkedFact&) const = default;
};

// The reader's view of other keys' own orders (order.hpp): the units of a block as this peer must take them.
class OwnOrders {
 public:
  virtual ~OwnOrders() = default;
  virtual std::span<const UnitIndex> own_order(PeerIndex peer, std::uint32_t block) = 0;
};

// What the outcomes of a chain (segments.hpp) have to do with each other; asked only about units from the stride on, but for goes_on.
class Chains {
 public:
  virtual ~Chains() = default;
  virtual bool goes_on(UnitIndex unit, OutcomeIndex outcome) = 0;                         // it is a checkpoint
  virtual bool follows(UnitIndex unit, OutcomeIndex outcome, OutcomeIndex before) = 0;    // its input is what `before` left of unit - stride
  virtual bool same_input(UnitIndex unit, OutcomeIndex one, OutcomeIndex other) = 0;    // an equivalence
};

struct EvaluationParameters {
  VerificationClass verification = VerificationClass::standard;
  std::uint32_t epsilon_ppm = 1000;
  std::uint32_t unit_count = 0;
  std::uint32_t block_units = 16;
  std::uint32_t fault_reach = 100;  // measured: less leaves errors, more asks for executions (decision 0018)
  std::vector<PeerIndex> judges;
  std::uint32_t stride = 0;         // unit n goes on from n - stride; 0: none does
};

inline constexpr std::uint32_t window_min = 16;            // five fresh peers fill a block of the least size
inline constexpr std::uint32_t window_max = 64;            // what one key can make undone at a time
inline constexpr std::uint32_t units_per_window_step = 4;  // verified units that widen it by one
inline constexpr std::uint32_t probation_work = 64;        // after a fault; a full window
inline constexpr std::uint32_t fault_span_work = 1000;     // honest hardware does not err three times in it
inline constexpr std::uint32_t order_slack_min = 4;
inline constexpr std::uint32_t order_slack_divisor = 20;   // 5 % of the block
inline constexpr std::uint32_t audits_free = 4;
inline constexpr std::uint32_t work_per_audit = 8;         // 5 % audits and 5 % closing audits are one in ten
inline constexpr std::uint32_t inputs_per_unit_max = 8;    // of one key; each further one takes a chain that was reopened
inline constexpr std::uint32_t audits_until_final = 5;
inline constexpr std::uint32_t units_until_final = 200;
inline constexpr std::uint32_t fresh_members_max = 20;     // as many fresh peers are asked for; what they cannot settle, replays do

// What counts for a unit now; of an accepted one, what may count behind what it goes on from, in whatever stage it was said.
struct Standings {
  std::optional<OutcomeIndex> leader;  // the accepted outcome; else of the group with the highest odds, of equal ones the lower
  std::uint32_t supporters = 0;        // results that agree with it
  std::uint32_t dissenters = 0;        // results and audits that do not
  std::optional<std::uint32_t> missing = 0;  // agreeing results of fresh peers that would accept it; none: fresh_members_max are not enough
  bool operator==(const Standings&) const = default;
};

// Why an entry counts now, or not: the first of these that holds.
enum class Weight : std::uint8_t {
  unknown,       // no such entry
  banned,        // its author is
  proven_wrong,
  void_,         // a fork, a repetition, an audit that no work stands behind, an answer from one input too many
  probation,     // dropped by a fault of its author before or after it
  other_input,   // waits, or went on from what is not accepted
  audit,         // counts against, never for
  out_of_order,  // not the author's turn, or not his position
  later_block,   // earlier blocks are not half done
  out_of_window, // its author has too many unverified results before it
  counts
};

class Evaluation {
 public:
  // `orders` may be null: positions are not checked then. `chains` may be null without a stride. Both must outlive this.
  explicit Evaluation(EvaluationParameters parameters, OwnOrders* orders = nullptr, Chains* chains = nullptr);

  // Facts may come in any order and any number of times; nothing else changes until settle().
  void add(const EntryFact& fact);
  void add(const ReplayedFact& fact);
  void add(const ForkedFact& fact);
  void set_earned_elsewhere(PeerIndex peer, std::uint32_t units);  // under owners that count in this job
  void settle();
  // Units that were accepted, skipped or reopened, or have another outcome, since the last call; ascending.
  std::vector<UnitIndex> poll_changed();

  // Valid after settle(), and without effect.
  bool closed(UnitIndex unit) const { return stage_of_[unit] != never; }  // accepted or skipped
  bool accepted(UnitIndex unit) const { return closed(unit) && outcome_of_[unit] != skipped_outcome; }
  bool skipped(UnitIndex unit) const { return closed(unit) && outcome_of_[unit] == skipped_outcome; }
  std::optional<OutcomeIndex> accepted_outcome(UnitIndex unit) const;
  Stage accepted_at(UnitIndex unit) const { return stage_of_[unit]; }  // or skipped; `never` while open
  std::uint32_t accepted_count() const { return accepted_count_; }
  std::uint32_t skipped_count() const { return skipped_count_; }
  std::uint32_t oldest_open_block() const { return oldest_open_; }  // block count when none is open
  std::uint32_t block_reached() const { return reached_; }  // results of blocks up to the next one count
  bool contested(UnitIndex unit) const;  // different answers, from what it goes on from, of keys that are not banned
  std::uint32_t verified_units(PeerIndex peer) const { return peer < peers_.size() ? peers_[peer].now.k : 0; }
  std::vector<PeerIndex> banned() const;  // ascending
  bool banned(PeerIndex peer) const { return peer < peers_.size() && peers_[peer].banned; }
  std::uint32_t faulty_units(PeerIndex peer) const { return peer < peers_.size() ? peers_[peer].faulty_units : 0; }
  // A further result of it counts only in the oldest open block: it should start nothing else.
  bool window_full(PeerIndex peer) const;
  Weight weight(PeerIndex peer, LogPlace at) const;
  std::uint32_t entries_of(PeerIndex peer, UnitIndex unit) const;  // settled or not
  bool may_count(PeerIndex peer, LogPlace at) const;  // not void, dropped, proven wrong or a repetition
  bool quarantined() const { return quarantined_; }
  std::uint64_t rolled_back_count() const { return rolled_back_count_; }  // how often settle() took stages back: its cost
  // Its supporters have passed five later audits or 200 further units: at least as many of them as the class asks.
  bool is_final(UnitIndex unit) const;
  // Would the leading answer be accepted if these peers, all different and as credible as they are now, agreed with it? Those that
  // do already add nothing. True of what is closed.
  bool would_accept(UnitIndex unit, std::span<const PeerIndex> more) const;
  // `lower` says which of two equally supported outcomes leads, so that it need not be the one that was numbered first.
  using Lower = std::function<bool(OutcomeIndex, OutcomeIndex)>;
  Standings standings(UnitIndex unit, const Lower& lower = std::less<>()) const;
  // A judge's replay, whose tiers agree, of this peer's answer to this unit from the same input gave another outcome.
  bool proven_wrong(PeerIndex peer, UnitIndex unit, OutcomeIndex outcome) const;
  // Agreeing fresh peers that accept a unit which nobody has answered; at most fresh_members_max.
  static std::uint32_t fresh_target(const EvaluationParameters& parameters);
  std::uint32_t fresh_target() const { return fresh_target(parameters_); }
  // Sum of weight(unit) over verified results: credit, when the weight is the unit's fuel.
  template <class Weight>
  std::uint64_t credit(PeerIndex peer, const Weight& weight) const {
    std::uint64_t sum = 0;
    if (peer >= peers_.size()) return sum;
    for (const EntryIndex e : peers_[peer].log) {
      if (!entries_[e].audit() && verified(e)) sum += weight(entries_[e].unit);
    }
    return sum;
  }

  template <class Use>
  void for_each_entry(const Use& use) const {  // in no particular order
    for (const Entry& e : entries_) use(EntryFact{e.peer, e.at, e.unit, e.position, e.outcome, e.audit()});
  }

  const EvaluationParameters& parameters() const { return parameters_; }
  void check_invariants() const;  // equals a fresh evaluation of the same facts
  static constexpr Stage never = std::numeric_limits<Stage>::max();

 private:
  using EntryIndex = std::uint32_t;
  static constexpr EntryIndex none = std::numeric_limits<EntryIndex>::max();

  enum class Standing : std::uint8_t { counts, void_, dropped, wrong };
  struct Entry {
    LogPlace at;
    PeerIndex peer;
    UnitIndex unit;
    std::uint32_t position;
    OutcomeIndex outcome : 31;
    std::uint32_t is_audit : 1;
    std::uint32_t rank;        // in the author's log
    std::uint32_t work;        // entries before it in the log that are work
    EntryIndex next_of_unit;
    Standing standing;
    bool at_position : 1;      // a result where its author's order has its unit
    bool is_work : 1;
    bool in_order;             // counts as far as its author's order goes
    bool pending : 1;          // listed in pending_
    bool uncredited : 1;       // while pending: is in no state of its author yet
    bool audit() const { return is_audit != 0; }
  };
  // What stages change of a peer.
  struct State {
    Stage before;                    // as it was when this stage began
    std::uint32_t k = 0;
    std::uint32_t window_end = 0;    // entries of lower rank are inside the window
    std::uint32_t unverified = 0;    // of these, that may count
    std::uint32_t low = 0;           // every entry of lower rank is verified or can never count
  };
  struct Peer {
    std::vector<EntryIndex> log;  // ordered by place, then content
    std::vector<ReplayedFact> replays;  // of judges, as the accused
    std::vector<LogPlace> forks;        // that were told
    std::uint32_t earned_elsewhere = 0;
    std::uint32_t credit_from = 0;   // k counts entries from this rank on, if
    std::uint32_t probation_end = 0; // so much work stands before them
    std::uint32_t faulty_units = 0;
    std::uint32_t audits = 0;        // entries that are audits
    std::uint32_t work = 0;          // entries that are work
    std::uint32_t first_block = std::numeric_limits<std::uint32_t>::max();  // the least one with an entry
    std::optional<std::uint32_t> forked_chain;  // the latest one with a fork
    bool troubled = false;           // faults, forks or repetitions: an entry added before others asks for restand()
    bool banned = false;
    bool restand = false;
    bool beyond = true;              // may have entries of the oldest open block behind its window
    State now{never};
    std::vector<State> past;         // of the stages that changed it, ascending
  };
  struct Group {
    OutcomeIndex outcome;
    LogOdds results, all;
    std::uint32_t members, voices;  // results; audits too
  };
  using Groups = std::vector<Group>;

  Peer& peer_at(PeerIndex peer);
  std::uint32_t block_of(UnitIndex unit) const { return unit / parameters_.block_units; }
  bool verified(EntryIndex e) const;
  bool counts(EntryIndex e) const;
  bool in_window(const Entry& entry) const;

  // How far a peer's own order of a block is known to be open, and what of his lies beyond.
  struct Cursor {
    std::uint32_t scanned = 0;           // earlier positions have been looked at
    std::vector<std::uint32_t> open;     // of these, neither answered nor excused when last looked at; one above the slack at most
    std::vector<EntryIndex> ahead;       // out of order, by position
  };
  static std::uint64_t cursor_key(std::uint32_t block, PeerIndex peer) { return std::uint64_t{block} << 32 | peer; }
  bool at_its_position(const Entry& entry) const;
  bool reaches(Cursor& cursor, PeerIndex peer, std::uint32_t block, std::uint32_t position) const;
  bool answered(PeerIndex peer, UnitIndex unit) const;
  bool excusable(UnitIndex unit) const;
  void place_in_order(EntryIndex e);
  void note_answer(EntryIndex e);
  bool release_ahead(PeerIndex peer, UnitIndex unit);
  void reorder(std::uint32_t block);

  bool known(const Peer& peer, const EntryFact& fact, std::size_t& place) const;
  EntryIndex store(const EntryFact& fact);
  bool plain_end(const Peer& peer, const EntryFact& fact) const;
  bool plain_middle(const Peer& peer, const Entry& entry, std::size_t place) const;
  bool audits_stand(const Peer& peer, const Entry& entry, std::size_t place) const;
  void append(EntryIndex e);
  void insert(EntryIndex e, std::size_t place);
  void narrow(const Peer& peer, State& state, Stage first);
  bool takes_room(EntryIndex e, Stage stage) const;
  static bool earns(const Peer& peer, const Entry& entry) { return entry.rank >= peer.credit_from && entry.work >= peer.probation_end; }
  void ask_restand(PeerIndex peer);
  void touch_by(const Entry& entry);
  void consider(EntryIndex e, bool uncredited);
  bool could_accept(const Entry& newest) const;
  Stage entry_stage(std::uint32_t block) const;

  // What follows from facts alone, for one peer.
  void restand(PeerIndex peer);
  std::vector<LogPlace> find_forks(Peer& peer);
  void stand_inputs(std::span<const EntryIndex> answers, std::vector<LogPlace>& forks);
  void stand_forks(Peer& peer);
  void stand_work(Peer& peer);
  std::uint32_t work_at(const Peer& peer, std::size_t rank) const { return rank < peer.log.size() ? entries_[peer.log[rank]].work : peer.work; }
  void drop_around(const Peer& peer, std::size_t head_rank);
  void stand_repetitions(Peer& peer);
  void stand_audits(Peer& peer);
  void stand_faults(Peer& peer);

  void touch(Stage stage) { touched_from_ = std::min(touched_from_, stage); }
  void mark(UnitIndex unit);
  void mark_block(std::uint32_t block);
  void mark_open_units(PeerIndex peer);
  void roll_back(Stage stage);
  void advance_window(Peer& peer);
  bool run_stage();
  void credit_supporters(UnitIndex unit);
  void note_change(PeerIndex peer);
  bool passed(std::uint32_t block) const;
  void open_blocks();
  void oldest_changed();
  template <class Weigh>
  void gather(UnitIndex unit, const Weigh& weigh, Groups& groups) const;
  void gather(UnitIndex unit, Groups& groups) const;
  std::optional<OutcomeIndex> decide(const Groups& groups) const;
  std::optional<OutcomeIndex> judge(UnitIndex unit);
  bool wins(const Groups& groups, const Group& group) const;
  static const Group* best(const Groups& groups, const Lower& lower = std::less<>());
  Standings standings_of_accepted(UnitIndex unit) const;
  void note_closing(UnitIndex unit);
  OutcomeIndex closing_of(UnitIndex unit) const { return closed(unit) ? outcome_of_[unit] : open_outcome; }

  // Chains.
  bool chained(UnitIndex unit) const { return parameters_.stride != 0 && unit >= parameters_.stride; }
  std::optional<UnitIndex> next(UnitIndex unit) const;
  bool same_input(UnitIndex unit, OutcomeIndex one, OutcomeIndex other) const;
  Stage opened_at(UnitIndex unit) const;
  bool follows(const Entry& entry, Stage stage) const;
  void list_closing(UnitIndex unit, OutcomeIndex outcome);
  void close_listed(OutcomeIndex outcome, Stage stage);

  // Answers that come in the usual order join the stage in which they would have counted, without a roll-back.
  bool join(EntryIndex e);
  bool join_open(UnitIndex unit, Stage first);
  std::optional<std::pair<Stage, OutcomeIndex>> first_acceptance(UnitIndex unit, Stage first);
  bool close_in_past(UnitIndex unit, OutcomeIndex outcome, Stage stage);
  bool opens_by_closing(Stage stage);
  bool passes_earlier(std::uint32_t block, Stage stage) const;
  void credit_at(EntryIndex e, Stage stage);
  bool still_stands(UnitIndex unit, Stage after);
  State& state_before(PeerIndex peer, Stage stage);
  const State& state_at(PeerIndex peer, Stage stage) const;
  bool counts_at(const Entry& entry, Stage stage) const;
  std::optional<OutcomeIndex> judge_at(UnitIndex unit, Stage stage);
  void advance(const Peer& peer, State& state, Stage stage);
  bool acceptable(std::uint32_t members, LogOdds group, Odds others) const;

  EvaluationParameters parameters_;
  OwnOrders* orders_;
  Chains* chains_;
  std::uint32_t members_min_;
  LogOdds alone_min_;
  bool any_counts_;  // trusted: blocks, windows and order do not matter
  std::vector<bool> judge_;
  std::vector<Entry> entries_;
  std::vector<Peer> peers_;
  std::vector<ReplayedFact> replays_;  // all, for check_invariants
  bool quarantined_ = false;

  std::vector<EntryIndex> first_entry_;      // per unit
  std::vector<std::uint8_t> result_count_;   // per unit, saturating: with fewer than the class asks it need not be judged
  static constexpr OutcomeIndex skipped_outcome = std::numeric_limits<OutcomeIndex>::max();
  static constexpr OutcomeIndex open_outcome = skipped_outcome - 1;
  std::vector<OutcomeIndex> outcome_of_;     // per unit, when closed
  std::vector<Stage> stage_of_;              // per unit
  std::vector<std::uint32_t> open_in_block_;
  std::uint32_t oldest_open_ = 0;
  std::uint32_t reached_ = 0;                // the first block of which less than half is accepted
  std::vector<Stage> oldest_at_;             // per block: the stage from which it was the oldest open one, or past
  std::vector<Stage> reached_at_;            // per block: the stage from which it was the first such, or past

  struct StageRecord {
    std::vector<UnitIndex> closed;
    std::vector<PeerIndex> changed;
  };
  std::vector<StageRecord> journal_;
  std::uint32_t accepted_count_ = 0, skipped_count_ = 0;

  Stage touched_from_ = 0;
  std::vector<UnitIndex> marked_;            // to be judged in the next stage
  std::vector<bool> is_marked_;
  std::vector<PeerIndex> to_restand_;
  std::vector<EntryIndex> pending_;          // appended results that may change what is accepted
  std::vector<UnitIndex> affected_;          // scratch
  std::vector<EntryIndex> own_;              // scratch: a log by unit, then place
  Groups groups_;                            // scratch
  std::vector<UnitIndex> closing_;           // scratch
  std::uint64_t rolled_back_count_ = 0;
  std::vector<std::pair<UnitIndex, OutcomeIndex>> changed_;  // with what it was closed at the last poll
  std::vector<bool> is_changed_;

  std::vector<bool> excused_;                // per unit
  std::map<std::uint64_t, Cursor> cursors_;  // of (block, peer)
  std::vector<std::vector<PeerIndex>> ahead_of_block_;  // who has entries ahead of his order there
  std::vector<std::uint32_t> to_reorder_;    // blocks in which a restand changed what is excused
};

}  // namespace starling::protocol
