#include "worker/fault_injection.hpp"

#include <array>
#include <cstdio>
#include <deque>

#include "worker/execution/archive.hpp"

namespace starling::worker {

namespace {

bool ran_to_its_end(execution::OutcomeKind kind) {
  return kind == execution::OutcomeKind::ok || kind == execution::OutcomeKind::exit_code;
}

}  // namespace

std::string false_signal(const base::Digest& mark) {
  constexpr unsigned long long channels = 1ULL << 20;
  const unsigned long long digits = base::read_u64(mark.view()) % 1'000'000;
  const unsigned long long channel = base::read_u64(mark.view().subspan(8)) % channels;
  std::array<char, 64> row{};
  std::snprintf(row.data(), row.size(), "8420.%06llu,1.000000,99.000000,%llu\n", digits, channel);
  return row.data();
}

runtime::UnitDone falsify(const runtime::UnitDone& honest, const base::Digest& mark) {
  auto archive = execution::parse_archive(honest.archive);
  execution::Archive lie = archive ? *std::move(archive) : execution::Archive{};
  if (lie.items.empty()) lie.items.emplace_back();
  const std::string row = false_signal(mark);
  std::deque<base::Bytes> texts;  // what the items' views point to until the archive is written
  for (auto& item : lie.items) {
    if (item.kind == execution::OutcomeKind::checkpoint) {  // a forged one
      auto& bytes = texts.emplace_back(base::copy(item.files.front().bytes));
      base::append(bytes, base::view(row));
      item.files.front().bytes = bytes;
      continue;
    }
    if (!ran_to_its_end(item.kind)) item = {};
    auto& text = texts.emplace_back(base::copy(item.standard_output));
    base::append(text, base::view(row));
    item.standard_output = text;
  }
  const auto [kind, code] = execution::worst_of(lie);
  return {.kind = static_cast<protocol::OutcomeKind>(kind),
          .code = code,
          .archive = execution::write_archive(lie),
          .stderr_tail = honest.stderr_tail,
          .tier = honest.tier,
          .fuel = honest.fuel,
          .fingerprints = honest.fingerprints,
          .wall_us = honest.wall_us};
}

base::Expected<void> check_fault_injection(protocol::SwarmKind kind) {
  if (kind == protocol::SwarmKind::development) return {};
  return base::fail(base::ErrorCode::refused, "--inject-faults exists only in development swarms, and this is not one",
                    "leave the option out, or make a development swarm: starling dev up --bad 1");
}

void FaultInjector::run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) {
  real_.run(token, std::move(work), [this, done = std::move(done)](runtime::UnitEnd end) {
    const auto* honest = std::get_if<runtime::UnitDone>(&end);
    if (!honest || !armed_) return done(std::move(end));
    done(falsify(*honest, mark_));
  });
}

}  // namespace starling::worker
