// A file tree in memory: /in (read-only, shared by a unit's items), /out and /tmp (an item's own).
// Every byte, name and link is charged to an account with a limit, so a guest can fill its quota and nothing else.
// Names are kept in byte order. Symbolic links are relative; no link and no ".." leads out of the directory that a path
// starts from, and no host path is ever involved.
#pragma once

#include <array>
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

// Since 1970, in ns. Only the guest sets them, so they are the same everywhere.
struct FileTimes {
  std::uint64_t access = static_cast<std::uint64_t>(epoch_ns);
  std::uint64_t modification = static_cast<std::uint64_t>(epoch_ns);
};

class Node;
using NodePtr = std::shared_ptr<Node>;

// A directory, file or symbolic link. Files and links may have several names; a directory has one.
class Node {
 public:
  enum class Kind : std::uint8_t { directory, file, link };

  static NodePtr read_only_directory(std::uint64_t inode) { return std::make_shared<Node>(Kind::directory, nullptr, inode); }
  // A tree's root; its descendants are charged to `account`.
  static NodePtr writable_directory(std::shared_ptr<Account> account, std::uint64_t inode) {
    auto root = std::make_shared<Node>(Kind::directory, std::move(account), inode);
    root->links_ = 1;
    return root;
  }

  Node(Kind kind, std::shared_ptr<Account> account, std::uint64_t inode) : kind_(kind), inode_(inode), account_(std::move(account)) {}
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  bool is_directory() const { return kind_ == Kind::directory; }
  bool is_link() const { return kind_ == Kind::link; }
  bool is_writable() const { return account_ != nullptr; }
  bool same_tree(const Node& other) const { return account_ == other.account_; }
  std::uint64_t inode() const { return inode_; }
  std::uint64_t parent_inode() const { return parent_ != nullptr ? parent_->inode_ : inode_; }
  std::uint64_t names() const { return is_writable() ? links_ : 1; }
  std::uint64_t size_bytes() const;
  FileTimes& times() { return times_; }
  const FileTimes& times() const { return times_; }
  const std::map<std::string, NodePtr, std::less<>>& children() const { return children_; }
  NodePtr child(std::string_view name) const;
  base::ByteView content() const { return bytes_; }                 // of writable files
  std::string_view target() const { return base::text(bytes_); }    // of links

  // For whoever builds /in and the root, before any guest runs.
  void adopt(std::string name, NodePtr child);
  void set_data(std::shared_ptr<const ReadOnlyData> data) { data_ = std::move(data); }

  // REQUIRES: is_directory() && is_writable(), no such name. nospc when the account is full, noent in a removed directory.
  std::expected<NodePtr, Errno> create(std::string_view name, Kind kind, std::uint64_t inode);
  Errno add_name(std::string_view name, const NodePtr& node);  // REQUIRES: same_tree, not a directory
  Errno remove(std::string_view name);

  // REQUIRES: a writable file (or a fresh link). nospc changes nothing.
  Errno resize(std::uint64_t size_bytes);
  Errno write(std::uint64_t offset, base::ByteView bytes);

  std::expected<std::uint64_t, Errno> read(std::uint64_t offset, std::span<std::byte> out) const;

  friend Errno rename(Node& from, std::string_view old_name, Node& to, std::string_view new_name, std::uint64_t& work);

 private:
  unsigned depth() const;
  unsigned height(std::uint64_t& work) const;
  Errno enter(std::string_view name, const NodePtr& node);
  void leave(std::map<std::string, NodePtr, std::less<>>::iterator entry);

  Kind kind_;
  std::uint64_t inode_;
  std::uint64_t links_ = 0;  // names in writable trees
  std::shared_ptr<Account> account_;
  Node* parent_ = nullptr;   // of directories; null for roots and for what was removed while open
  FileTimes times_;
  std::map<std::string, NodePtr, std::less<>> children_;
  base::Bytes bytes_;
  std::shared_ptr<const ReadOnlyData> data_;
};

std::uint64_t name_charge_bytes(std::string_view name);  // what an entry of a directory takes from the account

// Counts in `work` what looking at names took, as bytes: limits::guest_name_work_bytes for each, and what a path's links made longer.
Errno rename(Node& from, std::string_view old_name, Node& to, std::string_view new_name, std::uint64_t& work);

// Where a path leads from a directory; it cannot leave the directory.
struct Place {
  NodePtr parent;    // null when the path ends in the start itself
  std::string name;  // inside parent
  NodePtr node;      // null when there is nothing of that name
  bool wants_directory = false;  // the path ended in a slash
  bool ends_in_dots = false;     // the last part was "." or ".."
};
// Links in the middle are always followed. One at the end: never when the name itself is meant (remove, rename, create);
// for what the name stands for, always, or only when a slash comes after it.
enum class FollowLast : std::uint8_t { never, before_slash, always };
std::expected<Place, Errno> resolve(const NodePtr& start, std::string_view path, FollowLast follow, std::uint64_t& work);

}  // namespace starling::execution::wasi
