#include "worker/execution/wasi/files.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::execution::wasi {

std::uint64_t name_charge_bytes(std::string_view name) { return limits::guest_file_charge_bytes + name.size(); }

Node::~Node() {
  for (auto& [name, child] : children_) {
    if (child->parent_ == this) child->parent_ = nullptr;
    if (account_) account_->release(name_charge_bytes(name));
  }
  if (account_) account_->release(bytes_.size());
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

unsigned Node::height(std::uint64_t& work) const {  // recursion ends at guest_depth_max, which create and rename keep
  unsigned height = 0;
  work += children_.size() * limits::guest_name_work_bytes;
  for (const auto& [name, child] : children_) height = std::max(height, child->height(work) + 1);
  return height;
}

Errno Node::enter(std::string_view name, const NodePtr& node) {
  STARLING_ENSURE(is_directory() && is_writable());
  if (links_ == 0) return Errno::noent;  // removed while open: nothing could ever be reached in it
  if (depth() + 1 > limits::guest_depth_max) return Errno::nametoolong;
  if (!account_->charge(name_charge_bytes(name))) return Errno::nospc;
  const bool fresh = children_.emplace(name, node).second;
  STARLING_ENSURE(fresh);
  ++node->links_;
  if (node->is_directory()) node->parent_ = this;
  return Errno::success;
}

void Node::leave(std::map<std::string, NodePtr, std::less<>>::iterator entry) {
  account_->release(name_charge_bytes(entry->first));
  --entry->second->links_;
  entry->second->parent_ = nullptr;
  children_.erase(entry);
}

std::expected<NodePtr, Errno> Node::create(std::string_view name, Kind kind, std::uint64_t inode) {
  auto node = std::make_shared<Node>(kind, account_, inode);
  if (const Errno error = enter(name, node); error != Errno::success) return std::unexpected(error);
  return node;
}

Errno Node::add_name(std::string_view name, const NodePtr& node) {
  STARLING_ENSURE(!node->is_directory() && same_tree(*node));
  return enter(name, node);
}

Errno Node::remove(std::string_view name) {
  const auto found = children_.find(name);
  STARLING_ENSURE(found != children_.end());
  leave(found);
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

Errno rename(Node& from, std::string_view old_name, Node& to, std::string_view new_name, std::uint64_t& work) {
  const NodePtr moved = from.child(old_name);
  STARLING_ENSURE(moved != nullptr && to.is_directory());
  if (!from.same_tree(to)) return Errno::xdev;
  const NodePtr replaced = to.child(new_name);
  if (replaced == moved) return Errno::success;  // two names of one file: both stay
  for (const Node* node = &to; node != nullptr; node = node->parent_)
    if (node == moved.get()) return Errno::inval;  // a directory into itself
  if (to.links_ == 0) return Errno::noent;
  if (replaced) {
    if (replaced->is_directory() && !moved->is_directory()) return Errno::isdir;
    if (!replaced->is_directory() && moved->is_directory()) return Errno::notdir;
    if (!replaced->children_.empty()) return Errno::notempty;
  }
  if (to.depth() + 1 + moved->height(work) > limits::guest_depth_max) return Errno::nametoolong;
  // The old name and a replaced entry give their charge back, so only a longer name can need more.
  if (!replaced && new_name.size() > old_name.size() && !to.account_->charge(new_name.size() - old_name.size())) return Errno::nospc;
  if (!replaced && new_name.size() > old_name.size()) to.account_->release(new_name.size() - old_name.size());
  from.leave(from.children_.find(old_name));
  if (replaced) to.leave(to.children_.find(new_name));
  const Errno entered = to.enter(new_name, moved);
  STARLING_ENSURE(entered == Errno::success);
  return Errno::success;
}

namespace {

// Walks a path part by part. What a link stands for goes in front of what is left to walk.
class Walk {
 public:
  Walk(const NodePtr& start, std::string_view path, FollowLast follow, std::uint64_t& work)
      : rest_(path), follow_(follow), work_(work), stack_{{start, ""}} {}

  std::expected<Place, Errno> run() {
    wants_directory_ = rest_.back() == '/';
    while (!rest().empty())
      if (const Errno error = step(); error != Errno::success) return std::unexpected(error);
    return end();
  }

 private:
  std::string_view rest() const { return std::string_view(rest_).substr(at_); }

  Errno step() {
    const auto slash = rest().find('/');
    const std::string part(rest().substr(0, slash));
    at_ += slash == std::string::npos ? part.size() : slash + 1;
    work_ += limits::guest_name_work_bytes;
    if (part.size() > limits::guest_name_bytes_max) return Errno::nametoolong;
    if (part.empty()) return Errno::success;
    const NodePtr top = stack_.back().first;
    if (!top) return Errno::noent;
    if (!top->is_directory()) return Errno::notdir;
    ends_in_dots_ = part == "." || part == "..";
    if (part == ".") return Errno::success;
    if (part == "..") {
      if (stack_.size() == 1) return Errno::notcapable;
      stack_.pop_back();
      return Errno::success;
    }
    NodePtr node = top->child(part);
    if (node && node->is_link() && follows(slash != std::string::npos)) return expand(node->target(), slash != std::string::npos);
    stack_.emplace_back(std::move(node), part);
    return Errno::success;
  }

  bool follows(bool slash_after) const {
    if (rest().find_first_not_of('/') != std::string::npos) return true;
    return follow_ == FollowLast::always || (follow_ == FollowLast::before_slash && slash_after);
  }

  Errno expand(std::string_view target, bool slash_after) {
    if (++links_followed_ > limits::guest_links_followed_max) return Errno::loop;
    if (target.front() == '/') return Errno::notcapable;
    if (rest().empty() && !slash_after && target.back() == '/') wants_directory_ = true;
    rest_ = std::string(target) + (slash_after ? "/" : "") + std::string(rest());
    at_ = 0;
    work_ += rest_.size();
    return Errno::success;
  }

  std::expected<Place, Errno> end() {
    Place place;
    place.wants_directory = wants_directory_;
    place.ends_in_dots = ends_in_dots_;
    place.node = stack_.back().first;
    if (stack_.size() > 1) {
      place.name = std::move(stack_.back().second);
      place.parent = std::move(stack_[stack_.size() - 2].first);
    }
    if (place.wants_directory && place.node && !place.node->is_directory()) return std::unexpected(Errno::notdir);
    return place;
  }

  std::string rest_;
  std::size_t at_ = 0;  // how much of it is walked
  FollowLast follow_;
  std::uint64_t& work_;
  std::vector<std::pair<NodePtr, std::string>> stack_;  // directories passed, with their names
  bool wants_directory_ = false;
  bool ends_in_dots_ = false;
  unsigned links_followed_ = 0;
};

}  // namespace

std::expected<Place, Errno> resolve(const NodePtr& start, std::string_view path, FollowLast follow, std::uint64_t& work) {
  if (path.empty()) return std::unexpected(Errno::noent);
  if (path.size() > limits::guest_path_argument_bytes_max) return std::unexpected(Errno::nametoolong);
  if (path.find('\0') != std::string_view::npos) return std::unexpected(Errno::inval);
  if (path.front() == '/') return std::unexpected(Errno::notcapable);
  if (!start->is_directory()) return std::unexpected(Errno::notdir);
  return Walk(start, path, follow, work).run();
}

}  // namespace starling::execution::wasi
