// The rules of evidence.hpp and verdict.hpp once more, as plainly as they can be said: everything that was ever stated is
// kept in one list, and each question is answered by loops over all of it. What V makes of it is asked of its own naive model.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/protocol/judgement/verdict.hpp"  // for the plain structs only
#include "coordinator-less/protocol/message.hpp"
#include "tests/model/evaluation_model.hpp"

namespace starling::model {

using base::MessageId;
using base::PeerId;
using base::UnitIndex;
using protocol::Outcome;

struct Answer {
  PeerId author;
  UnitIndex unit;
  Outcome outcome;
  base::Digest fingerprint;
  MessageId statement;
  std::uint32_t entry;
  protocol::LogPlace at;
  bool audit;
};

struct Follower {  // a statement, and the one that it follows
  PeerId author;
  MessageId statement, previous;
  protocol::LogPlace at;
};

struct Withdrawal {
  PeerId author;
};

using Said = std::pair<Outcome, base::Digest>;  // an outcome and its fingerprint

struct Proof {
  PeerId judge;
  PeerId accused;
  UnitIndex unit;
  Outcome compiled, interpreted;
  base::Digest fingerprint, interpreted_fingerprint;
  protocol::LogPlace head;

  bool tiers_agree() const { return compiled == interpreted && fingerprint == interpreted_fingerprint; }
};

class VerdictModel {
 public:
  VerdictModel(std::uint32_t unit_count, std::set<PeerId> judges, protocol::VerdictParameters parameters)
      : unit_count_(unit_count), judges_(std::move(judges)), parameters_(parameters) {}

  void hear(const Answer& answer) { answers_.push_back(answer); }
  void hear(const Proof& proof) { proofs_.push_back(proof); }
  void hear(const Follower& follower) { followers_.push_back(follower); }
  void hear(const Withdrawal& withdrawal) { withdrawn_.insert(withdrawal.author); }

  struct Conclusion {
    std::map<UnitIndex, Outcome> accepted;
    std::set<UnitIndex> skipped;
    std::set<PeerId> banned;
  };
  Conclusion conclude() const;
  bool contested(UnitIndex unit, const Conclusion& conclusion) const;
  bool banned_by_proofs(const PeerId& peer) const { return faults(peer).size() >= 3 || without_error(peer); }
  bool without_error(const PeerId& peer) const;  // wrong in a way that no error explains
  std::set<UnitIndex> faults(const PeerId& peer) const;
  bool proven_wrong(const PeerId& author, UnitIndex unit, const Said& said) const;
  bool quarantined() const;
  struct Start {
    bool skipped = false;
    std::optional<base::Digest> input;  // none: skipped, or what it goes on from is not accepted
  };
  Start start(UnitIndex unit, const Conclusion& conclusion) const;
  // The lowest two different answers of an author to a unit from each input, each with its lowest carrier; by input.
  std::vector<Answer> kept(const PeerId& author, UnitIndex unit) const;

 private:
  bool without_error(const PeerId& peer, const Proof& proof) const;
  std::set<Said> said_by(const PeerId& author, UnitIndex unit, const base::Digest& input) const;
  std::vector<Answer> kept(const PeerId& author, UnitIndex unit, const base::Digest& input) const;
  std::set<PeerId> authors_of(UnitIndex unit) const;
  std::set<Outcome> outcomes_of(UnitIndex unit) const;

  std::uint32_t unit_count_;
  std::set<PeerId> judges_;
  protocol::VerdictParameters parameters_;
  std::vector<Answer> answers_;
  std::vector<Proof> proofs_;
  std::vector<Follower> followers_;
  std::set<PeerId> withdrawn_;
};

}  // namespace starling::model
