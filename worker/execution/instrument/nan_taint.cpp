#include "worker/execution/instrument/nan_taint.hpp"

#include <algorithm>

namespace starling::execution::instrument {
namespace {

constexpr NanTaint::Node constants = 16;

std::uint8_t kinds_of(Canonical kind) {
  switch (kind) {
    case Canonical::f32: return NanTaint::tainted32;
    case Canonical::f64: return NanTaint::tainted64;
    case Canonical::f32x4: return NanTaint::tainted32 | NanTaint::raw64;  // seen as f64 lanes its bits mean nothing
    case Canonical::f64x2: return NanTaint::tainted64 | NanTaint::raw32;
  }
  return 0;
}

}  // namespace

void NanTaint::clear() {
  nodes_.clear();
  edges_.assign(1, {});
  uses_.clear();
  for (Node i = 0; i < constants; ++i) nodes_.push_back({static_cast<std::uint8_t>(i)});
}

NanTaint::Node NanTaint::raw(Type type) {
  switch (type) {
    case Type::f32: return raw32;
    case Type::f64: return raw64;
    case Type::v128: return raw32 | raw64;
    default: return 0;
  }
}

NanTaint::Node NanTaint::add(std::uint8_t own, std::uint32_t pushed_at, bool arithmetic) {
  NodeData node;
  node.own = own;
  node.arithmetic = arithmetic;
  node.pushed_at = pushed_at;
  nodes_.push_back(node);
  return static_cast<Node>(nodes_.size() - 1);
}

NanTaint::Node NanTaint::arithmetic(Canonical kind, std::uint32_t pushed_at) {
  const Node node = add(kinds_of(kind), pushed_at, true);
  nodes_[node].kind = kind;
  return node;
}

NanTaint::Node NanTaint::join(Node a, Node b) {
  if (a == b) return a;
  if (a < constants && b < constants) return a | b;
  const Node node = add(0, 0, false);
  flow(a, node);
  flow(b, node);
  return node;
}

NanTaint::Node NanTaint::with(Node from, std::uint8_t kinds) {
  if (from < constants) return from | kinds;
  const Node node = add(kinds, 0, false);
  flow(from, node);
  return node;
}

void NanTaint::flow(Node from, Node to) {
  if (from == to) return;
  if (from < constants) {
    nodes_[to].own |= static_cast<std::uint8_t>(from);
    return;
  }
  const auto edge = static_cast<std::uint32_t>(edges_.size());
  edges_.push_back({from, to, nodes_[to].in, nodes_[from].out});
  nodes_[to].in = edge;
  nodes_[from].out = edge;
}

std::uint32_t NanTaint::use(Node node, std::uint8_t unwanted, Type type, std::uint32_t pushed_at) {
  if (node < constants || unwanted == 0) return no_use;
  uses_.push_back({node, pushed_at, type, unwanted});
  return static_cast<std::uint32_t>(uses_.size() - 1);
}

bool NanTaint::is_wanted(std::uint32_t use) const { return use != no_use && (nodes_[uses_[use].node].kinds & uses_[use].unwanted) != 0; }

bool NanTaint::is_mixed(std::uint8_t kinds) {
  return ((kinds & tainted32) != 0 && (kinds & raw32) != 0) || ((kinds & tainted64) != 0 && (kinds & raw64) != 0);
}

void NanTaint::propagate() {
  work_.clear();
  for (Node i = constants; i < nodes_.size(); ++i) {
    nodes_[i].kinds = nodes_[i].own;
    if (nodes_[i].own != 0) work_.push_back(i);
  }
  while (!work_.empty()) {
    const Node node = work_.back();
    work_.pop_back();
    for (std::uint32_t e = nodes_[node].out; e != 0; e = edges_[e].next_out) {
      NodeData& to = nodes_[edges_[e].to];
      const auto kinds = static_cast<std::uint8_t>(to.kinds | nodes_[node].kinds);
      if (kinds == to.kinds) continue;
      to.kinds = kinds;
      work_.push_back(edges_[e].to);
    }
  }
}

// Marks all arithmetic that reaches a mixed value which leaves; false if there is none.
bool NanTaint::settle_mixed() {
  work_.clear();
  const auto mark = [&](Node node) {
    if (node < constants || nodes_[node].marked) return;
    nodes_[node].marked = true;
    work_.push_back(node);
  };
  for (const Use& use : uses_)
    if ((nodes_[use.node].kinds & use.unwanted) != 0 && is_mixed(nodes_[use.node].kinds)) mark(use.node);
  if (work_.empty()) return false;
  while (!work_.empty()) {
    const Node node = work_.back();
    work_.pop_back();
    NodeData& data = nodes_[node];
    if (data.arithmetic) {
      data.own &= static_cast<std::uint8_t>(~tainted);
      places_.push_back({data.pushed_at, data.kind});
    }
    for (std::uint32_t e = data.in; e != 0; e = edges_[e].next_in) mark(edges_[e].from);
  }
  return true;
}

void NanTaint::settle() {
  places_.clear();
  if (uses_.empty()) return;
  propagate();
  if (settle_mixed()) propagate();
}

const std::vector<NanTaint::Place>& NanTaint::resolve() {
  for (const Use& use : uses_) {
    const std::uint8_t kinds = nodes_[use.node].kinds;
    if ((kinds & use.unwanted) == 0) continue;
    const bool is_32 = (kinds & tainted32) != 0;
    const bool is_lanes = use.type == Type::v128;
    places_.push_back({use.pushed_at, is_32 ? (is_lanes ? Canonical::f32x4 : Canonical::f32) : (is_lanes ? Canonical::f64x2 : Canonical::f64)});
  }
  std::ranges::sort(places_);
  const auto repeated = std::ranges::unique(places_);
  places_.erase(repeated.begin(), repeated.end());
  return places_;
}

}  // namespace starling::execution::instrument
