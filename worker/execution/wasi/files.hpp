// A file tree in memory: /in (read-only, shared by a unit's items), /out and /tmp (an item's own).
// Every byte and node is charged to an account with a limit, so a guest can fill its quota and nothing else.
// Names are kept in byte order. No links yet; no host path is ever involved.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "worker/execution/wasi/abi.hpp"

namespace starling::execution::wasi {

// What a region's files may take. `used` never exceeds `limit`.
struct Account {
  std::uint64_t limit = 0;
  std::uint64_t used = 0;
  bool charge(std::uint64_t bytes) {
    if (bytes > limit - used) return false;
    used += bytes;
    return true;
  }
  void release(std::uint64_t bytes) { used -= bytes; }
};

// Content of an /in file. Thread-safe.
class ReadOnlyData {
 public:
  virtual ~ReadOnlyData() = default;
  virtual std::uint64_t size_bytes() const = 0;
  // Fills `out` from `offset` (the range lies inside the data). False: the bytes cannot be had, which ends the unit.
  virtual bool read(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

class Node;
using NodePtr = std::shared_ptr<Node>;

class Node {
 public:
  enum class Kind : std::uint8_t { directory, file };

  static NodePtr read_only_directory(std::uint64_t inode) { return std::make_shared<Node>(Kind::directory, nullptr, inode); }
  // A tree's root; its descendants are charged to `account`.
  static NodePtr writable_directory(std::shared_ptr<Account> account, std::uint64_t inode) {
    return std::make_shared<Node>(Kind::directory, std::move(account), inode);
  }

  Node(Kind kind, std::shared_ptr<Account> account, std::uint64_t inode) : kind_(kind), inode_(inode), account_(std::move(account)) {}
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  bool is_directory() const { return kind_ == Kind::directory; }
  bool is_writable() const { return account_ != nullptr; }
  bool same_tree(const Node& other) const { return account_ == other.account_; }
  std::uint64_t inode() const { return inode_; }
  std::uint64_t size_bytes() const;
  const std::map<std::string, NodePtr, std::less<>>& children() const { return children_; }
  NodePtr child(std::string_view name) const;
  base::ByteView content() const { return bytes_; }  // of writable files

  // For whoever builds /in and the root, before any guest runs.
  void adopt(std::string name, NodePtr child);
  void set_data(std::shared_ptr<const ReadOnlyData> data) { data_ = std::move(data); }

  // REQUIRES: is_writable(). nospc when the account is full.
  std::expected<NodePtr, Errno> create(std::string_view name, Kind kind, std::uint64_t inode);
  Errno remove(std::string_view name);
  Errno resize(std::uint64_t size_bytes);
  Errno write(std::uint64_t offset, base::ByteView bytes);

  std::expected<std::uint64_t, Errno> read(std::uint64_t offset, std::span<std::byte> out) const;

  friend Errno rename(Node& from, std::string_view old_name, Node& to, std::string_view new_name);

 private:
  unsigned depth() const;
  unsigned height() const;

  Kind kind_;
  std::uint64_t inode_;
  std::uint64_t charged_bytes_ = 0;
  std::shared_ptr<Account> account_;
  Node* parent_ = nullptr;  // null for roots and for what was unlinked while open
  std::map<std::string, NodePtr, std::less<>> children_;
  base::Bytes bytes_;
  std::shared_ptr<const ReadOnlyData> data_;
};

Errno rename(Node& from, std::string_view old_name, Node& to, std::string_view new_name);

// Where a path leads from a directory, "..", "." and final slashes included; it cannot leave the directory.
struct Place {
  NodePtr parent;    // null when the path is the start itself
  std::string name;  // inside parent
  NodePtr node;      // null when there is nothing of that name
  bool wants_directory = false;  // the path ended in a slash
};
std::expected<Place, Errno> resolve(const NodePtr& start, std::string_view path);

}  // namespace starling::execution::wasi
