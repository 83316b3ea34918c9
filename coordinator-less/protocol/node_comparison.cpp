// Node's part that compares what it keeps with neighbours: summaries, lists, requests (statement_store.hpp), what each leaves out because it is told
// (fold.hpp), and a new neighbour's headlines first. What answers may cost stands in neighbour_budget.hpp.
#include "coordinator-less/protocol/node_state.hpp"

#include <algorithm>
#include <utility>

namespace starling::protocol {

void Node::State::reconcile_with(const PeerId& peer) {
  if (!overlay.linked(peer)) return;
  Summary summary = store.summary();
  summary.left_out = left_out();
  out.send(peer, std::move(summary));
}

template <class Question>
void Node::State::on_comparison(const PeerId& from, const Question& question) {
  if (!budget.may_ask(from, now.steady, overlay.neighbours().size())) return;
  const auto reads_before = store.reads(), walked_before = store.walked();
  answer(from, question);
  budget.pay_rows(from, store.reads() - reads_before);
  budget.pay_bytes(from, (store.walked() - walked_before) * limits::statement_looked_at_bytes);
}
template void Node::State::on_comparison(const PeerId&, const Summary&);
template void Node::State::on_comparison(const PeerId&, const BucketIds&);
template void Node::State::on_comparison(const PeerId&, const Want&);

// Where this peer leaves out what the other does not, the sums cannot be equal: it answers with sums of its own, for the other to compare.
void Node::State::answer(const PeerId& to, const Summary& summary) {
  if (!summary.headlines && first_comparisons.contains(to)) return;  // what is to be left out may come with its headlines: this peer asks then
  const auto without = agreed(summary.left_out);
  auto mine = summary.headlines ? std::vector<LeftOut>{} : left_out();
  budget.pay_bytes(to, mine.size() * sizeof(LeftOut));
  const auto also_theirs = [&](const LeftOut& one) { return std::ranges::binary_search(summary.left_out, one.job, {}, &LeftOut::job); };
  if (!summary.answer && !std::ranges::all_of(mine, also_theirs)) {
    Summary back = store.summary(false, without);
    back.answer = true;
    back.left_out = std::move(mine);
    return out.send(to, std::move(back));
  }
  auto difference = store.compare(summary, without);
  if (!difference && !summary.headlines) return;
  if (!difference) difference = BucketIds{.buckets = {}, .ids = {}, .headlines = true};
  difference->left_out = std::move(mine);
  budget.pay_bytes(to, difference->ids.size() * limits::id_listed_bytes);
  out.send(to, std::move(*difference));
}

void Node::State::answer(const PeerId& to, const BucketIds& ids) {
  auto difference = store.difference(ids, agreed(ids.left_out));
  const std::size_t looked_at = ids.ids.size() + store.size() * ids.buckets.size() / 256;
  budget.pay_bytes(to, looked_at * limits::statement_looked_at_bytes);
  send_lacking(to, difference);
  if (!difference.we_lack.empty()) out.send(to, Want{difference.we_lack});
  if (ids.headlines) on_headlines(to, difference.we_lack);  // after what it lacks: that says what it will leave out
}

void Node::State::answer(const PeerId& to, const Want& want) {
  budget.pay_bytes(to, want.ids.size() * limits::statement_looked_at_bytes);
  send_lacking(to, store.wanted(want));
}

void Node::State::send_lacking(const PeerId& to, const StatementStore::Difference& lacking) {
  for (const RawStatement& raw : lacking.they_lack) budget.pay_bytes(to, raw->size());
  Broadcast::send(to, lacking.they_lack, out);
  send_asleep(to, lacking.they_lack_asleep);
}

std::vector<LeftOut> Node::State::left_out() const {
  std::vector<LeftOut> out_of;
  for (const auto& [id, job] : folded) out_of.push_back({id, job.root});
  return out_of;
}

// Of what a neighbour leaves out, that of which this peer sees the same.
StatementStore::Jobs Node::State::agreed(const std::vector<LeftOut>& theirs) {
  StatementStore::Jobs same;
  for (const LeftOut& one : theirs) {
    if (one.root == Digest{}) continue;
    if (const SleepingJob* job = asleep(one.job)) {
      if (job->root == one.root) same.insert(one.job);
    } else if (const auto it = jobs.find(one.job); it != jobs.end()) {
      if (fold_root_of(*it->second, true) == one.root) same.insert(one.job);
    }
  }
  return same;
}

// A new neighbour's headlines have come: what is left out is known now.
void Node::State::on_headlines(const PeerId& from, const std::vector<MessageId>& lacking) {
  const auto it = first_comparisons.find(from);
  if (it == first_comparisons.end()) return;
  it->second.listed = true;
  it->second.lacked = !lacking.empty();
  it->second.awaited = lacking;
  poll_first_comparison(from);
}

// One answer lists so many ids and no more, and of one type after the other: folds come last. So it is asked again until nothing is lacking.
void Node::State::poll_first_comparison(const PeerId& with) {
  const auto it = first_comparisons.find(with);
  if (it == first_comparisons.end()) return;
  FirstComparison& first = it->second;
  if (std::erase_if(first.awaited, [&](const MessageId& id) { return store.here(id); }) > 0)
    first.until = std::min(now.steady + limits::headlines_patience, first.latest);
  const bool heard_all = first.listed && first.awaited.empty();
  if (!heard_all && now.steady < first.until) return;
  if (heard_all && first.lacked && ++first.rounds < limits::headline_rounds_max && now.steady < first.latest) {
    first.listed = false;
    first.until = std::min(now.steady + limits::headlines_patience, first.latest);
    out.send(with, store.summary(true));
    return;
  }
  first_comparisons.erase(it);
  reconcile_with(with);
  for (const auto& [id, job] : jobs)
    if (std::exchange(job->awaits_comparison, false)) job->held_until = {}, job->hold(now.steady);
}

}  // namespace starling::protocol
