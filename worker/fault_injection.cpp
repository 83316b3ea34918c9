#include "worker/fault_injection.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <deque>

#include "coordinator-less/crypto/digest.hpp"
#include "worker/execution/archive.hpp"

namespace starling::worker {

namespace {

bool ran_to_its_end(execution::OutcomeKind kind) {
  return kind == execution::OutcomeKind::ok || kind == execution::OutcomeKind::exit_code;
}

base::Digest digest_of(std::string_view label, base::ByteView a, base::ByteView b = {}) {
  base::Bytes bytes = base::copy(base::view(label));
  base::append(bytes, a);
  base::append(bytes, b);
  return crypto::sha256(bytes);
}

std::optional<AttackKind> kind_of(std::string_view name) {
  if (name == "liar") return AttackKind::liar;
  if (name == "copier") return AttackKind::copier;
  if (name == "lazy") return AttackKind::lazy;
  if (name == "accuser") return AttackKind::accuser;
  return std::nullopt;
}

std::optional<std::uint32_t> share_ppm_of(std::string_view text) {
  double share = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), share);
  if (error != std::errc{} || end != text.data() + text.size() || !(share >= 0 && share <= 1)) return std::nullopt;
  return static_cast<std::uint32_t>(std::lround(share * everything_ppm));
}

// The part before the next colon, which goes too.
std::string_view take_part(std::string_view& text) {
  const auto colon = text.find(':');
  const auto part = text.substr(0, colon);
  text = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  return part;
}

// Who did not execute cannot know what its fingerprint is.
void make_up_fingerprints(runtime::UnitDone& copy, const Attack& attack, const runtime::UnitDone& honest, const base::Digest& seed) {
  for (const auto& right : honest.fingerprints)
    copy.fingerprints.push_back(right == base::Digest{} ? right : digest_of("made up", attack.mark.view(), seed.view()));
}

}  // namespace

base::Expected<Attack> parse_attack(std::string_view text, const base::Digest& own_mark) {
  const auto bad = [&](const std::string& what) {
    return base::fail(base::ErrorCode::usage, "--attack does not understand " + what, "write liar, copier, lazy or accuser; then :SHARE from 0 to 1; then :SECRET of those who collude");
  };
  std::string_view rest = text;
  Attack attack{.mark = own_mark};
  const auto kind = kind_of(take_part(rest));
  if (!kind) return bad("\"" + std::string(text) + "\"");
  attack.kind = *kind;
  if (text.find(':') == std::string_view::npos) return attack;
  const auto share = share_ppm_of(take_part(rest));
  if (!share) return bad("the share in \"" + std::string(text) + "\"");
  attack.share_ppm = *share;
  if (!rest.empty()) attack.mark = digest_of("starling development attackers", base::view(rest));
  return attack;
}

bool chosen(const Attack& attack, const base::Digest& seed) {
  return base::read_u64(digest_of("attacked?", attack.mark.view(), seed.view()).view()) % everything_ppm < attack.share_ppm;
}

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

base::Expected<void> check_fault_injection(protocol::SwarmKind kind, const std::string& option) {
  if (kind == protocol::SwarmKind::development) return {};
  return base::fail(base::ErrorCode::refused, option + " exists only in development swarms, and this is not one",
                    "leave the option out, or make a development swarm: starling dev up --bad 1");
}

void FaultInjector::arm(SeenAnswers* seen) {
  const std::lock_guard lock(mutex_);
  armed_ = true;
  seen_ = seen;
}

void FaultInjector::disarm() {
  const std::lock_guard lock(mutex_);
  armed_ = false;
  seen_ = nullptr;
}

runtime::UnitDone FaultInjector::attacked(const Asked& asked, const runtime::UnitDone& honest) {
  if (attack_.kind == AttackKind::liar) return falsify(honest, attack_.mark);
  if (attack_.kind == AttackKind::accuser) return asked.replay ? falsify(honest, attack_.mark) : honest;
  if (asked.replay || asked.segment || seen_ == nullptr) return honest;  // a replay needs the fingerprint, which nobody can copy
  auto copy = seen_->leading(asked.job, asked.unit, attack_.kind == AttackKind::lazy);
  if (!copy) return honest;
  copy->wall_us = honest.wall_us;
  make_up_fingerprints(*copy, attack_, honest, asked.seed);
  return *std::move(copy);
}

void FaultInjector::run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) {
  const Asked asked{.job = work.job, .unit = work.unit, .seed = work.seed, .replay = work.replay, .segment = work.segment.has_value()};
  real_.run(token, std::move(work), [this, asked, done = std::move(done)](runtime::UnitEnd end) {
    if (const auto* honest = std::get_if<runtime::UnitDone>(&end); honest && chosen(attack_, asked.seed)) {
      const std::lock_guard lock(mutex_);
      if (armed_) end = attacked(asked, *honest);
    }
    done(std::move(end));
  });
}

}  // namespace starling::worker
