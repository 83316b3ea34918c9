#include "worker/execution/wasi/state.hpp"

#include "coordinator-less/base/limits.hpp"

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

}  // namespace

State::State(ItemOptions options)
    : options_(std::move(options)),
      output_(std::make_shared<Account>(Account{options_.output_bytes_max})),
      temporary_(std::make_shared<Account>(Account{options_.temporary_bytes_max})),
      random_(options_.seed),
      next_inode_(options_.first_inode) {
  const NodePtr root = Node::read_only_directory(next_inode());
  out_ = Node::writable_directory(output_, next_inode());
  const NodePtr temporary = Node::writable_directory(temporary_, next_inode());
  root->adopt("in", options_.in);
  root->adopt("out", out_);
  root->adopt("tmp", temporary);
  files_.push_back(stream(OpenFile::Kind::standard_input, rights::fd_read));
  files_.push_back(stream(OpenFile::Kind::standard_output, rights::fd_write));
  files_.push_back(stream(OpenFile::Kind::standard_error, rights::fd_write));
  files_.push_back(preopened("/", root));
  files_.push_back(preopened("/in", options_.in));
  files_.push_back(preopened("/out", out_));
  files_.push_back(preopened("/tmp", temporary));
}

std::string State::stderr_tail() const {
  const std::size_t keep = std::min(standard_error_.size(), limits::stderr_tail_bytes_max);
  return standard_error_.substr(standard_error_.size() - keep);
}

void State::forget_files() {
  files_.clear();
  options_.in.reset();
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

}  // namespace starling::execution::wasi
