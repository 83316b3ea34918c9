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
//         - the n-th audit of a log counts only behind w (n - 4) entries of work, so that dissent is no cheaper than work; w is 8 at the usual
//           share of audits, less where a job asks for more (decision 0028).
//         - a judge's replay whose tiers agree and differ from the accused's answer from the same input proves that answer wrong:
//           a fault. The replay names the head it had seen. The last `fault_reach` entries of work up to that head count no more,
//           nor do the 64 after it, nor anything among either, and k counts from behind those. Three faulty units within 1,000
//           entries of work, or a replay that finds the fingerprint of an answer from the same input wrong: banned, nothing of that
//           key counts. Tiers that differ quarantine the program.
//         - who takes back all that he said (whatever else he says, before or after) is banned by no number of faulty units, since errors
//           explain these; nothing of his counts. A wrong fingerprint bans him all the same.
//         - order: if own orders are given, a result is in order when it names its unit's place in its author's own order and at
//           most order_slack(block) earlier positions are neither answered by him nor excused. Excused: answered at its
//           place in their own orders by at least r keys whose answers are not void (nobody banned, no fork), hence every unit that
//           is accepted, and that stays so when a fault drops an answer; and every unit that goes on from another, since no fact
//           tells when those open. (Price: a coalition may choose among the open ones of them.) Only what is in order counts.
//         `trusted` believes any single result: blocks, windows and order do not matter to it.
// Stages  k = what was earned elsewhere (0 if nothing, or after a fault or fork); then, with k frozen, every unit that reaches its target is
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
// counted, if nothing else follows from it: no contradiction or fault, and no other answer pushed out of a window in a
// stage in which it was heard. An open unit for which others' new weight is enough joins likewise, and one that this weight would have had
// accepted earlier, with the same outcome, moves there: its credits do, and whoever these touch is looked after in turn. Any other fact
// names the first stage that it can touch, unless it is void by itself (log_standing.hpp); so does a unit by which a block is passed or closes earlier, or that leaves its stage empty; settle()
// takes back the journal to there and goes on. Who counts in a stage counts in all later ones with no less weight: the first stage in which a
// group would be enough if all others were silent is found by halving, and only from there on stages are tried.
// An answer in block b touches nothing before block b could count, and nothing at all while it is not enough to accept its unit.
// An acceptance marks the unit that goes on from it; one that joins a past stage tries it in the stages behind that one.
// Equals evaluation from scratch and a naive model, by test (tests/model).
// Cost: add O(answers of the unit), with orders amortised O(1) steps of its author's order more, and O(keys of the block that are
// ahead of their order x slack) when its unit becomes excused; settle O(1) without news, O(open answers of the authors concerned)
// for answers in the usual order, O(facts of two blocks) when a block is passed, O(all) after a fault. An answer among others: O(log)
// more. A log that is looked at as a whole: O(n log n), whatever is repeated in it. Memory: 40 bytes per entry
// and 4 in its log, with room for an eighth more, 13 per unit and what stages changed of peers (decision 0023).
// Parts   What follows from one log is in log_standing, own orders in turns, when a group is accepted in tally. Here: facts (evaluation.cpp), stages
//         (evaluation_stages.cpp), joining past ones (evaluation_joining.cpp), questions (evaluation_questions.cpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "coordinator-less/protocol/judgement/entries.hpp"
#include "coordinator-less/protocol/judgement/facts.hpp"
#include "coordinator-less/protocol/judgement/hearing.hpp"
#include "coordinator-less/protocol/judgement/log_standing.hpp"
#include "coordinator-less/protocol/judgement/tally.hpp"
#include "coordinator-less/protocol/judgement/turns.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

// What counts for a unit now; of an accepted one, what may count behind what it goes on from, in whatever stage it was said.
struct Standings {
  std::optional<OutcomeIndex> leader;  // the accepted outcome; else of the group with the highest odds, of equal ones the lower
  std::uint32_t supporters = 0;        // results that agree with it
  std::uint32_t dissenters = 0;        // results and audits that do not
  std::optional<std::uint32_t> missing = 0;  // agreeing results of fresh peers that would accept it; none: fresh_members_max are not enough
  bool operator==(const Standings&) const = default;
};

class Evaluation {
 public:
  // `orders` may be null: positions are not checked then. `chains` may be null without a stride. Both must outlive this.
  explicit Evaluation(EvaluationParameters parameters, OwnOrders* orders = nullptr, Chains* chains = nullptr);
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

  // Facts may come in any order and any number of times; nothing else changes until settle().
  void add(const EntryFact& fact);
  void add(const ReplayedFact& fact);
  void add(const ForkedFact& fact);
  void add(const WithdrawnFact& fact);
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
  std::uint32_t verified_units(PeerIndex peer) const { return peer < peers_.size() ? peers_[peer].now.k : 0; }
  std::vector<PeerIndex> banned() const;  // ascending
  bool banned(PeerIndex peer) const { return peer < peers_.size() && peers_[peer].banned; }
  bool withdrawn(PeerIndex peer) const { return peer < peers_.size() && peers_[peer].withdrawn; }
  std::uint32_t faulty_units(PeerIndex peer) const { return peer < peers_.size() ? peers_[peer].faulty_units : 0; }
  // A further result of it counts only in the oldest open block: it should start nothing else.
  bool window_full(PeerIndex peer) const;
  Hearing hearing(PeerIndex peer, LogPlace at) const;
  std::uint32_t entries_of(PeerIndex peer, UnitIndex unit) const;  // settled or not
  bool looks_anew_at(PeerIndex peer) const { return peer < peers_.size() && peers_[peer].restand; }  // until the next settle() what it said last is void
  bool quarantined() const { return quarantined_; }
  bool looks_anew() const { return !to_restand_.empty(); }  // the next settle() looks at whole logs, and perhaps at all that was ever accepted
  std::uint64_t rolled_back_count() const { return rolled_back_count_; }  // how often settle() took stages back: its cost
  // Its supporters have passed five later audits or 200 further units: at least as many of them as the class asks. Only an audit that vouches
  // is one: a judge's, or one that work stands behind, for audits are free and may be copied: the n-th verified one of an author with 8 n
  // verified units. Of all units together O(answers) once after a settle() with news, so O(1) each.
  bool is_final(UnitIndex unit) const;
  bool vouches(PeerIndex peer, LogPlace at) const;  // is there such an audit, if it is verified?
  // Would the leading answer be accepted if these peers, all different and as credible as they are now, agreed with it? Those that
  // do already add nothing. True of what is closed.
  bool would_accept(UnitIndex unit, std::span<const PeerIndex> more) const;
  // `lower` says which of two equally supported outcomes leads, so that it need not be the one that was numbered first.
  using Lower = Tally::Lower;
  Standings standings(UnitIndex unit, const Lower& lower = std::less<>()) const;
  template <class Use>
  void for_each_entry(const Use& use) const {  // in no particular order
    for (const Entry& entry : entries_.all()) use(entry.fact());
  }

  const EvaluationParameters& parameters() const { return parameters_; }
  void check_invariants() const;  // equals a fresh evaluation of the same facts
  static constexpr Stage never = std::numeric_limits<Stage>::max();

 private:
  // What stages change of a peer.
  struct State {
    Stage before;                    // as it was when this stage began
    std::uint32_t k = 0;
    std::uint32_t window_end = 0;    // entries of lower rank are inside the window
    std::uint32_t unverified = 0;    // of these, that may count
    std::uint32_t low = 0;           // every entry of lower rank is verified or can never count
  };
  struct Peer : KeyLog {
    std::uint32_t earned_elsewhere = 0;
    std::uint32_t first_block = std::numeric_limits<std::uint32_t>::max();  // the least one with an entry
    Stage credited_from = never;     // in this settle()
    bool restand = false;            // asked for
    bool beyond = true;              // may have entries of the oldest open block behind its window
    mutable std::uint64_t passed_at = ~std::uint64_t{0};  // when passed_before was looked for
    mutable std::uint32_t passed_before = 0;
    mutable std::uint64_t vouching_at = ~std::uint64_t{0};
    mutable std::uint32_t vouching_before = 0;
    State now{never};
    std::vector<State> past;         // of the stages that changed it, ascending
  };
  Peer& peer_at(PeerIndex peer);
  std::uint32_t block_of(UnitIndex unit) const { return parameters_.block_of(unit); }
  bool verified(EntryIndex e) const;
  bool counts(EntryIndex e) const;
  bool in_window(const Entry& entry) const;

  // --- facts
  EntryIndex store(const EntryFact& fact);
  void enter(EntryIndex e, WayIn way);
  void enter_among(EntryIndex e, std::size_t place, WayIn way);
  void narrow(const Peer& peer, State& state, Stage first);
  bool takes_room(EntryIndex e, Stage stage) const;
  void advance(const Peer& peer, State& state, Stage stage);
  void ask_restand(PeerIndex peer);
  void touch_by(const Entry& entry);
  void consider(EntryIndex e, bool uncredited);
  bool could_accept(const Entry& newest) const;
  void restand(PeerIndex peer);
  void reorder(std::uint32_t block);

  // --- stages
  Stage entry_stage(std::uint32_t block) const;
  Stage opened_at(UnitIndex unit) const;
  bool follows(const Entry& entry, Stage stage) const;
  void touch(Stage stage) { touched_from_ = std::min(touched_from_, stage); }
  void mark(UnitIndex unit);
  void mark_block(std::uint32_t block);
  void mark_open_units(PeerIndex peer);
  void roll_back(Stage stage);
  void advance_window(Peer& peer);
  bool run_stage();
  void list_closing(UnitIndex unit, OutcomeIndex outcome);
  void close_listed(OutcomeIndex outcome, Stage stage);
  void credit_supporters(UnitIndex unit);
  void note_change(PeerIndex peer);
  bool passed(std::uint32_t block) const;
  void open_blocks();
  void oldest_changed();
  void note_closing(UnitIndex unit);
  OutcomeIndex closing_of(UnitIndex unit) const { return closed(unit) ? outcome_of_[unit] : open_outcome; }

  // --- tallies
  const Tally& gather(UnitIndex unit, Tally& tally) const;
  std::optional<OutcomeIndex> judge(UnitIndex unit) { return gather(unit, tally_).accepted(); }
  Standings standings_of_accepted(UnitIndex unit) const;
  std::uint32_t passed_before(const Peer& peer) const;
  std::uint32_t vouching_before(const Peer& peer) const;
  bool vouches(const Entry& audit) const;
  bool audited(UnitIndex unit) const;

  // --- joining: answers that come in the usual order join the stage in which they would have counted, without a roll-back
  Stage horizon() const { return std::min(static_cast<Stage>(journal_.size()), touched_from_); }  // earlier stages stand
  void join(EntryIndex e);
  void join_open(UnitIndex unit, Stage first);
  std::optional<std::pair<Stage, OutcomeIndex>> first_acceptance(UnitIndex unit, Stage first, Stage end);
  void close_in_past(UnitIndex unit, OutcomeIndex outcome, Stage stage);
  void look_after_credited();
  void note_affected(PeerIndex peer, Stage stage, std::vector<std::pair<UnitIndex, Stage>>& affected);
  void look_after(UnitIndex unit, Stage stage);
  void accept_earlier(UnitIndex unit, Stage stage);
  bool unanimous(UnitIndex unit) const;
  void join_closable();
  void note_earlier(std::uint32_t block, Stage stage, Stage before);
  void open_earlier();
  void credit_at(EntryIndex e, Stage stage, Stage end);
  State& state_before(PeerIndex peer, Stage stage);
  const State& state_at(PeerIndex peer, Stage stage) const;
  bool counts_at(const Entry& entry, Stage stage) const;
  const Tally& gather_at(UnitIndex unit, Stage stage);
  std::optional<OutcomeIndex> judge_at(UnitIndex unit, Stage stage) { return gather_at(unit, stage).accepted(); }

  EvaluationParameters parameters_;
  OwnOrders* orders_;
  Chains* chains_;
  AcceptanceRule rule_;
  std::vector<bool> judge_;
  Entries entries_;
  LogStanding logs_;
  std::optional<Turns> turns_;               // with orders_
  std::vector<Peer> peers_;
  std::vector<ReplayedFact> replays_;        // all, for check_invariants
  bool quarantined_ = false;

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
  std::vector<EntryIndex> pending_;          // new results that may change what is accepted
  std::vector<UnitIndex> affected_;          // scratch
  std::vector<PeerIndex> credited_;          // scratch: in past stages, from Peer::credited_from on
  std::vector<bool> is_noted_;               // scratch: units to look after
  std::vector<std::uint32_t> earlier_blocks_;  // scratch: that may be passed or closed earlier than they were
  Tally tally_{rule_};                       // scratch
  std::vector<UnitIndex> closing_;           // scratch
  std::vector<UnitIndex> closable_;          // open ones whose answers weigh more by what has joined
  std::uint64_t rolled_back_count_ = 0;
  bool has_news_ = false;                    // since the last settle()
  std::uint64_t news_settled_ = 0;           // how often there were
  std::vector<std::pair<UnitIndex, OutcomeIndex>> changed_;  // with what it was closed at the last poll
  std::vector<bool> is_changed_;
};

}  // namespace starling::protocol
