#include "coordinator-less/storage/evidence_store.hpp"

#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "tests/unit/storage/support.hpp"

namespace starling::storage {
namespace {

using base::ErrorCode;

base::JobId job_of(unsigned n) {
  base::JobId job{};
  job.bytes[0] = static_cast<std::byte>(n);
  return job;
}

StoredStatement statement(std::uint32_t n, unsigned job = 1, bool own = false, std::size_t length = 100) {
  base::Bytes raw;
  base::append_u32(raw, n);
  const auto id = base::retag<base::MessageId>(crypto::sha256(raw));
  raw.resize(std::max<std::size_t>(4, length), static_cast<std::byte>(n));
  const auto verified = n % 3 == 0 ? std::nullopt : std::optional(crypto::sha256(raw));
  return {id, job_of(job), static_cast<std::uint16_t>(n % 7), raw, own, verified};
}

bool same(const StoredStatement& a, const StoredStatement& b) {
  return a.id == b.id && a.job == b.job && a.type == b.type && a.raw == b.raw && a.own == b.own && a.verified == b.verified;
}

std::unique_ptr<EvidenceStore> opened(const std::filesystem::path& file) {
  auto store = EvidenceStore::open(file);
  if (!store) FAIL(store.error().message);
  return *std::move(store);
}

std::vector<StoredStatement> all_of(EvidenceStore& store) {
  std::vector<StoredStatement> out;
  REQUIRE(store.for_each([&](const StoredStatement& found) {
    out.push_back(found);
    return true;
  }));
  return out;
}

void run_sql(const std::filesystem::path& file, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

std::int64_t count_sql(const std::filesystem::path& file, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  REQUIRE(sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
  const std::int64_t count = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return count;
}

void expect_error(const std::filesystem::path& file, ErrorCode code, const std::string& word) {
  const auto before = std::filesystem::is_regular_file(file) ? read_file(file) : base::Bytes{};
  const auto store = EvidenceStore::open(file);
  REQUIRE_FALSE(store);
  CAPTURE(store.error().message);
  CHECK(store.error().code == code);
  CHECK(store.error().message.find(word) != std::string::npos);
  CHECK(store.error().message.find(file.filename().string()) != std::string::npos);
  CHECK_FALSE(store.error().hint.empty());
  if (std::filesystem::is_regular_file(file)) CHECK(read_file(file) == before);
}

TEST_CASE("a new database is private and comes back as it was left") {
  const testing::ScratchFolder scratch;
  const auto file = scratch / "deep/er/peer.db";
  const StoredStatement kept = statement(1, 3, true);
  {
    auto store = opened(file);
    CHECK(store->append({kept, statement(2)}));
    CHECK(store->set_setting("seed", base::view("secret")));
  }
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  auto store = opened(file);
  const auto found = all_of(*store);
  REQUIRE(found.size() == 2);
  CHECK(same(found[0], kept));
  CHECK(*store->count() == 2);
  CHECK(**store->setting("seed") == base::copy(base::view("secret")));
  CHECK_FALSE(store->setting("other")->has_value());
}

TEST_CASE("a statement is found by its id") {
  const testing::ScratchFolder folder;
  const auto store = opened(folder / "peer.db");
  REQUIRE(store->append({statement(1), statement(2, 2, true), statement(3)}));
  const auto found = store->find(statement(2, 2, true).id);
  REQUIRE((found && *found));
  CHECK(same(**found, statement(2, 2, true)));
  const auto none = store->find(statement(4).id);
  REQUIRE(none);
  CHECK_FALSE(none->has_value());
  REQUIRE(store->remove_job(job_of(2)));
  CHECK_FALSE(store->find(statement(2, 2, true).id)->has_value());
}

TEST_CASE("statements stand in the order of appending, each once, as a naive model keeps them") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "peer.db");
  std::vector<StoredStatement> model;
  base::Rng rng(21);
  for (int step = 0; step < 150; ++step) {
    if (const auto choice = rng.below(20); choice == 0) {
      const auto job = job_of(static_cast<unsigned>(rng.below(4)));
      REQUIRE(store->remove_job(job));
      std::erase_if(model, [&](const auto& held) { return held.job == job; });
    } else if (choice == 1) {
      store.reset();
      store = opened(scratch / "peer.db");
    } else {
      std::vector<StoredStatement> batch;
      for (std::uint64_t n = rng.below(5); n > 0; --n) {
        const auto number = static_cast<std::uint32_t>(rng.below(200));
        batch.push_back(statement(number, number % 4, number % 5 == 0, 4 + number * 20));
      }
      REQUIRE(store->append(batch));
      for (const auto& added : batch)
        if (std::ranges::none_of(model, [&](const auto& held) { return held.id == added.id; })) model.push_back(added);
    }
    REQUIRE(std::ranges::equal(all_of(*store), model, same));
  }
}

TEST_CASE("for_each stops when told, and empty batches and bodies are nothing special") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "peer.db");
  CHECK(store->append({}));
  StoredStatement bare = statement(9);
  bare.raw.clear();
  CHECK(store->append({bare, statement(1), statement(2)}));
  int seen = 0;
  CHECK(store->for_each([&](const StoredStatement& found) {
    if (seen == 0) CHECK(found.raw.empty());
    return ++seen < 2;
  }));
  CHECK(seen == 2);
  CHECK(store->append({statement(3)}));  // no reader was left behind
  CHECK(store->set_setting("empty", {}));
  CHECK(**store->setting("empty") == base::Bytes{});
}

TEST_CASE("the statements of one job are given out alone and in order") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "peer.db");
  CHECK(store->append({statement(5, 1), statement(1, 2), statement(3, 1), statement(2, 2)}));
  std::vector<StoredStatement> found;
  const auto keep = [&](const StoredStatement& row) {
    found.push_back(row);
    return true;
  };
  CHECK(store->for_each_of(job_of(1), keep));
  CHECK(std::ranges::equal(found, std::vector{statement(5, 1), statement(3, 1)}, same));
  CHECK(store->for_each_of(job_of(9), keep));
  CHECK(found.size() == 2);
}

TEST_CASE("a job's ids are told in order, within bounds, and which job an id is of, as a naive model has it") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "peer.db");
  base::Rng rng(5);
  std::map<base::MessageId, base::JobId> model;
  std::vector<StoredStatement> batch;
  for (std::uint32_t n = 0; n < 300; ++n) batch.push_back(statement(n, n % 3)), model[batch.back().id] = batch.back().job;
  REQUIRE(store->append(batch));
  REQUIRE(store->remove_job(job_of(2)));
  std::erase_if(model, [](const auto& entry) { return entry.second == job_of(2); });
  const auto any = [&] { return batch[rng.below(batch.size())].id; };
  for (int round = 0; round < 300; ++round) {
    const auto job = job_of(static_cast<unsigned>(rng.below(4)));
    const auto first = rng.below(4) == 0 ? base::MessageId{} : any(), last = any();
    const auto count_max = rng.below(60);
    std::vector<base::MessageId> expected;
    for (const auto& [id, whose] : model)
      if (whose == job && id >= first && id <= last && expected.size() < count_max) expected.push_back(id);
    CHECK(*store->ids_of(job, first, last, count_max) == expected);
    const auto id = any();
    CHECK(*store->job_of(id) == (model.contains(id) ? std::optional(model.at(id)) : std::nullopt));
  }
}

TEST_CASE("a row that is set aside may come again, and is gone with its job; one that was checked says so") {
  const testing::ScratchFolder scratch;
  const auto file = scratch / "peer.db";
  auto store = opened(file);
  const auto damaged = statement(3), kept = statement(6);  // neither says that it was checked
  REQUIRE(store->append({damaged, kept, statement(5)}));
  REQUIRE(store->set_aside({damaged.id}));
  REQUIRE(store->set_aside({statement(9).id}));  // not there
  CHECK(all_of(*store).size() == 2);
  CHECK(*store->job_of(damaged.id) == std::nullopt);
  const auto digest = crypto::sha256(kept.raw);
  REQUIRE(store->mark_verified({{kept.id, digest}, {damaged.id, digest}}));
  CHECK((*store->find(kept.id))->verified == digest);
  REQUIRE(store->append({damaged}));
  CHECK(same(all_of(*store).back(), damaged));
  store.reset();
  const auto aside = [&] { return count_sql(file, "SELECT count(*) FROM damaged WHERE length(raw) = 100"); };
  CHECK(aside() == 1);
  store = opened(file);
  REQUIRE(store->remove_job(job_of(1)));
  store.reset();
  CHECK(aside() == 0);
}

TEST_CASE("settings are replaced, and bounded") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "peer.db");
  CHECK(store->set_setting("name", base::view("a")));
  CHECK(store->set_setting("name", base::view("b")));
  CHECK(**store->setting("name") == base::copy(base::view("b")));
  const auto refused = store->set_setting("name", base::Bytes(limits::setting_bytes_max + 1));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::bad_input);
}

TEST_CASE("peers come newest first and the oldest give way") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "peer.db");
  const auto id_of = [](std::uint32_t n) { return base::retag<base::PeerId>(statement(n).id); };
  CHECK(store->remember_peer({id_of(1), {"10.0.0.1:7", ""}, 50}));
  CHECK(store->remember_peer({id_of(2), {}, 70}));
  CHECK(store->remember_peer({id_of(1), {"10.0.0.9:7", "host:8"}, 90}));
  const auto few = *store->peers();
  REQUIRE(few.size() == 2);
  CHECK(few[0].id == id_of(1));
  CHECK(few[0].addresses == std::vector<std::string>{"10.0.0.9:7", "host:8"});
  CHECK(few[1].last_seen_unix_s == 70);
  for (std::uint32_t n = 0; n < limits::cached_peers_max + 10; ++n)
    CHECK(store->remember_peer({id_of(1000 + n), {"a:1"}, 100 + n}));
  const auto many = *store->peers();
  CHECK(many.size() == limits::cached_peers_max);
  CHECK(many.front().last_seen_unix_s == 100 + static_cast<std::int64_t>(limits::cached_peers_max) + 9);
  CHECK(many.back().last_seen_unix_s == 110);
}

TEST_CASE("a second opener is told that the database is in use") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "peer.db");
  expect_error(scratch / "peer.db", ErrorCode::temporary, "in use");
  store.reset();
  opened(scratch / "peer.db");
}

TEST_CASE("a database of a newer version is left alone") {
  const testing::ScratchFolder scratch;
  opened(scratch / "peer.db");
  run_sql(scratch / "peer.db", "PRAGMA user_version=1000");
  expect_error(scratch / "peer.db", ErrorCode::bad_input, "newer version");
}

TEST_CASE("a database of another program is left alone") {
  const testing::ScratchFolder scratch;
  run_sql(scratch / "other.db", "CREATE TABLE bookmarks (url TEXT)");
  expect_error(scratch / "other.db", ErrorCode::bad_input, "another program");
}

TEST_CASE("an empty file becomes a database") {
  const testing::ScratchFolder scratch;
  write_file(scratch / "peer.db", {});
  CHECK(opened(scratch / "peer.db")->append({statement(1)}));
}

TEST_CASE("a damaged database is reported with its name and what to do, and left alone") {
  const testing::ScratchFolder scratch;
  const auto file = scratch / "peer.db";
  {
    auto store = opened(file);
    for (std::uint32_t n = 0; n < 50; ++n) REQUIRE(store->append({statement(n, 1, false, 3000)}));
  }
  const auto sound = read_file(file);
  SUBCASE("not a database at all") {
    write_file(file, base::Bytes(5000, std::byte{'x'}));
    expect_error(file, ErrorCode::bad_input, "damaged");
  }
  SUBCASE("cut off") {
    write_file(file, base::ByteView(sound).first(sound.size() / 2));
    expect_error(file, ErrorCode::bad_input, "damaged");
  }
  SUBCASE("pages overwritten") {
    auto changed = sound;
    std::fill(changed.begin() + 4096, changed.begin() + 4096 * 12, std::byte{0xff});
    write_file(file, changed);
    expect_error(file, ErrorCode::bad_input, "damaged");
  }
  SUBCASE("a folder stands in its place") {
    std::filesystem::remove(file);
    std::filesystem::create_directory(file);
    expect_error(file, ErrorCode::bad_input, "peer.db");
  }
}

TEST_CASE("rows of wrong shape are damage, not a crash") {
  const testing::ScratchFolder scratch;
  const auto file = scratch / "peer.db";
  REQUIRE(opened(file)->append({statement(1)}));
  run_sql(file, "UPDATE statements SET id = x'00'; INSERT INTO peers VALUES (zeroblob(32), x'ffffffff00', 5);");
  auto store = opened(file);
  const auto read = store->for_each([](const StoredStatement&) { return true; });
  REQUIRE_FALSE(read);
  CHECK(read.error().code == ErrorCode::bad_input);
  CHECK_FALSE(store->peers());
}

// Fills the store until it has no room, makes room, and sees that nothing committed is missing and that it works again.
std::string fill_up(const std::filesystem::path& file, const std::function<void()>& make_room) {
  auto store = EvidenceStore::open(file);
  if (!store) return store.error().message;
  std::uint32_t committed = 0;
  base::Expected<void> appended;
  while (committed < 2000 && (appended = (*store)->append({statement(committed, 1, true, 10'000)}))) ++committed;
  if (appended) return "the disk never filled up";
  if (appended.error().code != ErrorCode::temporary) return "wrong code: " + appended.error().message;
  if (appended.error().message.find(file.string()) == std::string::npos || appended.error().hint.empty())
    return "unclear: " + appended.error().message;
  if (*(*store)->count() != committed) return "a failed append left something or took something away";
  make_room();
  if (auto again = (*store)->append({statement(committed, 1, true, 10'000)}); !again)
    return "does not recover: " + again.error().message;
  store->reset();
  store = EvidenceStore::open(file);
  if (!store) return store.error().message;
  return *(*store)->count() == committed + 1 ? "" : "statements were lost";
}

TEST_CASE("a full disk is a temporary error and the store works on once there is room") {
  const testing::ScratchFolder scratch;
  SUBCASE("by a limit on file size") {
    CHECK(in_child([&] {
            limit_file_bytes(400'000);
            return fill_up(scratch / "peer.db", [] { limit_file_bytes(RLIM_INFINITY); });
          }) == "");
  }
  SUBCASE("by a small disk") {
    CHECK(in_child([&]() -> std::string {
            if (!mount_small_disk(scratch / "disk", "1m")) return "";  // no rights here: the other case stands for it
            write_file(scratch / "disk/ballast", base::Bytes(300'000));
            return fill_up(scratch / "disk/peer.db", [&] { std::filesystem::remove(scratch / "disk/ballast"); });
          }) == "");
  }
}

TEST_CASE("opening on a full disk is a temporary error") {
  const testing::ScratchFolder scratch;
  CHECK(in_child([&]() -> std::string {
          limit_file_bytes(1000);
          const auto store = EvidenceStore::open(scratch / "peer.db");
          if (store) return "opened without room";
          return store.error().code == ErrorCode::temporary ? "" : store.error().message;
        }) == "");
  CHECK(opened(scratch / "peer.db")->append({statement(1)}));
}

TEST_CASE("what was committed survives kill -9 at any moment") {
  const testing::ScratchFolder scratch;
  const auto file = scratch / "peer.db";
  base::Rng rng(31);
  std::set<std::uint32_t> reported;
  for (std::uint32_t round = 0; round < 6; ++round) {
    const auto steps = kill_after(1 + rng.below(60), [&](const auto& report) {
      auto store = EvidenceStore::open(file);
      if (!store) return;
      for (std::uint32_t n = round * 100'000;; ++n) {
        if (!(*store)->append({statement(n, n % 3, true, 200 + n % 5000)})) return;
        report(n);
      }
    });
    REQUIRE_FALSE(steps.empty());
    reported.insert(steps.begin(), steps.end());
    auto store = opened(file);
    std::set<base::MessageId> present;
    for (const auto& found : all_of(*store)) present.insert(found.id);
    for (const auto n : reported) REQUIRE(present.contains(statement(n).id));
    CHECK(present.size() <= reported.size() + round + 1);  // at most one a round was under way
  }
}

}  // namespace
}  // namespace starling::storage
