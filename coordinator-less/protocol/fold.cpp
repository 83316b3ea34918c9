#include "coordinator-less/protocol/fold.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/check.hpp"

namespace starling::protocol {
namespace {

constexpr std::byte leaf_mark{0}, node_mark{1};

Digest node_over(const Digest& left, const Digest& right, Digester& digester) {
  Bytes bytes{node_mark};
  base::append(bytes, left.view());
  base::append(bytes, right.view());
  return digester.digest(bytes);
}

unsigned depth_of(std::uint32_t leaf_count) { return static_cast<unsigned>(std::bit_width(std::bit_ceil(leaf_count)) - 1); }

// The lower one of two; zero for who is not named.
template <class Value>
Value middle(std::vector<Value> values, std::size_t of) {
  values.resize(of);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>((of - 1) / 2);
  std::ranges::nth_element(values, at);
  return *at;
}

}  // namespace

Digest fold_leaf(const Outcome& outcome, Digester& digester) {
  Bytes bytes{leaf_mark, static_cast<std::byte>(outcome.kind)};
  base::append_u32(bytes, static_cast<std::uint32_t>(outcome.code));
  base::append(bytes, outcome.digest.view());
  base::append_u64(bytes, outcome.archive_bytes);
  base::append_u64(bytes, outcome.fuel);
  base::append(bytes, outcome.input.view());
  return digester.digest(bytes);
}

FoldTree::FoldTree(std::vector<Digest> leaves, Digester& digester) {
  STARLING_ENSURE(!leaves.empty());
  leaves.resize(std::bit_ceil(leaves.size()));
  levels_.push_back(std::move(leaves));
  while (levels_.back().size() > 1) {
    const auto& below = levels_.back();
    std::vector<Digest> level;
    level.reserve(below.size() / 2);
    for (std::size_t i = 0; i < below.size(); i += 2) level.push_back(node_over(below[i], below[i + 1], digester));
    levels_.push_back(std::move(level));
  }
}

std::vector<Digest> FoldTree::path(UnitIndex number) const {
  STARLING_ENSURE(number < levels_.front().size());
  std::vector<Digest> out;
  for (std::size_t level = 0; level + 1 < levels_.size(); ++level) out.push_back(levels_[level][(number >> level) ^ 1U]);
  return out;
}

bool leads_to(const Digest& root, std::uint32_t leaf_count, UnitIndex number, const Digest& leaf, std::span<const Digest> path, Digester& digester) {
  if (leaf_count == 0 || number >= leaf_count || path.size() != depth_of(leaf_count)) return false;
  Digest at = leaf;
  for (const Digest& sibling : path) {
    at = (number & 1U) == 0 ? node_over(at, sibling, digester) : node_over(sibling, at, digester);
    number >>= 1;
  }
  return at == root;
}

Digest judges_digest(std::vector<PeerId> roots, Digester& digester) {
  if (roots.empty()) return {};
  std::ranges::sort(roots);
  const auto repeated = std::ranges::unique(roots);
  roots.erase(repeated.begin(), repeated.end());
  Bytes bytes = base::copy(base::view("starling/fold/judges"));
  for (const PeerId& root : roots) base::append(bytes, root.view());
  return digester.digest(bytes);
}

Digest fold_rank(const JobId& job, const PeerId& peer, Digester& digester) {
  Bytes bytes = base::copy(base::view("starling/fold/maker"));
  base::append(bytes, job.view());
  base::append(bytes, peer.view());
  return digester.digest(bytes);
}

std::vector<FoldCredit> agreed_credit(std::span<const Fold> folds) {
  std::map<PeerId, std::pair<std::vector<std::uint32_t>, std::vector<std::uint64_t>>> said;
  for (const Fold& fold : folds)
    for (const FoldCredit& one : fold.credit) {
      auto& [units, fuel] = said[one.peer];
      units.push_back(one.units);
      fuel.push_back(one.fuel);
    }
  std::vector<FoldCredit> out;
  for (auto& [peer, values] : said)
    if (const auto units = middle(std::move(values.first), folds.size()); units > 0)
      out.push_back({peer, units, middle(std::move(values.second), folds.size())});
  return out;
}

}  // namespace starling::protocol
