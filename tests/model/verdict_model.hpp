// The rules of evidence.hpp and verdict.hpp once more, as plainly as they can be said: everything that was ever stated is
// kept in one list, and each question is answered by loops over all of it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/protocol/verdict.hpp"  // for the plain structs only

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
};

using Said = std::pair<Outcome, base::Digest>;  // an outcome and its fingerprint

struct Proof {
  PeerId judge;
  PeerId accused;
  UnitIndex unit;
  Outcome compiled, interpreted;
  base::Digest fingerprint, interpreted_fingerprint;

  bool tiers_agree() const { return compiled == interpreted && fingerprint == interpreted_fingerprint; }
};

class VerdictModel {
 public:
  VerdictModel(std::uint32_t unit_count, std::set<PeerId> judges, protocol::VerdictParameters parameters)
      : unit_count_(unit_count), judges_(std::move(judges)), parameters_(parameters) {}

  void hear(const Answer& answer) { answers_.push_back(answer); }
  void hear(const Proof& proof) { proofs_.push_back(proof); }

  protocol::UnitVerdict unit(UnitIndex unit) const;
  bool banned(const PeerId& peer) const { return faults(peer).size() >= 3 || without_error(peer); }
  bool without_error(const PeerId& peer) const;  // wrong in a way that no error explains
  std::set<UnitIndex> faults(const PeerId& peer) const;
  bool proven_wrong(const PeerId& author, UnitIndex unit, const Said& said) const;
  bool quarantined() const;
  struct Start {
    bool skipped = false;
    std::optional<base::Digest> input;  // none: skipped, or what it goes on from is not accepted
  };
  Start start(UnitIndex unit) const;
  // The lowest two different answers of an author to a unit from each input, each with its lowest carrier; by input.
  std::vector<Answer> kept(const PeerId& author, UnitIndex unit) const;

 private:
  std::set<Said> said_by(const PeerId& author, UnitIndex unit, const base::Digest& input) const;
  std::vector<Answer> kept(const PeerId& author, UnitIndex unit, const base::Digest& input) const;
  std::set<PeerId> authors_of(UnitIndex unit) const;
  bool enough(std::uint32_t members, const std::map<Outcome, std::uint32_t>& groups, const Outcome& leader) const;

  std::uint32_t unit_count_;
  std::set<PeerId> judges_;
  protocol::VerdictParameters parameters_;
  std::vector<Answer> answers_;
  std::vector<Proof> proofs_;
};

}  // namespace starling::model
