// What came of a job in which every unit is accepted, in 32 bytes, so that who comes late need not take over its evidence (decision 0024).
//
// The root is that of a binary hash tree over all numbers (segments.hpp) of the job, filled up to a power of two: the leaf of an accepted one hashes
// its outcome, that of a skipped one is zero, as is that of a place behind the last. Leaves and nodes are told apart by their first byte, and how
// many there are says the manifest, so a path of log2 digests shows what was accepted of one number.
// Makers: of the workers linked to each other the fold_makers with the lowest H(job | id) that have the evidence, once the job falls asleep there.
// Believed: a peer that heard no result of the job is told that it is folded while folds_agreeing_min keys that name the same judges as it does
// state one root, and nobody who names these another one. (Readers who name other judges may see another outcome.)
// What that means: the peer starts nothing of the job, takes none of its evidence, and shows what the folds say, as told. Nothing of it enters a verdict.
// It ends with the first result or replay that the peer hears of the job, with any question for evidence, with a fold that differs, when too few
// neighbours have the evidence, with its owner's cancellation, and when its own audit finds another outcome.
// Attack: false folds of throw-away keys keep a newcomer from the evidence, but for one honest neighbour: who sees the job otherwise does
// not leave it out of comparison (statement_store.hpp), and the first result it lists ends the belief.
// Cost: about two hashes a number to make one, log2 to check a path.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/protocol/notary.hpp"

namespace starling::protocol {

Digest fold_leaf(const Outcome& outcome, Digester& digester);

class FoldTree {
 public:
  FoldTree(std::vector<Digest> leaves, Digester& digester);  // REQUIRES: at least one
  const Digest& root() const { return levels_.back().front(); }
  std::vector<Digest> path(UnitIndex number) const;  // REQUIRES: number < leaves

 private:
  std::vector<std::vector<Digest>> levels_;  // [0] = leaves, filled up ... back() = {root}
};

// Does the path lead from this leaf, of so many, to the root? Hostile arguments give false.
bool leads_to(const Digest& root, std::uint32_t leaf_count, UnitIndex number, const Digest& leaf, std::span<const Digest> path, Digester& digester);

// The roots that a reader has named, as folds say it; zero: none.
Digest judges_digest(std::vector<PeerId> roots, Digester& digester);
// Who makes folds of a job: the lowest do.
Digest fold_rank(const JobId& job, const PeerId& peer, Digester& digester);
// Of each key the middle of what these folds say of it, and nothing where fewer than half name it.
std::vector<FoldCredit> agreed_credit(std::span<const Fold> folds);

}  // namespace starling::protocol
