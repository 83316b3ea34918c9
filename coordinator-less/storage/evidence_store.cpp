#include "coordinator-less/storage/evidence_store.hpp"

#include <fcntl.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/storage/file.hpp"

namespace starling::storage {
namespace {

using base::ErrorCode;
using base::Expected;

// Step i brings a database from schema i to schema i + 1. Steps are only ever appended.
constexpr std::array migrations = {
    R"(CREATE TABLE statements (
         place INTEGER PRIMARY KEY,  -- grows with every append
         id BLOB NOT NULL UNIQUE,
         job BLOB NOT NULL,
         type INTEGER NOT NULL,
         own INTEGER NOT NULL,
         raw BLOB NOT NULL);
       CREATE INDEX statements_by_job ON statements (job);
       CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
       CREATE TABLE peers (id BLOB PRIMARY KEY, addresses BLOB NOT NULL, last_seen_unix_s INTEGER NOT NULL) WITHOUT ROWID;
       CREATE INDEX peers_by_age ON peers (last_seen_unix_s);)",
    "ALTER TABLE statements ADD COLUMN verified BLOB;",  // StoredStatement::verified, NULL where there is none
    // Tells a job's ids in order without its rows.
    "CREATE INDEX statements_of_job ON statements (job, id); DROP INDEX statements_by_job;",
    "CREATE TABLE damaged (id BLOB NOT NULL, job BLOB NOT NULL, type INTEGER NOT NULL, own INTEGER NOT NULL, raw BLOB NOT NULL, verified BLOB);",
};
constexpr int schema_version = static_cast<int>(migrations.size());
constexpr int application_id = 0x5374726c;  // "Strl": tells our databases from other programs'

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FreeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FreeStatement>;

base::Error damaged(const std::filesystem::path& file, const std::string& how) {
  return {ErrorCode::bad_input, "the database " + file.string() + " is damaged (" + how + ")",
          "nothing was changed or deleted: move it and " + file.filename().string() +
              "-wal away and start again (as a new peer), or put back a copy that you kept"};
}

// Must be asked right after the failed call.
base::Error error_of(sqlite3* database, const std::filesystem::path& file) {
  const int code = sqlite3_extended_errcode(database);
  const std::string reason = sqlite3_errmsg(database);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return damaged(file, reason);
    case SQLITE_FULL:
      return system_error(ENOSPC, "write", file);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::temporary, "the database " + file.string() + " is locked by another program",
              "stop that program, then try again"};
    case SQLITE_NOMEM:
      return system_error(ENOMEM, "use", file);
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return system_error(EACCES, "write", file);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (const int reason_errno = sqlite3_system_errno(database); reason_errno != 0)
        return system_error(reason_errno, "use", file);
      [[fallthrough]];
    default:
      return {ErrorCode::internal, "the database " + file.string() + " failed: " + reason, "check that disk"};
  }
}

// A statement that is bound, stepped and always reset again, so that no lock or pointer stays behind.
class Use {
 public:
  Use(sqlite3_stmt* statement, const std::filesystem::path& file) : statement_(statement), file_(file) {}
  ~Use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  Use& bind(std::int64_t value) { return checked(sqlite3_bind_int64(statement_, ++bound_, value)); }
  Use& bind(base::ByteView bytes) {  // an empty blob, never NULL
    const void* data = bytes.empty() ? "" : static_cast<const void*>(bytes.data());
    return checked(sqlite3_bind_blob64(statement_, ++bound_, data, bytes.size(), SQLITE_STATIC));
  }
  Use& bind(const std::string& text) {
    return checked(sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }

  // true: a row is there; false: done.
  Expected<bool> step() {
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) return false;
    return std::unexpected(error_of(sqlite3_db_handle(statement_), file_));
  }
  Expected<void> run() {
    const auto row = step();
    if (!row) return std::unexpected(row.error());
    return {};
  }

  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  base::ByteView blob(int column) const {
    const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
    return {data, data == nullptr ? 0 : static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  Use& checked(int result) {
    STARLING_ENSURE(result == SQLITE_OK);
    return *this;
  }
  sqlite3_stmt* statement_;
  const std::filesystem::path& file_;
  int bound_ = 0;
};

base::Bytes encode_addresses(const std::vector<std::string>& addresses) {
  base::Bytes out;
  for (const auto& address : addresses) {
    base::append_u32(out, static_cast<std::uint32_t>(address.size()));
    base::append(out, base::view(address));
  }
  return out;
}

std::optional<std::vector<std::string>> decode_addresses(base::ByteView bytes) {
  std::vector<std::string> addresses;
  while (!bytes.empty()) {
    if (bytes.size() < 4) return std::nullopt;
    const std::size_t length = base::read_u32(bytes);
    bytes = bytes.subspan(4);
    if (length > bytes.size()) return std::nullopt;
    addresses.emplace_back(base::text(bytes.first(length)));
    bytes = bytes.subspan(length);
  }
  return addresses;
}

class SqliteStore final : public EvidenceStore {
 public:
  SqliteStore(std::filesystem::path file, File lock, Database database)
      : file_(std::move(file)), lock_(std::move(lock)), database_(std::move(database)) {}

  Expected<void> prepare_file() {
    if (auto done = configure(); !done) return done;
    if (auto done = check_whole(); !done) return done;
    if (auto done = migrate(); !done) return done;
    return prepare_statements();
  }

  Expected<void> append(const std::vector<StoredStatement>& statements) override {
    if (statements.empty()) return {};
    const bool any_own = std::ranges::any_of(statements, &StoredStatement::own);
    return transaction(any_own, [&] { return insert_all(statements); });
  }

  Expected<void> for_each(const std::function<bool(const StoredStatement&)>& use) override {
    Use rows(select_statements_.get(), file_);
    return give_out(rows, use);
  }

  Expected<void> for_each_of(const base::JobId& job, const std::function<bool(const StoredStatement&)>& use) override {
    Use rows(select_job_.get(), file_);
    return give_out(rows.bind(job.view()), use);
  }

  Expected<std::optional<StoredStatement>> find(const base::MessageId& id) override {
    std::optional<StoredStatement> found;
    Use rows(select_one_.get(), file_);
    auto read = give_out(rows.bind(id.view()), [&](const StoredStatement& statement) {
      found = statement;
      return false;
    });
    if (!read) return std::unexpected(std::move(read).error());
    return found;
  }

  Expected<std::optional<base::JobId>> job_of(const base::MessageId& id) override {
    Use rows(select_job_of_.get(), file_);
    STARLING_TRY(const bool found, rows.bind(id.view()).step());
    if (!found) return std::nullopt;
    const auto job = base::JobId::from(rows.blob(0));
    if (!job) return std::unexpected(damaged(file_, "a statement of wrong shape"));
    return job;
  }

  Expected<std::vector<base::MessageId>> ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last,
                                                std::size_t count_max) override {
    std::vector<base::MessageId> out;
    Use rows(select_ids_.get(), file_);
    rows.bind(job.view()).bind(first.view()).bind(last.view()).bind(static_cast<std::int64_t>(count_max));
    while (true) {
      STARLING_TRY(const bool found, rows.step());
      if (!found) return out;
      const auto id = base::MessageId::from(rows.blob(0));
      if (!id) return std::unexpected(damaged(file_, "a statement of wrong shape"));
      out.push_back(*id);
    }
  }

  Expected<void> remove_job(const base::JobId& job) override {
    return transaction(false, [&] {
      auto done = Use(delete_job_.get(), file_).bind(job.view()).run();
      return done ? Use(delete_damaged_.get(), file_).bind(job.view()).run() : done;
    });
  }

  Expected<void> set_aside(const std::vector<base::MessageId>& ids) override {
    return transaction(false, [&]() -> Expected<void> {
      for (const auto& id : ids) {
        if (auto done = Use(insert_damaged_.get(), file_).bind(id.view()).run(); !done) return done;
        if (auto done = Use(delete_one_.get(), file_).bind(id.view()).run(); !done) return done;
      }
      return {};
    });
  }

  Expected<void> mark_verified(const std::vector<std::pair<base::MessageId, base::Digest>>& checked) override {
    return transaction(false, [&]() -> Expected<void> {
      for (const auto& [id, digest] : checked)
        if (auto done = Use(update_verified_.get(), file_).bind(digest.view()).bind(id.view()).run(); !done) return done;
      return {};
    });
  }

  Expected<std::uint64_t> count() override {
    Use rows(count_statements_.get(), file_);
    STARLING_TRY(const bool found, rows.step());
    return found ? static_cast<std::uint64_t>(rows.integer(0)) : 0;
  }

  Expected<std::optional<base::Bytes>> setting(const std::string& key) override {
    Use rows(select_setting_.get(), file_);
    STARLING_TRY(const bool found, rows.bind(key).step());
    if (!found) return std::nullopt;
    return base::copy(rows.blob(0));
  }

  Expected<void> set_setting(const std::string& key, base::ByteView value) override {
    if (value.size() > limits::setting_bytes_max)
      return base::fail(ErrorCode::bad_input, "the setting " + key + " is too long");
    return transaction(true, [&] { return Use(upsert_setting_.get(), file_).bind(key).bind(value).run(); });
  }

  Expected<void> remember_peer(const StoredPeer& peer) override {
    const base::Bytes addresses = encode_addresses(peer.addresses);
    return transaction(false, [&]() -> Expected<void> {
      Use insert(upsert_peer_.get(), file_);
      if (auto done = insert.bind(peer.id.view()).bind(addresses).bind(peer.last_seen_unix_s).run(); !done) return done;
      return Use(trim_peers_.get(), file_).bind(static_cast<std::int64_t>(limits::cached_peers_max)).run();
    });
  }

  Expected<std::vector<StoredPeer>> peers() override {
    std::vector<StoredPeer> out;
    Use rows(select_peers_.get(), file_);
    while (true) {
      STARLING_TRY(const bool found, rows.step());
      if (!found) return out;
      const auto id = base::PeerId::from(rows.blob(0));
      auto addresses = decode_addresses(rows.blob(1));
      if (!id || !addresses) return std::unexpected(damaged(file_, "a peer of wrong shape"));
      out.push_back({*id, *std::move(addresses), rows.integer(2)});
    }
  }

 private:
  Expected<void> execute(const char* sql) {
    if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
    return std::unexpected(error_of(database_.get(), file_));
  }

  Expected<Statement> prepare(const char* sql) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr) == SQLITE_OK)
      return Statement(raw);
    return std::unexpected(error_of(database_.get(), file_));
  }

  Expected<std::int64_t> pragma_number(const char* sql) {
    STARLING_TRY(const Statement statement, prepare(sql));
    Use rows(statement.get(), file_);
    STARLING_TRY(const bool found, rows.step());
    return found ? rows.integer(0) : 0;
  }

  // EXCLUSIVE, before the first read, keeps the write-ahead index in our memory: no shared-memory file, so that a store
  // on a full disk still opens, and no lock traffic for each transaction.
  Expected<void> configure() {
    if (auto done = execute("PRAGMA locking_mode=EXCLUSIVE"); !done) return done;
    STARLING_TRY(const auto application, pragma_number("PRAGMA application_id"));
    STARLING_TRY(const auto version, pragma_number("PRAGMA user_version"));
    STARLING_TRY(const auto tables, pragma_number("SELECT count(*) FROM sqlite_schema"));
    if (application != application_id && (application != 0 || version != 0 || tables != 0)) {
      return base::fail(ErrorCode::bad_input, file_.string() + " is a database of another program",
                        "nothing was changed: give another folder, or move that file away");
    }
    const std::string bound = "PRAGMA journal_size_limit=" + std::to_string(limits::evidence_journal_bytes_max);
    if (auto done = execute("PRAGMA journal_mode=WAL"); !done) return done;
    return execute(bound.c_str());
  }

  Expected<void> check_whole() {
    STARLING_TRY(const Statement statement, prepare("PRAGMA quick_check(1)"));
    Use rows(statement.get(), file_);
    STARLING_TRY(const bool found, rows.step());
    const auto verdict = found ? std::string(base::text(rows.blob(0))) : "no answer";
    if (verdict != "ok") return std::unexpected(damaged(file_, verdict));
    return {};
  }

  Expected<void> migrate() {
    STARLING_TRY(const auto version, pragma_number("PRAGMA user_version"));
    if (version == schema_version) return {};
    if (version > schema_version || version < 0) {
      return base::fail(ErrorCode::bad_input,
                        "the database " + file_.string() + " was made by a newer version of starling (schema " +
                            std::to_string(version) + ", this one knows " + std::to_string(schema_version) + ")",
                        "nothing was changed: install that version, or move the file away and start as a new peer");
    }
    return transaction(true, [&] { return migrate_from(static_cast<std::size_t>(version)); });
  }

  Expected<void> migrate_from(std::size_t version) {
    for (std::size_t step = version; step < migrations.size(); ++step)
      if (auto done = execute(migrations[step]); !done) return done;
    return execute(("PRAGMA application_id=" + std::to_string(application_id) +
                    "; PRAGMA user_version=" + std::to_string(schema_version))
                       .c_str());
  }

  Expected<void> prepare_statements() {
    const std::array<std::pair<Statement*, const char*>, 17> texts = {{
        {&insert_statement_,
         "INSERT INTO statements (id, job, type, own, raw, verified) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"},
        {&select_statements_, "SELECT id, job, type, own, raw, verified FROM statements ORDER BY place"},
        // The places first, from the index: sorting the rows would hold all their bytes.
        {&select_job_, "SELECT id, job, type, own, raw, verified FROM statements WHERE place IN (SELECT place FROM statements WHERE job = ?) ORDER BY place"},
        {&select_job_of_, "SELECT job FROM statements WHERE id = ?"},
        {&select_ids_, "SELECT id FROM statements WHERE job = ? AND id BETWEEN ? AND ? ORDER BY id LIMIT ?"},
        {&select_one_, "SELECT id, job, type, own, raw, verified FROM statements WHERE id = ?"},
        {&count_statements_, "SELECT count(*) FROM statements"},
        {&delete_job_, "DELETE FROM statements WHERE job = ?"},
        {&delete_damaged_, "DELETE FROM damaged WHERE job = ?"},
        {&insert_damaged_, "INSERT INTO damaged SELECT id, job, type, own, raw, verified FROM statements WHERE id = ?"},
        {&delete_one_, "DELETE FROM statements WHERE id = ?"},
        {&update_verified_, "UPDATE statements SET verified = ? WHERE id = ?"},
        {&select_setting_, "SELECT value FROM settings WHERE key = ?"},
        {&upsert_setting_, "INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"},
        {&upsert_peer_,
         "INSERT INTO peers VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET addresses = excluded.addresses, "
         "last_seen_unix_s = excluded.last_seen_unix_s"},
        {&trim_peers_,
         "DELETE FROM peers WHERE id IN "
         "(SELECT id FROM peers ORDER BY last_seen_unix_s DESC, id LIMIT -1 OFFSET ?)"},
        {&select_peers_, "SELECT id, addresses, last_seen_unix_s FROM peers ORDER BY last_seen_unix_s DESC, id"},
    }};
    for (const auto& [statement, sql] : texts) {
      auto prepared = prepare(sql);
      if (!prepared) return std::unexpected(std::move(prepared).error());
      *statement = *std::move(prepared);
    }
    return {};
  }

  // The synchronous mode cannot change inside a transaction. After a failure the state is what it was before.
  Expected<void> transaction(bool durable, const auto& body) {
    if (durable != durable_) {
      if (auto done = execute(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"); !done) return done;
      durable_ = durable;
    }
    if (auto done = execute("BEGIN IMMEDIATE"); !done) return done;
    Expected<void> done = body();
    if (done) done = execute("COMMIT");
    if (!done && sqlite3_get_autocommit(database_.get()) == 0) static_cast<void>(execute("ROLLBACK"));
    return done;
  }

  Expected<void> insert_all(const std::vector<StoredStatement>& statements) {
    for (const auto& statement : statements) {
      Use insert(insert_statement_.get(), file_);
      insert.bind(statement.id.view()).bind(statement.job.view()).bind(statement.type);
      insert.bind(statement.own ? 1 : 0).bind(base::ByteView(statement.raw));
      if (statement.verified) insert.bind(statement.verified->view());
      if (auto done = insert.run(); !done) return done;
    }
    return {};
  }

  Expected<void> give_out(Use& rows, const std::function<bool(const StoredStatement&)>& use) {
    while (true) {
      STARLING_TRY(const bool found, rows.step());
      if (!found) return {};
      const auto statement = statement_of(rows);
      if (!statement) return std::unexpected(damaged(file_, "a statement of wrong shape"));
      if (!use(*statement)) return {};
    }
  }

  static std::optional<StoredStatement> statement_of(const Use& row) {
    const auto id = base::MessageId::from(row.blob(0));
    const auto job = base::JobId::from(row.blob(1));
    if (!id || !job) return std::nullopt;
    return StoredStatement{*id, *job, static_cast<std::uint16_t>(row.integer(2)), base::copy(row.blob(4)),
                           row.integer(3) != 0, base::Digest::from(row.blob(5))};
  }

  std::filesystem::path file_;
  File lock_;
  Database database_;
  std::optional<bool> durable_;
  Statement insert_statement_, select_statements_, select_job_, select_one_, select_job_of_, select_ids_, count_statements_, delete_job_, delete_damaged_, insert_damaged_,
      delete_one_, update_verified_, select_setting_, upsert_setting_,
      upsert_peer_, trim_peers_, select_peers_;
};

// Made by us and not by SQLite, for the mode: the database holds the identity's seed.
Expected<void> make_private_file(const std::filesystem::path& file) {
  auto made = open_file(file, O_RDWR | O_CREAT);
  if (!made) return std::unexpected(std::move(made).error());
  return sync_folder(file.parent_path());
}

}  // namespace

Expected<std::unique_ptr<EvidenceStore>> EvidenceStore::open(const std::filesystem::path& file) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(file, error);
  if (error) return std::unexpected(system_error(error.value(), "find", file));
  if (auto made = make_folder(absolute.parent_path()); !made) return std::unexpected(std::move(made).error());
  STARLING_TRY(File lock, lock_file(absolute.string() + ".lock", "the database " + absolute.string()));
  if (auto made = make_private_file(absolute); !made) return std::unexpected(std::move(made).error());

  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(absolute.c_str(), &raw,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Database database(raw);
  if (!database) return std::unexpected(system_error(ENOMEM, "open", absolute));
  if (result != SQLITE_OK) return std::unexpected(error_of(database.get(), absolute));

  auto store = std::make_unique<SqliteStore>(absolute, std::move(lock), std::move(database));
  if (auto ready = store->prepare_file(); !ready) return std::unexpected(std::move(ready).error());
  return store;
}

}  // namespace starling::storage
