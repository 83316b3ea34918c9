#include "worker/execution/wasi/files.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::execution::wasi {

Node::~Node() {
  for (auto& [name, child] : children_) child->parent_ = nullptr;
  if (account_) account_->release(charged_bytes_ + bytes_.size());
}

std::uint64_t Node::size_bytes() const { return data_ ? data_->size_bytes() : bytes_.size(); }

NodePtr Node::child(std::string_view name) const {
  const auto found = children_.find(name);
  return found == children_.end() ? nullptr : found->second;
}

void Node::adopt(std::string name, NodePtr child) {
  STARLING_ENSURE(is_directory());
  children_.insert_or_assign(std::move(name), std::move(child));
}

unsigned Node::depth() const {
  unsigned depth = 0;
  for (const Node* node = this; node->parent_ != nullptr; node = node->parent_) ++depth;
  return depth;
}

unsigned Node::height() const {  // recursion ends at guest_depth_max, which create and rename keep
  unsigned height = 0;
  for (const auto& [name, child] : children_) height = std::max(height, child->height() + 1);
  return height;
}

std::expected<NodePtr, Errno> Node::create(std::string_view name, Kind kind, std::uint64_t inode) {
  STARLING_ENSURE(is_directory() && is_writable());
  if (depth() + 1 > limits::guest_depth_max) return std::unexpected(Errno::nametoolong);
  const std::uint64_t charge = limits::guest_file_charge_bytes + name.size();
  if (!account_->charge(charge)) return std::unexpected(Errno::nospc);
  auto node = std::make_shared<Node>(kind, account_, inode);
  node->charged_bytes_ = charge;
  node->parent_ = this;
  children_.emplace(name, node);
  return node;
}

Errno Node::remove(std::string_view name) {
  const auto found = children_.find(name);
  STARLING_ENSURE(found != children_.end());
  found->second->parent_ = nullptr;
  children_.erase(found);
  return Errno::success;
}

Errno Node::resize(std::uint64_t size_bytes) {
  const std::uint64_t old_bytes = bytes_.size();
  if (size_bytes > old_bytes && !account_->charge(size_bytes - old_bytes)) return Errno::nospc;
  bytes_.resize(static_cast<std::size_t>(size_bytes));
  if (size_bytes < old_bytes) {
    account_->release(old_bytes - size_bytes);
    if (bytes_.capacity() / 4 > bytes_.size()) bytes_.shrink_to_fit();
  }
  return Errno::success;
}

Errno Node::write(std::uint64_t offset, base::ByteView bytes) {
  if (bytes.empty()) return Errno::success;
  if (offset > UINT64_MAX - bytes.size()) return Errno::fbig;
  const std::uint64_t end = offset + bytes.size();
  if (end > bytes_.size())
    if (const Errno error = resize(end); error != Errno::success) return error;
  std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  return Errno::success;
}

std::expected<std::uint64_t, Errno> Node::read(std::uint64_t offset, std::span<std::byte> out) const {
  const std::uint64_t size = size_bytes();
  if (offset >= size) return 0;
  const std::uint64_t count = std::min<std::uint64_t>(out.size(), size - offset);
  const auto to = out.first(static_cast<std::size_t>(count));
  if (data_) {
    if (count > 0 && !data_->read(offset, to)) return std::unexpected(Errno::io);
  } else {
    std::ranges::copy(base::ByteView(bytes_).subspan(static_cast<std::size_t>(offset), to.size()), to.begin());
  }
  return count;
}

Errno rename(Node& from, std::string_view old_name, Node& to, std::string_view new_name) {
  const NodePtr moved = from.child(old_name);
  STARLING_ENSURE(moved != nullptr && to.is_directory());
  if (!from.same_tree(to)) return Errno::xdev;
  const NodePtr replaced = to.child(new_name);
  if (replaced == moved) return Errno::success;
  for (const Node* node = &to; node != nullptr; node = node->parent_)
    if (node == moved.get()) return Errno::inval;  // a directory into itself
  if (replaced) {
    if (replaced->is_directory() && !moved->is_directory()) return Errno::isdir;
    if (!replaced->is_directory() && moved->is_directory()) return Errno::notdir;
    if (!replaced->children_.empty()) return Errno::notempty;
  }
  if (to.depth() + 1 + moved->height() > limits::guest_depth_max) return Errno::nametoolong;
  if (new_name.size() > old_name.size()) {
    const std::uint64_t more = new_name.size() - old_name.size();
    if (!to.account_->charge(more)) return Errno::nospc;
    moved->charged_bytes_ += more;
  }
  if (replaced) replaced->parent_ = nullptr;
  from.children_.erase(from.children_.find(old_name));
  moved->parent_ = &to;
  to.children_.insert_or_assign(std::string(new_name), moved);
  return Errno::success;
}

std::expected<Place, Errno> resolve(const NodePtr& start, std::string_view path) {
  if (path.empty()) return std::unexpected(Errno::noent);
  if (path.size() > limits::guest_path_argument_bytes_max) return std::unexpected(Errno::nametoolong);
  if (path.find('\0') != std::string_view::npos) return std::unexpected(Errno::inval);
  if (path.front() == '/') return std::unexpected(Errno::notcapable);
  if (!start->is_directory()) return std::unexpected(Errno::notdir);

  std::vector<std::pair<NodePtr, std::string>> stack{{start, ""}};  // directories passed, with their names
  Place place;
  place.wants_directory = path.back() == '/';
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (part.size() > limits::guest_name_bytes_max) return std::unexpected(Errno::nametoolong);
    if (part.empty() || part == ".") continue;
    const NodePtr& top = stack.back().first;
    if (!top) return std::unexpected(Errno::noent);
    if (!top->is_directory()) return std::unexpected(Errno::notdir);
    if (part == "..") {
      if (stack.size() == 1) return std::unexpected(Errno::notcapable);
      stack.pop_back();
    } else {
      stack.emplace_back(top->child(part), part);
    }
  }
  place.node = stack.back().first;
  if (stack.size() > 1) {
    place.name = std::move(stack.back().second);
    place.parent = std::move(stack[stack.size() - 2].first);
  }
  if (place.wants_directory && place.node && !place.node->is_directory()) return std::unexpected(Errno::notdir);
  return place;
}

}  // namespace starling::execution::wasi
