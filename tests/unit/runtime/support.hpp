// What the runtime's tests share: keys and manifests, and strict doubles of the ports.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/net/transport.hpp"
#include "coordinator-less/runtime/clock.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "coordinator-less/runtime/log.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "coordinator-less/runtime/unit_executor.hpp"
#include "coordinator-less/storage/evidence_store.hpp"
#include "tests/support/scratch.hpp"

namespace starling::runtime::testing {

using base::Bytes;
using base::Digest;
using starling::testing::ScratchFolder;

inline Bytes bytes_of(std::string_view text) { return base::copy(base::view(text)); }
inline void write_file(const std::filesystem::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }
inline Digest name_of(base::ByteView bytes) { return base::blob_name(bytes, crypto::sha256); }
inline protocol::BlobRef ref_of(base::ByteView bytes) { return {name_of(bytes), bytes.size()}; }

inline protocol::SwarmParameters swarm_named(std::string name) {
  protocol::SwarmParameters swarm;
  swarm.kind = protocol::SwarmKind::development;
  swarm.name = std::move(name);
  return swarm;
}

// The blobs of a small job; every unit is one line.
struct JobBlobs {
  explicit JobBlobs(std::uint32_t unit_count, std::size_t input_bytes = 100'000) : program(bytes_of("a program of the tests")) {
    std::string lines;
    for (std::uint32_t i = 0; i < unit_count; ++i) lines += "item " + std::to_string(i) + "\n";
    units = bytes_of(lines);
    for (std::size_t i = 0; i < input_bytes; ++i) input.push_back(static_cast<std::byte>(i * 31 + i / 251));
    manifest.name = "test";
    manifest.program = ref_of(program);
    manifest.arguments = {"search"};
    manifest.inputs = {{"sky", ref_of(input)}};
    manifest.units = ref_of(units);
    manifest.unit_count = unit_count;
    manifest.item_count = unit_count;
    manifest.limits = {64ULL << 20, 1ULL << 20, 60'000};
    manifest.epsilon_ppm = 60'000;
    manifest.peer_estimate = 2;
    manifest.created_unix_s = read_clock().unix_s;
    manifest.expires_unix_s = manifest.created_unix_s + 3600;
    manifest.nonce = 7;
  }
  Bytes program, units, input;
  protocol::Manifest manifest;
};

class RecordingLog final : public Log {
 public:
  void debug(std::string_view line) override { keep(line); }
  void info(std::string_view line) override { keep(line); }
  void warning(std::string_view line) override { keep(line); }
  bool says(std::string_view part) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(lines_, [&](const auto& line) { return line.contains(part); });
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  bool wait_for(std::string_view part) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      return std::ranges::any_of(lines_, [&](const auto& line) { return line.contains(part); });
    });
  }

 private:
  void keep(std::string_view line) {
    const std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
    changed_.notify_all();
  }
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<std::string> lines_;
};

// A strict double of the executor: one thread, runs in order; a run may ask whether it was stopped.
class FakeExecutor final : public UnitExecutor {
 public:
  using Stopped = std::function<bool()>;
  using Function = std::function<UnitEnd(const UnitWork&, UnitInputs&, const Stopped&)>;

  explicit FakeExecutor(Function function) : function_(std::move(function)), thread_([this] { work(); }) {}
  ~FakeExecutor() override {
    {
      const std::lock_guard lock(mutex_);
      CHECK(queue_.empty());  // every run has ended before its executor goes
      closing_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  void attach(UnitInputs& inputs) override { inputs_ = &inputs; }
  void run(std::uint64_t token, UnitWork work, std::function<void(UnitEnd)> done) override {
    STARLING_ENSURE(inputs_ != nullptr);  // on the protocol thread, where a test cannot fail by throwing
    const std::lock_guard lock(mutex_);
    STARLING_ENSURE(tokens_.insert(token).second);  // tokens are never used twice
    queue_.push_back({token, std::move(work), std::move(done)});
    changed_.notify_all();
  }
  void stop(std::uint64_t token) override {
    const std::lock_guard lock(mutex_);
    STARLING_ENSURE(tokens_.contains(token));
    stopped_.insert(token);
  }
  std::size_t run_count() const {
    const std::lock_guard lock(mutex_);
    return tokens_.size();
  }

 private:
  struct Run {
    std::uint64_t token;
    UnitWork work;
    std::function<void(UnitEnd)> done;
  };
  bool stopped(std::uint64_t token) const {
    const std::lock_guard lock(mutex_);
    return stopped_.contains(token);
  }
  void work() {
    while (true) {
      Run run;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return closing_ || !queue_.empty(); });
        if (queue_.empty()) return;
        run = std::move(queue_.front());
        queue_.pop_front();
      }
      const auto is_stopped = [&] { return stopped(run.token); };
      run.done(is_stopped() ? UnitEnd{UnitDropped{"stopped"}} : function_(run.work, *inputs_, is_stopped));
    }
  }

  Function function_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  UnitInputs* inputs_ = nullptr;
  std::deque<Run> queue_;
  std::set<std::uint64_t> tokens_, stopped_;
  bool closing_ = false;
  std::thread thread_;
};

// Links that go nowhere: what is sent is kept for the test to look at.
class FakeTransport final : public net::Transport {
 public:
  std::uint16_t port() const override { return 4000; }
  void dial(const base::PeerId& peer, const std::string& address) override { dialled.emplace_back(peer, address); }
  bool send(const base::PeerId& peer, std::shared_ptr<const Bytes> frame) override {
    STARLING_ENSURE(!frame->empty());
    sent.emplace_back(peer, std::move(frame));
    return true;
  }
  void kick(const base::PeerId& peer, const std::string& reason) override { kicked.emplace_back(peer, reason); }
  net::TransportCounters counters() const override { return {}; }

  std::vector<std::pair<base::PeerId, std::string>> dialled, kicked;
  std::vector<std::pair<base::PeerId, std::shared_ptr<const Bytes>>> sent;
};

}  // namespace starling::runtime::testing
