// What the evidence store asks of SQLite, seen on its own connection: how durable a commit is, and that a migration is one.
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "coordinator-less/storage/evidence_store.hpp"
#include "tests/unit/storage/support.hpp"

namespace starling::storage {
namespace {

using OnStatement = std::function<void(sqlite3*, const std::string& sql)>;

// While it lives every connection that this process opens tells it each statement before it runs.
class SqlWatch {
 public:
  explicit SqlWatch(OnStatement on_statement) {
    watcher() = std::move(on_statement);
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(&attach));
  }
  ~SqlWatch() {
    sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(&attach));
    watcher() = nullptr;
  }
  SqlWatch(const SqlWatch&) = delete;
  SqlWatch& operator=(const SqlWatch&) = delete;

 private:
  static OnStatement& watcher() {
    static OnStatement on_statement;
    return on_statement;
  }
  static int attach(sqlite3* database, const char**, const void*) {
    return sqlite3_trace_v2(database, SQLITE_TRACE_STMT, &tell, database);
  }
  static int tell(unsigned, void* database, void*, void* sql) {
    if (watcher()) watcher()(static_cast<sqlite3*>(database), static_cast<const char*>(sql));
    return 0;
  }
};

std::int64_t number(sqlite3* database, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) != SQLITE_OK) return -1;
  const std::int64_t result = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
  sqlite3_finalize(statement);
  return result;
}

StoredStatement statement(unsigned n, bool own) {
  StoredStatement out;
  out.id.bytes[0] = static_cast<std::byte>(n);
  out.raw = base::Bytes(50, static_cast<std::byte>(n));
  out.own = own;
  return out;
}

TEST_CASE("a job's ids and the job of an id are told by indexes, and its rows are not sorted with their bytes") {
  const testing::ScratchFolder scratch;
  std::set<std::string> plans;
  bool asked = false;
  const SqlWatch watch([&](sqlite3* database, const std::string& sql) {
    if (!asked || !sql.starts_with("SELECT")) return;
    sqlite3_stmt* plan = nullptr;
    REQUIRE(sqlite3_prepare_v2(database, ("EXPLAIN QUERY PLAN " + sql).c_str(), -1, &plan, nullptr) == SQLITE_OK);
    while (sqlite3_step(plan) == SQLITE_ROW) plans.insert(reinterpret_cast<const char*>(sqlite3_column_text(plan, 3)));
    sqlite3_finalize(plan);
  });
  auto store = EvidenceStore::open(scratch / "peer.db");
  REQUIRE(store);
  REQUIRE((*store)->append({statement(1, false)}));
  asked = true;
  const auto says = [&](const char* words) { return std::ranges::any_of(plans, [&](const auto& plan) { return plan.contains(words); }); };
  REQUIRE((*store)->ids_of({}, {}, {}, 1));
  CHECK(says("USING COVERING INDEX statements_of_job (job=? AND id>? AND id<?)"));
  plans.clear();
  REQUIRE((*store)->job_of({}));
  CHECK(says("USING INDEX sqlite_autoindex_statements_1 (id=?)"));
  plans.clear();
  REQUIRE((*store)->for_each_of({}, [](const auto&) { return true; }));
  CHECK(says("USING COVERING INDEX statements_of_job (job=?)"));
  CHECK_FALSE(says("TEMP B-TREE"));
}

constexpr const char* synchronous = "PRAGMA synchronous";
constexpr std::int64_t normal = 1, full = 2;

TEST_CASE("own statements and settings are committed with synchronous=FULL, others need not be") {
  const testing::ScratchFolder scratch;
  std::vector<std::int64_t> at_insert, at_commit;
  const SqlWatch watch([&](sqlite3* database, const std::string& sql) {
    if (sql.starts_with("INSERT INTO")) at_insert.push_back(number(database, synchronous));
    if (sql.starts_with("COMMIT")) at_commit.push_back(number(database, synchronous));
  });
  auto store = EvidenceStore::open(scratch / "peer.db");
  REQUIRE(store);
  at_commit.clear();  // of making the tables
  REQUIRE((*store)->append({statement(1, false)}));
  REQUIRE((*store)->append({statement(2, false), statement(3, true)}));
  REQUIRE((*store)->append({statement(4, true)}));
  REQUIRE((*store)->append({statement(5, false)}));
  REQUIRE((*store)->remember_peer({{}, {"a:1"}, 5}));
  REQUIRE((*store)->set_setting("identity", base::view("seed")));
  CHECK(at_commit == std::vector{normal, full, full, normal, normal, full});
  CHECK(at_insert == std::vector{normal, full, full, full, normal, normal, full});
}

// ---------------------------------------------------------------- migrations

void execute(const std::filesystem::path& file, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

std::int64_t ask(const std::filesystem::path& file, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  const auto answer = number(database, sql);
  sqlite3_close(database);
  return answer;
}

// A database as the first schema left it, with 1000 statements, and a copy of them to compare with.
constexpr const char* first_schema = R"(
  PRAGMA journal_mode=WAL;
  CREATE TABLE statements (
    place INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    job BLOB NOT NULL,
    type INTEGER NOT NULL,
    own INTEGER NOT NULL,
    raw BLOB NOT NULL);
  CREATE INDEX statements_by_job ON statements (job);
  CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE peers (id BLOB PRIMARY KEY, addresses BLOB NOT NULL, last_seen_unix_s INTEGER NOT NULL) WITHOUT ROWID;
  CREATE INDEX peers_by_age ON peers (last_seen_unix_s);
  PRAGMA application_id=0x5374726c;
  PRAGMA user_version=1;
  WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
  INSERT INTO statements SELECT 2 * i, randomblob(32), randomblob(32), i % 7, i % 2, randomblob(i % 300)
  FROM n;
  INSERT INTO settings VALUES ('identity', x'0102');
  INSERT INTO peers VALUES (zeroblob(32), x'0100000061', 7);
  CREATE TABLE copy AS SELECT * FROM statements;)";

constexpr const char* rows_unchanged =
    "SELECT (SELECT count(*) FROM statements) = 1000 AND (SELECT count(*) FROM "
    "(SELECT place, id, job, type, own, raw FROM copy EXCEPT SELECT place, id, job, type, own, raw FROM statements)) = 0";

void expect_first_schema(const std::filesystem::path& file) {
  CHECK(ask(file, "PRAGMA user_version") == 1);
  CHECK(ask(file, "SELECT count(*) FROM pragma_table_info('statements')") == 6);
  CHECK(ask(file, rows_unchanged) == 1);
}

TEST_CASE("a database of the first schema keeps all it holds and goes on under the newest") {
  const testing::ScratchFolder scratch;
  const auto file = scratch / "peer.db";
  execute(file, first_schema);
  expect_first_schema(file);
  {
    auto store = EvidenceStore::open(file);
    REQUIRE(store);
    CHECK(*(*store)->count() == 1000);
    CHECK(**(*store)->setting("identity") == base::Bytes{std::byte{1}, std::byte{2}});
    CHECK((*store)->peers()->at(0).addresses == std::vector<std::string>{"a"});
    CHECK((*store)->for_each([](const auto& found) {
      CHECK_FALSE(found.verified);  // so that its signature is checked again
      return true;
    }));
    auto added = statement(1, true);
    added.verified = base::Digest{};
    REQUIRE((*store)->append({added}));
    std::size_t verified = 0;
    CHECK((*store)->for_each([&](const auto& found) { return verified += found.verified ? 1U : 0U, true; }));
    CHECK(verified == 1);
  }
  CHECK(ask(file, "PRAGMA user_version") == 4);
  CHECK(ask(file, "SELECT count(*) FROM statements") == 1001);
  CHECK(ask(file, "SELECT count(*) FROM (SELECT place, id, job, type, own, raw FROM copy EXCEPT "
                  "SELECT place, id, job, type, own, raw FROM statements)") == 0);
}

TEST_CASE("a migration that cannot end leaves the older schema as it was") {
  const testing::ScratchFolder scratch;
  const auto file = scratch / "peer.db";
  execute(file, first_schema);
  execute(file, "CREATE TABLE other (verified); ALTER TABLE statements ADD COLUMN verified TEXT;");
  const auto store = EvidenceStore::open(file);
  REQUIRE_FALSE(store);
  CHECK(store.error().message.contains("verified"));
  execute(file, "ALTER TABLE statements DROP COLUMN verified;");
  expect_first_schema(file);
}

TEST_CASE("a migration that is killed at any of its statements leaves the older schema or the newer, whole") {
  const testing::ScratchFolder scratch;
  bool finished = false;
  int killed = 0;
  for (int steps = 1; !finished; ++steps) {
    const auto file = scratch / ("peer" + std::to_string(steps) + ".db");
    execute(file, first_schema);
    const auto complaint = in_child([&]() -> std::string {
      int left = steps;
      bool migrating = false;
      const SqlWatch watch([&](sqlite3*, const std::string& sql) {
        migrating = migrating || sql.starts_with("BEGIN");
        if (migrating && left-- == 0) static_cast<void>(::raise(SIGKILL));
      });
      return EvidenceStore::open(file) && migrating ? "done" : "";
    });
    finished = complaint == "done";
    REQUIRE((finished || complaint.contains("died")));
    if (finished) break;
    ++killed;
    expect_first_schema(file);
    REQUIRE(EvidenceStore::open(file));
    CHECK(ask(file, "PRAGMA user_version") == 4);
    CHECK(ask(file, rows_unchanged) == 1);
  }
  CHECK(killed >= 3);  // at the step, at the version, before the commit
}

}  // namespace
}  // namespace starling::storage
