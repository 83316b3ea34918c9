// Durable state of one peer in one SQLite database (WAL): identity, settings, statements, peers. Blobs are files
// (blob_store.hpp). FILE.lock is held while the store is open, so that two peers never share one. One thread at a time.
// Every call that changes something is one transaction; a full disk or damaged file is an Error value that names the
// file and what to do next, never an abort.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::storage {

struct StoredStatement {
  base::MessageId id;
  base::JobId job;         // all zero for statements of no job
  std::uint16_t type = 0;  // protocol::StatementType
  base::Bytes raw;         // the envelope's bytes, verbatim
  bool own = false;        // signed by this peer: must be on disk before it is sent
  // Digest of `raw`, from whoever had checked its signature: while it fits, the check need not be done again. It guards
  // against damage, not against somebody who writes this file: he could as well take the seed from it. Older rows have none.
  std::optional<base::Digest> verified = {};
};

struct StoredPeer {
  base::PeerId id;
  std::vector<std::string> addresses;
  std::int64_t last_seen_unix_s = 0;
};

class EvidenceStore {
 public:
  // Makes the database (mode 0600) when there is none, checks it (quick_check), migrates older schemas in one
  // transaction. Errors: bad_input (damaged, or made by a newer version: both say what to do and move nothing),
  // temporary (disk full, locked by another running peer), refused (no rights).
  static base::Expected<std::unique_ptr<EvidenceStore>> open(const std::filesystem::path& file);
  virtual ~EvidenceStore() = default;

  // All or none; statements already known are skipped. synchronous=FULL when any of them is `own`, else NORMAL.
  virtual base::Expected<void> append(const std::vector<StoredStatement>& statements) = 0;
  // In the order of appending. The callback returns false to stop, and calls nothing of this store.
  virtual base::Expected<void> for_each(const std::function<bool(const StoredStatement&)>& use) = 0;
  virtual base::Expected<void> for_each_of(const base::JobId& job, const std::function<bool(const StoredStatement&)>& use) = 0;
  virtual base::Expected<std::optional<StoredStatement>> find(const base::MessageId& id) = 0;  // by index
  virtual base::Expected<std::optional<base::JobId>> job_of(const base::MessageId& id) = 0;                  // by index; nothing: not held
  // Ids of the job's statements from first to last, both included: the lowest, ascending, count_max at most. By index alone.
  virtual base::Expected<std::vector<base::MessageId>> ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last,
                                                              std::size_t count_max) = 0;
  // Damaged rows leave the statements, so that they may come again; their bytes stay in a table of their own until their job is removed.
  virtual base::Expected<void> set_aside(const std::vector<base::MessageId>& ids) = 0;
  virtual base::Expected<void> mark_verified(const std::vector<std::pair<base::MessageId, base::Digest>>& checked) = 0;  // StoredStatement::verified
  virtual base::Expected<void> remove_job(const base::JobId& job) = 0;

  virtual base::Expected<std::uint64_t> count() = 0;  // statements held

  // Settings hold the identity's seed: set_setting is always synchronous=FULL.
  virtual base::Expected<std::optional<base::Bytes>> setting(const std::string& key) = 0;
  virtual base::Expected<void> set_setting(const std::string& key, base::ByteView value) = 0;

  virtual base::Expected<void> remember_peer(
      const StoredPeer& peer) = 0;                              // keeps at most limits: cached_peers_max, newest first
  virtual base::Expected<std::vector<StoredPeer>> peers() = 0;  // newest first
};

}  // namespace starling::storage
