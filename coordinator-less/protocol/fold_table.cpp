#include "coordinator-less/protocol/fold_table.hpp"

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

namespace {

bool replaces(const Fold& fold, const FoldTable::Kept& before) {
  return fold.sequence >= before.sequence && fold.sequence - before.sequence >= static_cast<std::uint64_t>(limits::fold_spacing.ms);
}

}  // namespace

bool FoldTable::room_for(const JobId& job) const {
  const auto of_job = folds_.find(job);
  return size_ < limits::folds_max && (of_job == folds_.end() || of_job->second.size() < limits::folds_per_job_max);
}

FoldTable::Taken FoldTable::take(const PeerId& author, const MessageId& statement, const Fold& fold, bool own) {
  const Kept kept{statement, fold.sequence, fold.root, fold.judges, fold.failures};
  if (const Kept* before = find(fold.job, author)) {
    if (!replaces(fold, *before)) return {};
    const MessageId replaced = before->statement;
    folds_[fold.job][author] = kept;
    return {true, replaced};
  }
  if (!own && !room_for(fold.job)) return {};
  folds_[fold.job][author] = kept;
  ++size_;
  return {true, std::nullopt};
}

bool FoldTable::settled(const PeerId& author, const Fold& fold) const {
  const Kept* before = find(fold.job, author);
  return before == nullptr ? !room_for(fold.job) : !replaces(fold, *before);
}

const FoldTable::Kept* FoldTable::find(const JobId& job, const PeerId& author) const {
  const auto of_job = folds_.find(job);
  if (of_job == folds_.end()) return nullptr;
  const auto of_author = of_job->second.find(author);
  return of_author == of_job->second.end() ? nullptr : &of_author->second;
}

std::optional<FoldTable::Belief> FoldTable::believed(const JobId& job, const Digest& judges) const {
  const auto of_job = folds_.find(job);
  if (of_job == folds_.end()) return std::nullopt;
  Belief belief;
  for (const auto& [author, kept] : of_job->second) {
    if (kept.root == Digest{} || kept.judges != judges) continue;
    if (belief.statements.empty()) {
      belief.root = kept.root;
      belief.failures = kept.failures;
    }
    if (kept.root != belief.root || kept.failures != belief.failures) return std::nullopt;
    belief.statements.push_back(kept.statement);
  }
  return belief.statements.size() < limits::folds_agreeing_min ? std::nullopt : std::optional(std::move(belief));
}

void FoldTable::forget(const JobId& job) {
  const auto of_job = folds_.find(job);
  if (of_job == folds_.end()) return;
  size_ -= of_job->second.size();
  folds_.erase(of_job);
}

void FoldTable::check_invariants() const {
  std::size_t count = 0;
  for (const auto& [job, authors] : folds_) {
    STARLING_ENSURE(!authors.empty() && authors.size() <= limits::folds_per_job_max + 1);
    count += authors.size();
  }
  STARLING_ENSURE(count == size_);
}

}  // namespace starling::protocol
