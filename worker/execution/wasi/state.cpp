#include "worker/execution/wasi/state.hpp"

#include <set>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "worker/execution/wasi/filestat.hpp"

namespace starling::execution::wasi {
namespace {

std::unique_ptr<OpenFile> stream(OpenFile::Kind kind, std::uint64_t right) {
  auto file = std::make_unique<OpenFile>();
  file->kind = kind;
  file->rights = (rights::stream & ~(rights::fd_read | rights::fd_write)) | right;
  return file;
}

std::unique_ptr<OpenFile> preopened(std::string name, NodePtr node) {
  auto file = std::make_unique<OpenFile>();
  file->node = std::move(node);
  file->rights = rights::directory;
  file->inheriting = rights::all;
  file->preopen = std::move(name);
  return file;
}

base::Digest seed_of(base::Digest seed, std::uint32_t round) {
  if (round == 0) return seed;
  for (std::size_t i = 0; i < seed.bytes.size(); ++i) seed.bytes[i] ^= static_cast<std::byte>(round >> (8 * (i % 4)) & 255);
  base::Rng mixed(seed);
  for (auto& byte : seed.bytes) byte = static_cast<std::byte>(mixed.next() >> 56);
  return seed;
}

// Adds what a tree holds to `sum`; files with several names count once.
void add_tree(const Node& node, std::set<const Node*>& seen, std::uint64_t& sum) {
  if (!seen.insert(&node).second) return;
  sum += node.content().size();
  for (const auto& [name, child] : node.children()) {
    sum += name_charge_bytes(name);
    add_tree(*child, seen, sum);
  }
}

}  // namespace

std::expected<std::unique_ptr<Listing>, Errno> Listing::of(const Node& directory, const std::shared_ptr<Account>& account) {
  constexpr std::uint64_t entry_bytes = 64;
  std::uint64_t bytes = 0;
  for (const auto& [name, node] : directory.children()) bytes += entry_bytes + name.size();
  if (!account->charge(bytes)) return std::unexpected(Errno::nomem);
  auto out = std::make_unique<Listing>();
  out->account_ = account;
  out->charged_bytes_ = bytes;
  out->entries_.reserve(directory.children().size() + 2);
  out->entries_.push_back({".", directory.inode(), FileType::directory});
  out->entries_.push_back({"..", directory.parent_inode(), FileType::directory});
  for (const auto& [name, node] : directory.children())
    out->entries_.push_back({name, node->inode(), type_of(*node)});
  return out;
}

State::State(ItemOptions options)
    : options_(std::move(options)),
      output_(std::make_shared<Account>(Account{options_.output_bytes_max})),
      temporary_(std::make_shared<Account>(Account{options_.temporary_bytes_max})),
      random_(seed_of(options_.seed, options_.round)),
      next_inode_(options_.first_inode) {
  const NodePtr root = Node::read_only_directory(next_inode());
  out_ = Node::writable_directory(output_, next_inode());
  temporary_root_ = Node::writable_directory(temporary_, next_inode());
  root->adopt("in", options_.in);
  root->adopt("out", out_);
  root->adopt("tmp", temporary_root_);
  files_.push_back(stream(OpenFile::Kind::standard_input, rights::fd_read));
  files_.push_back(stream(OpenFile::Kind::standard_output, rights::fd_write));
  files_.push_back(stream(OpenFile::Kind::standard_error, rights::fd_write));
  files_.push_back(preopened("/", root));
  files_.push_back(preopened("/in", options_.in));
  files_.push_back(preopened("/out", out_));
  files_.push_back(preopened("/tmp", temporary_root_));
}

std::string State::stderr_tail() const {
  const std::size_t keep = std::min(standard_error_.size(), limits::stderr_tail_bytes_max);
  return standard_error_.substr(standard_error_.size() - keep);
}

void State::forget_files() {
  files_.clear();
  temporary_root_.reset();
  options_.in.reset();
}

void State::forget_output() {
  forget_files();
  out_.reset();
  standard_output_ = {};
}

void State::end(Ending ending, std::int32_t exit_code) {
  if (ending_ != Ending::none) return;
  ending_ = ending;
  exit_code_ = exit_code;
}

std::expected<OpenFile*, Errno> State::find(std::uint64_t fd, std::uint64_t rights) {
  if (fd >= files_.size() || !files_[fd]) return std::unexpected(Errno::badf);
  OpenFile* file = files_[fd].get();
  if ((file->rights & rights) != rights) return std::unexpected(Errno::notcapable);
  return file;
}

std::expected<std::uint32_t, Errno> State::insert(OpenFile file) {
  std::size_t fd = 0;
  while (fd < files_.size() && files_[fd]) ++fd;
  if (fd >= limits::guest_descriptors_max) return std::unexpected(Errno::mfile);
  if (fd == files_.size()) files_.emplace_back();
  files_[fd] = std::make_unique<OpenFile>(std::move(file));
  return static_cast<std::uint32_t>(fd);
}

bool State::has_room() const {
  return files_.size() < limits::guest_descriptors_max || std::ranges::any_of(files_, [](const auto& file) { return file == nullptr; });
}

Errno State::close(std::uint64_t fd) {
  if (fd >= files_.size() || !files_[fd]) return Errno::badf;
  files_[fd].reset();
  return Errno::success;
}

Errno State::renumber(std::uint64_t from, std::uint64_t to) {
  if (from >= files_.size() || !files_[from] || to >= files_.size() || !files_[to]) return Errno::badf;
  if (from != to) files_[to] = std::move(files_[from]);
  return Errno::success;
}

Errno State::write_stream(const OpenFile& file, base::ByteView bytes) {
  if (file.kind == OpenFile::Kind::standard_error) {
    if (const auto part = options_.on_progress ? progress_.feed(bytes) : std::nullopt) options_.on_progress(*part);
    const auto tail = base::text(bytes.last(std::min(bytes.size(), limits::stderr_tail_bytes_max)));
    standard_error_.append(tail);
    if (standard_error_.size() > 16 * limits::stderr_tail_bytes_max) standard_error_ = stderr_tail();
    return Errno::success;
  }
  if (file.kind != OpenFile::Kind::standard_output) return Errno::badf;
  if (!output_->charge(bytes.size())) {
    end(Ending::output_limit);
    return Errno::nospc;
  }
  base::append(standard_output_, bytes);
  return Errno::success;
}

Errno State::full(const Node& node, Errno error) {
  if (error == Errno::nospc && node.same_tree(*out_)) end(Ending::output_limit);
  return error;
}

Errno State::list(OpenFile& directory) {
  directory.listing.reset();
  auto listing = Listing::of(*directory.node, temporary_);
  if (!listing) return listing.error();
  directory.listing = std::move(*listing);
  return Errno::success;
}

void State::check_invariants() const {
  std::uint64_t output = standard_output_.size();
  std::uint64_t temporary = 0;
  std::set<const Node*> seen;
  add_tree(*out_, seen, output);
  for (const auto& file : files_) {
    if (!file) continue;
    if (file->listing) temporary += file->listing->charged_bytes();
    if (file->node && file->node->is_writable()) add_tree(*file->node, seen, file->node->same_tree(*out_) ? output : temporary);
  }
  if (temporary_root_) add_tree(*temporary_root_, seen, temporary);
  STARLING_ENSURE(output == output_->used && output_->used <= output_->limit);
  STARLING_ENSURE(temporary == temporary_->used && temporary_->used <= temporary_->limit);
}

}  // namespace starling::execution::wasi
