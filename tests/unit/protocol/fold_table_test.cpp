#include "coordinator-less/protocol/fold_table.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

PeerId peer(unsigned n) {
  PeerId id;
  id.bytes[0] = static_cast<std::byte>(n);
  id.bytes[1] = static_cast<std::byte>(n >> 8);
  return id;
}
JobId job(unsigned n) { return base::retag<JobId>(peer(n)); }
MessageId statement(unsigned n) { return base::retag<MessageId>(peer(n)); }
Digest root(const char* name) { return testing::digest_of(name); }

Fold fold(unsigned of, std::uint64_t sequence, const Digest& root, const Digest& judges = {}) { return {.job = job(of), .sequence = sequence, .root = root, .judges = judges}; }

constexpr auto spacing = static_cast<std::uint64_t>(limits::fold_spacing.ms);

struct Table : FoldTable {
  Taken states(unsigned author, const Fold& said) {
    const auto taken = take(peer(author), statement(++statements), said, false);
    check_invariants();
    return taken;
  }
  unsigned statements = 0;
};

}  // namespace

TEST_CASE("three equal folds are believed, two are not, and one that differs ends it") {
  Table table;
  for (const unsigned author : {1U, 2U}) CHECK(table.states(author, fold(1, 1, root("a"))).taken);
  CHECK_FALSE(table.believed(job(1), {}));
  CHECK(table.states(3, fold(1, 1, root("a"))).taken);
  const auto belief = table.believed(job(1), {});
  REQUIRE(belief);
  CHECK(belief->root == root("a"));
  CHECK(belief->statements.size() == 3);
  CHECK_FALSE(table.believed(job(2), {}));
  CHECK(table.states(4, fold(1, 1, root("b"))).taken);
  CHECK_FALSE(table.believed(job(1), {}));
  CHECK(table.states(4, fold(1, 1 + spacing, Digest{})).taken);  // takes it back
  CHECK(table.believed(job(1), {}));
}

TEST_CASE("failures are part of what folds say") {
  Table table;
  for (const unsigned author : {1U, 2U, 3U}) table.states(author, fold(1, 1, root("a")));
  Fold failed = fold(1, 1, root("a"));
  failed.failures = 2;
  table.states(4, failed);
  CHECK_FALSE(table.believed(job(1), {}));
}

TEST_CASE("one key counts once, however often it speaks") {
  Table table;
  for (unsigned n = 0; n < 5; ++n) table.states(1, fold(1, 1 + n * spacing, root("a")));
  CHECK(table.size() == 1);
  CHECK_FALSE(table.believed(job(1), {}));
}

TEST_CASE("folds of readers with other judges neither support nor contradict") {
  Table table;
  for (const unsigned author : {1U, 2U, 3U}) table.states(author, fold(1, 1, root("a"), root("judges")));
  table.states(4, fold(1, 1, root("b")));
  CHECK_FALSE(table.believed(job(1), {}));
  REQUIRE(table.believed(job(1), root("judges")));
  CHECK(table.believed(job(1), root("judges"))->root == root("a"));
}

TEST_CASE("the newer of an author's folds replaces the other, not sooner than one can change") {
  Table table;
  CHECK(table.states(1, fold(1, 100, root("a"))).taken);
  CHECK_FALSE(table.states(1, fold(1, 100, root("b"))).taken);
  CHECK_FALSE(table.states(1, fold(1, 99, root("b"))).taken);
  CHECK_FALSE(table.states(1, fold(1, 100 + spacing - 1, root("b"))).taken);
  CHECK(table.settled(peer(1), fold(1, 100 + spacing - 1, root("b"))));
  CHECK_FALSE(table.settled(peer(1), fold(1, 100 + spacing, root("b"))));
  const auto taken = table.states(1, fold(1, 100 + spacing, root("b")));
  CHECK(taken.taken);
  CHECK(taken.replaced == statement(1));
  CHECK(table.find(job(1), peer(1))->root == root("b"));
}

TEST_CASE("a job has room for so many folds, and this peer's own") {
  Table table;
  for (unsigned n = 0; n < limits::folds_per_job_max; ++n) CHECK(table.states(n, fold(1, 1, root("a"))).taken);
  CHECK_FALSE(table.states(500, fold(1, 1, root("a"))).taken);
  CHECK(table.settled(peer(500), fold(1, 1, root("a"))));
  CHECK(table.states(3, fold(1, 1 + spacing, root("a"))).taken);
  CHECK(table.take(peer(501), statement(9999), fold(1, 1, root("a")), true).taken);
  CHECK(table.states(500, fold(2, 1, root("a"))).taken);
  table.forget(job(1));
  table.check_invariants();
  CHECK(table.size() == 1);
  CHECK(table.find(job(1), peer(3)) == nullptr);
}

TEST_CASE("all jobs together have room for so many folds") {
  Table table;
  unsigned taken = 0;
  for (unsigned of = 0; of < limits::folds_max / limits::folds_per_job_max + 2; ++of)
    for (unsigned author = 0; author < limits::folds_per_job_max; ++author) taken += table.take(peer(author), statement(1), fold(of, 1, root("a")), false).taken ? 1U : 0U;
  table.check_invariants();
  CHECK(taken == limits::folds_max);
}
