// Everything one item of a unit sees of the world. Deterministic: the same options and the same calls give the same bytes.
// Preopened: 3 "/", 4 "/in", 5 "/out", 6 "/tmp". Random numbers come from the item's seed; the clocks start at a fixed
// epoch and show the fuel used as nanoseconds, and poll_oneoff advances them to the earliest timeout.
// Exceeding the output limit ends the item; filling /tmp is ENOSPC. A file's times are the epoch until the guest sets them.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/rng.hpp"
#include "worker/execution/wasi/abi.hpp"
#include "worker/execution/wasi/files.hpp"
#include "worker/execution/wasi/progress_lines.hpp"

namespace starling::execution::wasi {

struct ItemOptions {
  std::vector<std::string> arguments;    // argv, the program's name included
  std::vector<std::string> environment;  // NAME=value
  base::ByteView standard_input;         // outlives the state
  base::Digest seed;
  NodePtr in;                            // read-only tree; its inodes lie below first_inode
  std::uint64_t first_inode = 1;
  std::uint32_t round = 0;               // of an item that goes on from a checkpoint: each round draws other random numbers
  std::uint64_t output_bytes_max = 0;    // standard output and /out together
  std::uint64_t temporary_bytes_max = 0; // /tmp
  std::function<void(std::uint32_t)> on_progress = {};  // millionths, as the guest says on standard error; may be empty
};

// Why the guest does not come back from a host call.
enum class Ending : std::uint8_t { none, exit, output_limit, input_missing, host_failed };

// What readdir goes through: taken at its start, so that removals shift nothing; charged to /tmp like what it is, memory.
class Listing {
 public:
  struct Entry {
    std::string name;
    std::uint64_t inode = 0;
    FileType type = FileType::unknown;
  };
  static std::expected<std::unique_ptr<Listing>, Errno> of(const Node& directory, const std::shared_ptr<Account>& account);

  Listing() = default;
  ~Listing() { if (account_) account_->release(charged_bytes_); }
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;
  const std::vector<Entry>& entries() const { return entries_; }
  std::uint64_t charged_bytes() const { return charged_bytes_; }

 private:
  std::vector<Entry> entries_;
  std::shared_ptr<Account> account_;
  std::uint64_t charged_bytes_ = 0;
};

struct OpenFile {
  enum class Kind : std::uint8_t { standard_input, standard_output, standard_error, node };
  Kind kind = Kind::node;
  NodePtr node;
  std::uint64_t offset = 0;
  std::uint16_t flags = 0;
  std::uint64_t rights = 0;
  std::uint64_t inheriting = 0;
  std::string preopen;                              // the name of a preopened directory
  std::unique_ptr<Listing> listing;
};

class State {
 public:
  explicit State(ItemOptions options);

  const ItemOptions& options() const { return options_; }
  Ending ending() const { return ending_; }
  std::int32_t exit_code() const { return exit_code_; }
  base::Bytes& standard_output() { return standard_output_; }
  const NodePtr& out() const { return out_; }
  std::string stderr_tail() const;
  void forget_files();  // closes everything but /out
  void forget_output(); // and that, for results that nobody will see

  void end(Ending ending, std::int32_t exit_code = 0);
  void set_fuel_used(std::uint64_t fuel) { fuel_used_ = fuel; }  // by the engine, before each call
  std::uint64_t clock_ns() const { return fuel_used_ + slept_ns_; }
  void advance_clock_to(std::uint64_t ns) { slept_ns_ = std::max(clock_ns(), ns) - fuel_used_; }
  base::Rng& random() { return random_; }
  std::uint64_t next_inode() { return next_inode_++; }

  // Descriptors. badf for an unknown one, notcapable when it lacks a right.
  std::expected<OpenFile*, Errno> find(std::uint64_t fd, std::uint64_t rights = 0);
  std::expected<std::uint32_t, Errno> insert(OpenFile file);
  bool has_room() const;
  Errno close(std::uint64_t fd);
  Errno renumber(std::uint64_t from, std::uint64_t to);

  Errno write_stream(const OpenFile& file, base::ByteView bytes);
  // What a full account means: the end of the item for /out, ENOSPC for /tmp.
  Errno full(const Node& node, Errno error);
  Errno list(OpenFile& directory);  // renews its listing; nomem when /tmp is full

  void check_invariants() const;    // both accounts hold exactly what is there

 private:
  ItemOptions options_;
  std::shared_ptr<Account> output_;
  std::shared_ptr<Account> temporary_;
  NodePtr out_;
  NodePtr temporary_root_;
  std::vector<std::unique_ptr<OpenFile>> files_;
  base::Bytes standard_output_;
  std::string standard_error_;
  ProgressLines progress_;
  base::Rng random_;
  std::uint64_t fuel_used_ = 0;
  std::uint64_t slept_ns_ = 0;
  std::uint64_t next_inode_;
  std::int32_t exit_code_ = 0;
  Ending ending_ = Ending::none;
};

}  // namespace starling::execution::wasi
