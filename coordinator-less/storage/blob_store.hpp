// Blobs as files named by their BitTorrent v2 root, whole or partial, under a quota.
// Layout of the folder: NAME.blob (whole, read-only), NAME.part (sparse) + NAME.map (size and a bitmap of verified
// leaves), NAME.tree (the known nodes of the hash tree of blobs above one leaf), tmp/ (emptied at open), lock (held
// while open). A file becomes NAME.blob by rename after fsync, so a crash at any moment leaves either nothing, a
// resumable part or the whole. Parts are not synced on the way: open hashes what their maps claim and forgets what a
// power cut took. put_batched leaves the fsync to the next sync(), which stamps the file `synced`; open hashes every small
// blob that is younger than the stamp, and drops what a power cut took of it. What is read is checked before it is handed out, so a rotten disk never makes this peer serve wrong
// bytes: a damaged blob is dropped and reported as not_found. NAME is the base32 of the digest.
//
// Threads: every method may be called from any thread. A name's files are guarded by one of 64 locks, the table by one
// that is never held during I/O, so has(), size_of(), leaves() and used_bytes() do not wait for disks. Cost: used_bytes
// and the quota count whole 4 KiB blocks of data; trees add up to 0.4 % that is not counted. A part is charged as its
// leaves arrive, so 1 % of a file larger than the quota may be held.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/merkle_tree.hpp"

namespace starling::storage {

struct BlobRange {
  base::Bytes bytes;
  std::vector<base::Digest> proof;  // base/merkle_tree.hpp
};

class BlobStore {
 public:
  static base::Expected<std::unique_ptr<BlobStore>> open(const std::filesystem::path& folder, std::uint64_t quota_bytes,
                                                         base::HashFunction hash);  // temporary: in use
  virtual ~BlobStore() = default;

  // Both return the blob's name; known blobs cost no second copy. Errors: temporary (quota or disk full), not_found.
  virtual base::Expected<base::Digest> put(base::ByteView bytes) = 0;
  // Like put, but a blob of one leaf survives a power cut only once sync() returned: one wait for the disk per batch of
  // small archives instead of two each. Nothing that names the blob may be stated before that.
  virtual base::Expected<base::Digest> put_batched(base::ByteView bytes) = 0;
  virtual base::Expected<void> sync() = 0;  // after an error the same blobs are tried again by the next call
  virtual base::Expected<base::Digest> import_file(const std::filesystem::path& file) = 0;  // streams; any size

  virtual bool has(const base::Digest& name) const = 0;                              // whole
  virtual std::optional<std::uint64_t> size_of(const base::Digest& name) const = 0;  // whole or begun
  virtual std::vector<base::Digest> whole() const = 0;

  // Partial blobs. begin is idempotent for the same size; another size is malformed, also for a whole blob (a root does
  // not tell sizes apart, see merkle_tree.hpp): who learns that its size was a lie calls remove and begins again.
  // write_range verifies each leaf against the root first: malformed when bytes and proof do not fit, and then nothing
  // is written. The last missing leaf makes the blob whole.
  virtual base::Expected<void> begin(const base::Digest& name, std::uint64_t size_bytes) = 0;
  virtual bool has_range(const base::Digest& name, std::uint64_t first_leaf, std::uint64_t count) const = 0;
  virtual std::vector<bool> leaves(
      const base::Digest& name) const = 0;  // which verified leaves are here; empty when unknown
  virtual base::Expected<void> write_range(const base::Digest& name, std::uint64_t first_leaf, std::uint64_t count,
                                           base::ByteView bytes, const std::vector<base::Digest>& proof) = 0;

  // Whole or partial; the proof comes along, so partial holders can serve too. At most limits::leaves_per_range_max
  // leaves. Errors: not_found (unknown, not here yet, damaged), malformed (no such range).
  virtual base::Expected<BlobRange> read_range(const base::Digest& name, std::uint64_t first_leaf,
                                               std::uint64_t count) const = 0;
  virtual base::Expected<base::Bytes> read(const base::Digest& name,
                                           std::uint64_t size_bytes_max) const = 0;  // whole blobs

  // A read-only descriptor of the whole or partial file, for the executor; the caller closes it. Only verified leaves
  // of a partial file may be read through it.
  virtual base::Expected<int> open_descriptor(const base::Digest& name) const = 0;

  virtual void remove(const base::Digest& name) = 0;  // open descriptors stay valid
  // Removes blobs and parts for which `keep` is false, longest unused first, until `bytes` are free of the quota's
  // charge; tells how many were. `keep` may be asked from this thread only, and calls nothing of this store.
  virtual std::uint64_t evict(const std::function<bool(const base::Digest&)>& keep, std::uint64_t bytes) = 0;
  virtual std::uint64_t used_bytes() const = 0;
  virtual std::uint64_t quota_bytes() const = 0;

  // For tests: recomputes what the table claims from the files and aborts on a difference. Only while nobody else
  // calls.
  virtual void check_invariants() const = 0;
};

}  // namespace starling::storage
