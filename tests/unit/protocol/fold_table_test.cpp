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

constexpr auto spacing = limits::fold_spacing.ms;

Digest rank(unsigned author) {
  Digest out;
  out.bytes[0] = static_cast<std::byte>(author >> 8);
  out.bytes[1] = static_cast<std::byte>(author);
  return out;
}

struct Table : FoldTable {
  Taken states(unsigned author, const Fold& said) {
    const auto taken = take(peer(author), statement(++statements), said, rank(author), {now_ms}, false);
    check_invariants();
    return taken;
  }
  std::int64_t now_ms = 0;
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
  CHECK(belief->authors == std::vector{peer(1), peer(2), peer(3)});
  CHECK(belief->said.size() == 3);
  CHECK_FALSE(table.believed(job(2), {}));
  CHECK(table.states(4, fold(1, 1, root("b"))).taken);
  CHECK_FALSE(table.believed(job(1), {}));
  table.now_ms += spacing;
  CHECK(table.states(4, fold(1, 2, Digest{})).taken);  // takes it back
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
  for (unsigned n = 0; n < 5; ++n, table.now_ms += spacing) CHECK(table.states(1, fold(1, 1 + n, root("a"))).taken);
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

TEST_CASE("the higher of an author's folds replaces the other, not sooner than one can change, whatever it says of its time") {
  Table table;
  CHECK(table.states(1, fold(1, 100, root("a"))).taken);
  CHECK_FALSE(table.states(1, fold(1, 1'000'000'000, root("b"))).taken);  // too soon: it may come again
  CHECK_FALSE(table.settled(peer(1), statement(2), fold(1, 1'000'000'000, root("b")), rank(1)));
  table.now_ms += spacing - 1;
  CHECK_FALSE(table.states(1, fold(1, 101, root("b"))).taken);
  table.now_ms += 1;
  CHECK_FALSE(table.states(1, fold(1, 99, root("b"))).taken);
  CHECK(table.settled(peer(1), statement(9), fold(1, 99, root("b")), rank(1)));
  const auto taken = table.states(1, fold(1, 101, root("b")));
  CHECK(taken.taken);
  CHECK(taken.gone == std::vector{statement(1)});
  CHECK(table.find(job(1), peer(1))->fold.root == root("b"));
}

TEST_CASE("of two with one sequence the higher id stays, in whatever order they come") {
  for (const bool higher_first : {false, true}) {
    FoldTable table;
    for (const bool second : {false, true}) {
      const unsigned id = second != higher_first ? 2 : 1;
      table.take(peer(1), statement(id), fold(1, 100, root(id == 2 ? "b" : "a")), rank(1), {second ? spacing : 0}, false);
    }
    CHECK(table.find(job(1), peer(1))->statement == statement(2));
  }
}

TEST_CASE("a job has room for so many folds, and the lowest ranks stay, in whatever order they come") {
  constexpr unsigned count = limits::folds_per_job_max + 20;
  for (const bool backwards : {false, true}) {
    Table table;
    for (unsigned n = 0; n < count; ++n) table.states(backwards ? count - 1 - n : n, fold(1, 1, root("a")));
    CHECK(table.size() == limits::folds_per_job_max);
    for (unsigned n = 0; n < count; ++n) CHECK((table.find(job(1), peer(n)) != nullptr) == (n < limits::folds_per_job_max));
    CHECK(table.settled(peer(count), statement(9999), fold(1, 1, root("a")), rank(count)));
    CHECK_FALSE(table.take(peer(count), statement(9999), fold(1, 1, root("a")), rank(count), {}, true).taken);  // own too
    CHECK(table.states(count, fold(2, 1, root("a"))).taken);
    table.forget(job(1));
    table.check_invariants();
    CHECK(table.size() == 1);
    CHECK(table.find(job(1), peer(3)) == nullptr);
  }
}

TEST_CASE("all jobs together have room for so many folds, and the lowest ranks stay") {
  FoldTable table;
  constexpr unsigned jobs = limits::folds_max / limits::folds_per_job_max;
  for (unsigned of = 0; of < jobs; ++of)
    for (unsigned author = 0; author < limits::folds_per_job_max; ++author) CHECK(table.take(peer(author), statement(1), fold(of, 1, root("a")), rank(author + 1), {}, false).taken);
  CHECK(table.size() == limits::folds_max);
  CHECK_FALSE(table.take(peer(1000), statement(2), fold(jobs, 1, root("a")), rank(1000), {}, false).taken);
  const auto taken = table.take(peer(1001), statement(3), fold(jobs, 1, root("a")), rank(0), {}, false);
  CHECK(taken.taken);
  REQUIRE(taken.lost);
  CHECK(table.find(*taken.lost, peer(limits::folds_per_job_max - 1)) == nullptr);
  table.check_invariants();
  CHECK(table.size() == limits::folds_max);
}
