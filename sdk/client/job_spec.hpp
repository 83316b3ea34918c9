// What to compute: a program, the units' inputs, the limits and how sure the answer must be. Every setter may be chained:
//   client.submit(JobSpec("primes.wasm").name("primes").items({"1 1000", "1000 2000"}).memory_bytes(64 << 20));
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/swarm.hpp"

namespace starling::client {

class JobSpec {
 public:
  struct InputFile {
    std::string name;  // a plain file name: the program reads /in/<name>
    std::filesystem::path file;
  };

  explicit JobSpec(std::filesystem::path program) : program_(std::move(program)) {}

  JobSpec& name(std::string text) { return name_ = std::move(text), *this; }
  JobSpec& arguments(std::vector<std::string> texts) { return arguments_ = std::move(texts), *this; }
  JobSpec& input(std::string input_name, std::filesystem::path file) {
    return inputs_.push_back({std::move(input_name), std::move(file)}), *this;
  }
  JobSpec& items(std::vector<std::string> lines) { return items_ = std::move(lines), *this; }  // stdin of each item; no '\n' inside
  JobSpec& items_per_unit(std::uint32_t count) { return items_per_unit_ = count, *this; }
  JobSpec& memory_bytes(std::uint64_t bytes) { return limits_.memory_bytes = bytes, *this; }
  JobSpec& output_bytes(std::uint64_t bytes) { return limits_.output_bytes = bytes, *this; }
  JobSpec& time_limit(std::chrono::milliseconds time);
  JobSpec& fuel(std::uint64_t limit) { return limits_.fuel = limit, *this; }  // of an item; 0: no limit
  JobSpec& verification(protocol::VerificationClass value) { return verification_ = value, *this; }
  JobSpec& epsilon_ppm(std::uint32_t value) { return epsilon_ppm_ = value, *this; }  // default: by kind of swarm
  JobSpec& audit_percent(std::uint32_t value) { return audit_percent_ = value, *this; }  // of the executions; 5 to 40
  JobSpec& lifetime(std::chrono::seconds time) { return lifetime_ = time, *this; }
  JobSpec& priority(std::uint8_t value) { return priority_ = value, *this; }
  JobSpec& rounds(std::uint32_t count) { return rounds_max_ = count, *this; }  // how often an item may end with code 85 and go on, plus one
  JobSpec& segment_rounds(std::uint32_t count) { return segment_rounds_ = count, *this; }  // so many of them are verified together; others go on from there
  JobSpec& split(std::string scheme) { return split_ = std::move(scheme), *this; }  // results runs "merge SCHEME"

  const std::filesystem::path& program() const { return program_; }
  const std::vector<InputFile>& input_files() const { return inputs_; }

  // Everything but the blobs' names, which are known after the upload. Errors: bad_input, with the bound that was crossed.
  base::Expected<protocol::Manifest> manifest(protocol::SwarmKind kind, std::uint32_t live_peers, std::int64_t now_unix_s,
                                              std::uint64_t nonce) const;
  base::Bytes units_blob() const;  // the items, one a line

 private:
  base::Expected<void> check() const;

  std::filesystem::path program_;
  std::string name_;
  std::vector<std::string> arguments_;
  std::vector<InputFile> inputs_;
  std::vector<std::string> items_{""};
  std::uint32_t items_per_unit_ = 1;
  protocol::UnitLimits limits_{limits::memory_bytes_default, limits::output_bytes_default, limits::unit_time_ms_default};
  protocol::VerificationClass verification_ = protocol::VerificationClass::standard;
  std::optional<std::uint32_t> epsilon_ppm_;
  std::uint32_t audit_percent_ = limits::audit_share_percent;
  std::chrono::seconds lifetime_{limits::job_lifetime_default_s};
  std::uint8_t priority_ = 100;
  std::uint32_t rounds_max_ = 0, segment_rounds_ = 0;
  std::string split_;
};

inline constexpr std::uint32_t epsilon_public_ppm = 1000;    // five fresh peers agree
inline constexpr std::uint32_t epsilon_private_ppm = 60000;  // two

}  // namespace starling::client
