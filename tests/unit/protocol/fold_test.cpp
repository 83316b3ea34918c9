#include "coordinator-less/protocol/fold.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

testing::Member& digester() {
  static testing::Member member(1);
  return member;
}
Notary& notary() { return digester().notary; }

Outcome outcome(unsigned n) { return {.digest = testing::digest_of("answer" + std::to_string(n)), .archive_bytes = 10, .fuel = n}; }

std::vector<Digest> leaves(unsigned count) {
  std::vector<Digest> out;
  for (unsigned n = 0; n < count; ++n) out.push_back(fold_leaf(outcome(n), notary()));
  return out;
}

FoldCredit credit(unsigned peer, std::uint32_t units, std::uint64_t fuel) { return {testing::Member(peer).id(), units, fuel}; }
Fold fold(std::vector<FoldCredit> credit) {
  std::ranges::sort(credit);
  return {.job = {}, .root = testing::digest_of("root"), .credit = std::move(credit)};
}

}  // namespace

TEST_CASE("the path of every leaf leads to the root, and no other leaf, place or path does") {
  for (const unsigned count : {1U, 2U, 3U, 5U, 8U, 100U}) {
    CAPTURE(count);
    const FoldTree tree(leaves(count), notary());
    for (unsigned n = 0; n < count; ++n) {
      const Digest leaf = fold_leaf(outcome(n), notary());
      auto path = tree.path(n);
      CHECK(leads_to(tree.root(), count, n, leaf, path, notary()));
      CHECK_FALSE(leads_to(tree.root(), count, n, fold_leaf(outcome(n + 1000), notary()), path, notary()));
      CHECK_FALSE(leads_to(testing::digest_of("another root"), count, n, leaf, path, notary()));
      CHECK_FALSE(leads_to(tree.root(), count, n + count, leaf, path, notary()));
      if (count > 1) CHECK_FALSE(leads_to(tree.root(), count, n == 0 ? 1 : n - 1, leaf, path, notary()));
      path.push_back(Digest{});
      CHECK_FALSE(leads_to(tree.root(), count, n, leaf, path, notary()));
      path.pop_back();
      if (path.empty()) continue;
      path.back() = testing::digest_of("wrong");
      CHECK_FALSE(leads_to(tree.root(), count, n, leaf, path, notary()));
    }
  }
  CHECK_FALSE(leads_to(Digest{}, 0, 0, Digest{}, {}, notary()));
}

TEST_CASE("a node is no leaf: the children of the root cannot be shown as an outcome of a job of one unit") {
  const FoldTree tree(leaves(4), notary());
  const FoldTree half(leaves(2), notary());
  CHECK_FALSE(leads_to(tree.root(), 2, 0, half.root(), std::vector{tree.path(0)[1]}, digester().notary) == (half.root() == fold_leaf(outcome(0), notary())));
}

TEST_CASE("each part of an outcome and the place of it change the root") {
  const Outcome first = outcome(1);
  std::set<Digest> roots;
  const auto add = [&](Outcome changed) {
    std::vector<Digest> all = leaves(4);
    all[1] = fold_leaf(changed, notary());
    return roots.insert(FoldTree(all, notary()).root()).second;
  };
  CHECK(add(first));
  CHECK_FALSE(add(first));
  Outcome other = first;
  other.kind = OutcomeKind::trap;
  CHECK(add(other));
  other = first, other.code = 3;
  CHECK(add(other));
  other = first, other.digest = testing::digest_of("other");
  CHECK(add(other));
  other = first, other.archive_bytes = 11;
  CHECK(add(other));
  other = first, other.fuel = 2;
  CHECK(add(other));
  other = first, other.input = testing::digest_of("input");
  CHECK(add(other));
  auto swapped = leaves(4);
  std::swap(swapped[0], swapped[1]);
  CHECK(roots.insert(FoldTree(swapped, notary()).root()).second);
}

TEST_CASE("the judges of a reader are a set") {
  const PeerId a = testing::Member(2).id(), b = testing::Member(3).id();
  CHECK(judges_digest({}, notary()) == Digest{});
  CHECK(judges_digest({a, b}, notary()) == judges_digest({b, a, b}, notary()));
  CHECK(judges_digest({a, b}, notary()) != judges_digest({a}, notary()));
}

TEST_CASE("credit is the middle of what folds say: one that lies changes none of it") {
  const Fold honest = fold({credit(1, 50, 500), credit(2, 30, 300)});
  const Fold boasts = fold({credit(1, 1, 1), credit(3, 9999, UINT64_MAX)});
  const auto agreed = agreed_credit(std::vector{honest, boasts, honest});
  CHECK(agreed == honest.credit);
  CHECK(agreed_credit(std::vector{honest}) == honest.credit);
  CHECK(agreed_credit({}).empty());
}
