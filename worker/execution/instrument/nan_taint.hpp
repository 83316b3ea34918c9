// Where NaN bits may differ between machines, and where they must be made canonical.
//
// Tracked: every floating or 128-bit value of one function as a node; an edge says that the bits of one may be those of the other
// (local variables, block results, select, abs, neg, lanes that move whole, ...). A node's kinds are what its bits may be: made by f32 or f64 arithmetic
// (tainted32, tainted64), or bits that must not be touched if seen as f32 or f64 (raw32, raw64: loads, parameters, constants with
// NaNs). Values that are never NaN have none.
//
// Rule: a value that leaves (stores, calls, integer uses, ...) with a taint is made canonical where it was pushed: there it is on
// top of the stack. If it may be raw as well (one variable, two origins), canonicalising it would change bits that must
// live; then the arithmetic that reaches it is made canonical at once, at each of its places, and the value is left alone.
// So no untainted bit ever changes and no tainted bit is ever seen.
//
// Cost: linear in nodes and edges (kinds only grow, four bits each).
#pragma once

#include <cstdint>
#include <vector>

#include "worker/execution/instrument/opcode.hpp"

namespace starling::execution::instrument {

enum class Canonical : std::uint8_t { f32, f64, f32x4, f64x2 };

class NanTaint {
 public:
  using Node = std::uint32_t;
  static constexpr std::uint8_t tainted32 = 1, tainted64 = 2, raw32 = 4, raw64 = 8;
  static constexpr std::uint8_t tainted = tainted32 | tainted64;
  static constexpr std::uint32_t no_use = UINT32_MAX;

  struct Place {
    std::uint32_t position = 0;
    Canonical kind = Canonical::f32;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  void clear();
  static Node constant(std::uint8_t kinds) { return kinds; }  // the first 16 nodes
  static Node raw(Type type);
  Node arithmetic(Canonical kind, std::uint32_t pushed_at);
  Node variable() { return add(0, 0, false); }
  Node join(Node a, Node b);                  // a value that is one of both
  Node with(Node node, std::uint8_t kinds);   // the same bits changed in a way that adds kinds
  void flow(Node from, Node to);
  // The value leaves: taint of these kinds must not be seen. A number for is_wanted and take, or no_use.
  std::uint32_t use(Node node, std::uint8_t unwanted, Type type, std::uint32_t pushed_at);

  // When all is told: settle, then ask, then resolve.
  void settle();
  bool is_wanted(std::uint32_t use) const;                  // it must be made canonical
  void take(std::uint32_t use) { uses_[use].unwanted = 0; }  // and the caller does that
  const std::vector<Place>& resolve();                      // sorted, without duplicates
  std::size_t size() const { return nodes_.size(); }
  std::size_t uses() const { return uses_.size(); }

 private:
  struct NodeData {
    std::uint8_t own = 0;    // kinds it has of itself
    std::uint8_t kinds = 0;  // with what flows in
    bool arithmetic = false;
    bool marked = false;
    Canonical kind = Canonical::f32;
    std::uint32_t pushed_at = 0;
    std::uint32_t in = 0;   // first edges, 0: none
    std::uint32_t out = 0;
  };
  struct Edge {
    Node from = 0, to = 0;
    std::uint32_t next_in = 0, next_out = 0;
  };
  struct Use {
    Node node = 0;
    std::uint32_t pushed_at = 0;
    Type type = Type::none;
    std::uint8_t unwanted = 0;
  };

  Node add(std::uint8_t own, std::uint32_t pushed_at, bool arithmetic);
  void propagate();
  bool settle_mixed();
  static bool is_mixed(std::uint8_t kinds);

  std::vector<NodeData> nodes_;
  std::vector<Edge> edges_;
  std::vector<Use> uses_;
  std::vector<Node> work_;
  std::vector<Place> places_;
};

}  // namespace starling::execution::instrument
