#include "coordinator-less/protocol/statement_store.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

JobId job(int n) {
  JobId id;
  id.bytes[3] = static_cast<std::byte>(n);
  return id;
}

// A made-up statement: the store looks at ids, types and bytes only.
Statement statement(base::Rng& rng, bool manifest = false) {
  Statement s;
  for (auto& byte : s.id.bytes) byte = static_cast<std::byte>(rng.below(256));
  if (!manifest) s.body = Results{};
  s.raw = std::make_shared<const Bytes>(base::copy(s.id.view()));
  return s;
}

std::set<MessageId> ids_of(const StatementStore& store, const std::vector<Statement>& all) {
  std::set<MessageId> out;
  for (const Statement& s : all)
    if (store.contains(s.id)) out.insert(s.id);
  return out;
}

// What a store persisted.
class Disk final : public StoredEvidence {
 public:
  void add(const Statement& statement, const JobId& about) { stored[statement.id] = {statement.raw, about}; }

  base::Expected<std::vector<Statement>> read_job(const JobId&) override { return base::fail(base::ErrorCode::internal, "nobody wakes here"); }
  base::Expected<StoredAnswer> read(std::span<const MessageId> ids, std::size_t) override {
    StoredAnswer out;
    for (const MessageId& id : ids)
      if (stored.contains(id)) out.statements.push_back(stored.at(id).first);
    return out;
  }
  base::Expected<std::optional<JobId>> job_of(const MessageId& id) override {
    if (broken) return base::fail(base::ErrorCode::temporary, "the disk says no");
    ++rows_asked;
    return stored.contains(id) ? std::optional(stored.at(id).second) : std::nullopt;
  }
  base::Expected<std::vector<MessageId>> ids_of(const JobId& job, const MessageId& first, const MessageId& last, std::size_t count_max) override {
    if (broken) return base::fail(base::ErrorCode::temporary, "the disk says no");
    ++rows_asked;
    std::vector<MessageId> out;
    for (auto it = stored.lower_bound(first); it != stored.end() && it->first <= last && out.size() < count_max; ++it)
      if (it->second.second == job) out.push_back(it->first);
    rows_asked += out.size();
    return out;
  }

  std::map<MessageId, std::pair<std::shared_ptr<const Bytes>, JobId>> stored;
  bool broken = false;
  std::uint64_t rows_asked = 0;
};

// A store with its disk, some of whose jobs sleep.
struct Library {
  void add(const Statement& statement, const JobId& about) {
    store.add(statement, about);
    disk.add(statement, about);
  }
  std::vector<std::shared_ptr<const Bytes>> fetch(const StatementStore::Difference& difference) {
    auto out = difference.they_lack;
    const auto asleep = *disk.read(difference.they_lack_asleep, 1 << 30);
    out.insert(out.end(), asleep.statements.begin(), asleep.statements.end());
    return out;
  }
  Disk disk;
  StatementStore store{&disk};
};

}  // namespace

TEST_CASE("what sleeps is compared, listed and fetched as what is awake, page by page, and forgotten or woken without being read") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    base::Rng rng(seed);
    const bool ground = seed > 6;  // into one bucket
    Library a, b;
    StatementStore awake;  // what a has
    std::map<std::vector<std::byte>, std::pair<Statement, JobId>> all;
    const std::size_t count = ground ? 2 * limits::ids_per_reconciliation_max + 100 : 1200;
    for (std::size_t n = 0; n < count; ++n) {
      Statement one = statement(rng, n < 5);
      if (ground) one.id.bytes[0] = std::byte{9};
      one.raw = std::make_shared<const Bytes>(base::copy(one.id.view()));
      const JobId about = job(static_cast<int>(n < 5 ? n : rng.below(5)));
      all[*one.raw] = {one, about};
      const auto where = n < 5 ? 2 : rng.below(8);
      if (where != 0) a.add(one, about), awake.add(one, about);
      if (where != 1) b.add(one, about);
    }
    for (int n = 0; n < 3; ++n) a.store.sleep(job(n)), b.store.sleep(job(n + 1));
    a.store.check_invariants();
    CHECK(a.store.summary().buckets == awake.summary().buckets);
    CHECK(a.store.size() == awake.size());
    for (const auto& [raw, one] : all) REQUIRE(a.store.seen(one.first.id) == awake.seen(one.first.id));
    int rounds = 0;
    for (; rounds < 40 && a.store.summary().buckets != b.store.summary().buckets; ++rounds) {
      Library& lists = rounds % 2 == 0 ? a : b;
      Library& looks = rounds % 2 == 0 ? b : a;
      const auto before = lists.store.reads() + looks.store.reads(), asked_before = lists.disk.rows_asked + looks.disk.rows_asked;
      const auto ids = lists.store.compare(looks.store.summary());
      REQUIRE(ids);
      if (rounds == 0) CHECK(ids->ids == awake.compare(looks.store.summary())->ids);
      CHECK(std::ranges::is_sorted(ids->ids));
      const auto difference = looks.store.difference(*ids);
      CHECK(lists.store.reads() + looks.store.reads() - before == lists.disk.rows_asked + looks.disk.rows_asked - asked_before);
      const auto take = [&](Library& library, const std::vector<std::shared_ptr<const Bytes>>& raws) {
        for (const auto& raw : raws) {
          const auto& [one, about] = all.at(*raw);
          CHECK_FALSE(library.store.contains(one.id));  // nothing is sent that is there
          library.store.wake(about);  // as the node does: what it had comes back with it
          for (const auto& [other, kept] : all)
            if (kept.second == about && library.disk.stored.contains(kept.first.id)) library.store.add(kept.first, about);
          library.add(one, about);
        }
      };
      take(lists, looks.fetch(difference));
      take(looks, lists.fetch(lists.store.wanted(Want{difference.we_lack})));
      lists.store.check_invariants();
    }
    CHECK(rounds < 40);
    a.store.check_invariants();
    for (int n = 0; n < 5; ++n) a.store.remove_job(job(n));
    CHECK(a.store.size() == 0);
    CHECK(a.store.summary().buckets == StatementStore().summary().buckets);
  }
}

TEST_CASE("while the disk cannot be read what may sleep counts as seen, and no comparison is answered wrongly") {
  base::Rng rng(12);
  Library library;
  const Statement manifest = statement(rng, true), one = statement(rng);
  Statement never = statement(rng);
  never.id.bytes[0] = one.id.bytes[0];  // in other buckets nothing sleeps
  for (const Statement& kept : {manifest, one}) library.add(kept, job(1));
  library.disk.broken = true;
  CHECK_FALSE(library.store.seen(never.id));  // nothing sleeps: the disk is not asked
  library.store.sleep(job(1));
  CHECK(library.store.seen(never.id));
  CHECK(library.store.here(manifest.id));
  CHECK_FALSE(library.store.here(one.id));
  CHECK_FALSE(library.store.compare(Summary{std::vector<std::uint64_t>(256, 12345)}));
  BucketIds theirs{{static_cast<std::uint8_t>(never.id.bytes[0])}, {never.id}};
  const auto nothing = library.store.difference(theirs);
  CHECK((nothing.they_lack.empty() && nothing.they_lack_asleep.empty() && nothing.we_lack.empty()));
  library.disk.broken = false;
  CHECK(library.store.difference(theirs).we_lack == std::vector{never.id});
  CHECK_FALSE(library.store.seen(never.id));
}

TEST_CASE("a hostile message makes this peer read little more than one answer from the disk") {
  base::Rng rng(13);
  Library library;
  library.add(statement(rng, true), job(1));
  for (int n = 0; n < 20'000; ++n) library.add(statement(rng), job(1));
  library.store.sleep(job(1));
  const auto reads = [&](const auto& message) {
    const auto before = library.store.reads();
    message();
    return library.store.reads() - before;
  };
  constexpr std::uint64_t answer = limits::ids_per_reconciliation_max, buckets = id_bucket_count;
  CHECK(reads([&] { library.store.compare(Summary{std::vector<std::uint64_t>(256, 12345)}); }) <= 2 * answer + 2 * buckets);
  BucketIds list;
  for (unsigned bucket = 0; bucket < 256; ++bucket) list.buckets.push_back(static_cast<std::uint8_t>(bucket));
  CHECK(reads([&] { library.store.difference(list); }) <= answer + buckets);
  while (list.ids.size() < limits::ids_per_reconciliation_max) list.ids.push_back(statement(rng).id);
  CHECK(reads([&] { library.store.difference(list); }) <= 3 * answer + buckets);
  CHECK(reads([&] { library.store.wanted(Want{list.ids}); }) <= answer);
  CHECK(reads([&] { library.store.summary(); }) == 0);
}

TEST_CASE("two stores become equal by comparing, whatever each had") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    base::Rng rng(seed);
    StatementStore a, b;
    std::vector<Statement> all;
    for (int n = 0; n < 300; ++n) {
      all.push_back(statement(rng));
      const auto where = rng.below(8);
      if (where != 0) a.add(all.back(), job(1));
      if (where != 1) b.add(all.back(), job(1));
    }
    const auto ids = b.compare(a.summary());
    if (!ids) {
      CHECK(ids_of(a, all) == ids_of(b, all));
      continue;
    }
    const auto difference = a.difference(*ids);  // a looks at what b listed
    std::map<std::vector<std::byte>, Statement> by_raw;
    for (const Statement& s : all) by_raw[*s.raw] = s;
    for (const auto& raw : difference.they_lack) {
      CHECK_FALSE(b.contains(by_raw.at(*raw).id));
      b.add(by_raw.at(*raw), job(1));
    }
    for (const auto& raw : b.wanted(Want{difference.we_lack}).they_lack) a.add(by_raw.at(*raw), job(1));
    a.check_invariants();
    b.check_invariants();
    CHECK(ids_of(a, all) == ids_of(b, all));
    CHECK_FALSE(b.compare(a.summary()));
  }
}

TEST_CASE("equal stores say so with one message") {
  base::Rng rng(5);
  StatementStore a, b;
  for (int n = 0; n < 50; ++n) {
    const Statement s = statement(rng);
    a.add(s, job(1));
    b.add(s, job(1));
  }
  CHECK_FALSE(b.compare(a.summary()));
}

TEST_CASE("manifests travel before what speaks of them") {
  base::Rng rng(6);
  StatementStore store;
  Want want;
  for (int n = 0; n < 20; ++n) {
    const Statement s = statement(rng, n % 5 == 0);
    store.add(s, job(1));
    want.ids.push_back(s.id);
  }
  const auto sent = store.wanted(want).they_lack;
  REQUIRE(sent.size() == 20);
  for (std::size_t n = 0; n < 4; ++n) {
    const auto id = MessageId::from(*sent[n]);
    CHECK(store.find(*id)->type == StatementType::manifest);
  }
}

TEST_CASE("removing a job leaves nothing of it in the sums") {
  base::Rng rng(7);
  StatementStore store;
  const Summary before = store.summary();
  for (int n = 0; n < 40; ++n) store.add(statement(rng), job(1 + n % 2));
  store.remove_job(job(1));
  store.remove_job(job(2));
  CHECK(store.size() == 0);
  CHECK(store.summary().buckets == before.buckets);
  store.check_invariants();
}

TEST_CASE("remembered ephemeral ids are bounded, the oldest go first") {
  base::Rng rng(8);
  StatementStore store;
  const MessageId first = statement(rng).id;
  store.remember_ephemeral(first);
  for (std::size_t n = 0; n < limits::seen_statements_max; ++n) store.remember_ephemeral(statement(rng).id);
  CHECK_FALSE(store.seen(first));
  store.check_invariants();
}

TEST_CASE("a hostile summary or listing costs a bounded answer") {
  base::Rng rng(9);
  StatementStore store;
  for (int n = 0; n < 6000; ++n) store.add(statement(rng), job(1));
  CHECK_FALSE(store.compare(Summary{{1, 2, 3}}));
  const auto ids = store.compare(Summary{std::vector<std::uint64_t>(256, 12345)});
  REQUIRE(ids);
  CHECK(ids->ids.size() <= limits::ids_per_reconciliation_max);
  BucketIds everything;
  for (int bucket = 0; bucket < 256; ++bucket) everything.buckets.push_back(static_cast<std::uint8_t>(bucket));
  CHECK(store.difference(everything).they_lack.size() <= limits::statements_per_want_answer_max);
}

TEST_CASE("however large the store, a newcomer gets the manifest first") {
  base::Rng rng(10);
  StatementStore store;
  const Statement manifest = statement(rng, true);
  store.add(manifest, job(1));
  for (int n = 0; n < 12'000; ++n) store.add(statement(rng), job(1));
  BucketIds nothing;
  for (int bucket = 0; bucket < 256; ++bucket) nothing.buckets.push_back(static_cast<std::uint8_t>(bucket));
  const auto sent = store.difference(nothing).they_lack;
  REQUIRE_FALSE(sent.empty());
  CHECK(*sent[0] == *manifest.raw);
}

TEST_CASE("ids ground into one bucket do not end its convergence") {
  base::Rng rng(11);
  StatementStore a, b;
  std::vector<Statement> all;
  for (std::size_t n = 0; n < 3 * limits::ids_per_reconciliation_max; ++n) {
    Statement s = statement(rng);
    s.id.bytes[0] = static_cast<std::byte>(n % 50 == 0 ? rng.below(256) : 9);
    s.raw = std::make_shared<const Bytes>(base::copy(s.id.view()));
    all.push_back(s);
    const auto where = rng.below(20);
    if (where != 0) a.add(s, job(1));
    if (where != 1) b.add(s, job(1));
  }
  std::map<std::vector<std::byte>, const Statement*> by_raw;
  for (const Statement& s : all) by_raw[*s.raw] = &s;
  int rounds = 0;
  for (; rounds < 60 && a.summary().buckets != b.summary().buckets; ++rounds) {
    StatementStore& lists = rounds % 2 == 0 ? a : b;
    StatementStore& looks = rounds % 2 == 0 ? b : a;
    const auto ids = lists.compare(looks.summary());
    REQUIRE(ids);
    CHECK(ids->ids.size() <= limits::ids_per_reconciliation_max);
    CHECK(std::ranges::is_sorted(ids->ids));
    const auto difference = looks.difference(*ids);
    for (const auto& raw : difference.they_lack) {
      CHECK_FALSE(lists.contains(by_raw.at(*raw)->id));  // nothing is sent that was merely on another page
      lists.add(*by_raw.at(*raw), job(1));
    }
    for (const auto& raw : lists.wanted(Want{difference.we_lack}).they_lack) looks.add(*by_raw.at(*raw), job(1));
  }
  CHECK(rounds < 60);
  CHECK(ids_of(a, all) == ids_of(b, all));
}

TEST_CASE("headlines are compared alone, and listed alone") {
  base::Rng rng(12);
  StatementStore a, b;
  std::set<MessageId> headlines;
  for (int n = 0; n < 60; ++n) {
    Statement s = statement(rng, n % 3 == 0);
    if (n % 3 == 1) s.body = Fold{};
    a.add(s, job(n % 5));
    if (n % 3 != 2) headlines.insert(s.id);
  }
  CHECK(b.compare(a.summary(true)));
  const auto ids = a.compare(b.summary(true));
  REQUIRE(ids);
  CHECK(ids->headlines);
  CHECK(std::set(ids->ids.begin(), ids->ids.end()) == headlines);
  const auto difference = a.difference(BucketIds{.buckets = ids->buckets, .ids = {}, .headlines = true});
  CHECK(difference.they_lack.size() == headlines.size());
  for (const auto& raw : difference.they_lack) b.add(Statement{*MessageId::from(*raw), {}, a.find(*MessageId::from(*raw))->type == StatementType::fold ? Body(Fold{}) : Body(Manifest{}), raw}, job(1));
  CHECK_FALSE(a.compare(b.summary(true)));
  CHECK(a.compare(b.summary()));  // the results are missing still
  a.check_invariants();
  b.check_invariants();
}

TEST_CASE("what is left out of a job is neither counted nor listed, awake or asleep") {
  base::Rng rng(13);
  Disk disk;
  StatementStore a(&disk), b;
  std::set<MessageId> results;
  for (int n = 0; n < 90; ++n) {
    const Statement s = statement(rng, n < 3);
    a.add(s, job(n % 3));
    disk.add(s, job(n % 3));
    if (n < 3 || n % 3 == 0) b.add(s, job(n % 3));
    else results.insert(s.id);
  }
  a.sleep(job(1));
  const StatementStore::Jobs without{job(1), job(2), job(7)};
  CHECK(a.summary(false, without).buckets == b.summary().buckets);
  CHECK_FALSE(a.compare(b.summary(), without));
  const auto walked = a.walked();
  CHECK(walked > 0);  // once
  CHECK_FALSE(a.compare(b.summary(), without));
  CHECK(a.walked() == walked);
  REQUIRE(a.compare(b.summary()));
  Summary differs = b.summary();
  for (auto& sum : differs.buckets) ++sum;
  const auto ids = a.compare(differs, without);
  REQUIRE(ids);
  for (const MessageId& id : ids->ids) CHECK_FALSE(results.contains(id));
  CHECK(ids->ids.size() == 32);
  const auto sent = a.difference(BucketIds{.buckets = ids->buckets, .ids = {}}, without);
  CHECK(sent.they_lack.size() == 32);
  CHECK(sent.they_lack_asleep.empty());
  const auto all = a.difference(BucketIds{.buckets = ids->buckets, .ids = {}});
  CHECK(all.they_lack.size() + all.they_lack_asleep.size() == 90);
  a.check_invariants();
  const Statement later = statement(rng);  // what was counted once is kept up
  a.add(later, job(2));
  a.check_invariants();
  CHECK_FALSE(a.compare(b.summary(), without));
  a.remove(later.id);
  a.remove(*results.begin());
  a.check_invariants();
  CHECK_FALSE(a.compare(b.summary(), without));
  a.sleep(job(2));
  a.check_invariants();
  CHECK_FALSE(a.compare(b.summary(), without));
  CHECK(a.walked() == walked);
}
