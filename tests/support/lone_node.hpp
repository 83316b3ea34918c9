// One real node without a network: it is fed inputs, its effects are kept, invariants are checked after each step.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "tests/support/keys.hpp"

namespace starling::testing {

inline constexpr std::int64_t epoch_s = 1'800'000'000;

struct LoneNode {
  explicit LoneNode(unsigned n, std::uint32_t slots = 4, protocol::NodeConfig config = {}) : member(n) {
    config.self = member.id();
    config.slots = slots;
    config.own_addresses = {"127.0.0.1:1"};
    node = std::make_unique<protocol::Node>(config, member.notary, base::Rng(n));
  }
  base::Now now() const { return {{now_ms}, epoch_s + now_ms / 1000}; }
  void start() {
    for (const char* blob : {"program", "units"}) node->blob_present(digest_of(blob));
    node->start(now());
    drain();
  }
  void feed(protocol::Input input) {
    node->on_input(std::move(input), now());
    drain();
  }
  void pass(std::int64_t ms) {
    for (const std::int64_t end = now_ms + ms; now_ms < end;) {
      now_ms = std::min(end, now_ms + 50);
      feed(protocol::TimerFired{});
    }
  }
  void drain() {
    node->check_invariants();
    while (auto effect = node->poll_effect()) effects.push_back(std::move(*effect));
  }
  template <class Kind>
  std::vector<Kind> taken() {
    std::vector<Kind> out;
    for (const protocol::Effect& effect : effects)
      if (const auto* kind = std::get_if<Kind>(&effect)) out.push_back(*kind);
    return out;
  }
  void from(const Member& other, const protocol::Statement& statement) {
    feed(protocol::Received{other.id(), protocol::StatementBundle{{statement.raw}}});
  }

  Member member;
  std::unique_ptr<protocol::Node> node;
  std::int64_t now_ms = 0;
  std::vector<protocol::Effect> effects;
};

inline protocol::Statement job_statement(std::uint32_t units, std::int64_t lifetime_s = 3600) {
  protocol::Manifest body = manifest(units, epoch_s);
  body.expires_unix_s = epoch_s + lifetime_s;
  return runtime::seal(network(), Member(100).keys, body);
}

inline protocol::Outcome outcome(std::string_view what) { return {protocol::OutcomeKind::ok, 0, digest_of(what)}; }

// What the peer has stated, by place in its log.
inline std::map<protocol::LogPlace, protocol::ResultEntry> own_entries(const LoneNode& peer, const protocol::Statement& job) {
  std::map<protocol::LogPlace, protocol::ResultEntry> entries;
  for (const protocol::KeptStatement& kept : peer.node->statements_of(id_of(job))) {
    if (kept.type != protocol::StatementType::results || kept.author != peer.member.id()) continue;
    const protocol::Statement statement = *runtime::open(network(), kept.raw);
    const auto& results = std::get<protocol::Results>(statement.body);
    for (std::size_t i = 0; i < results.entries.size(); ++i) entries.emplace(results.place(i), results.entries[i]);
  }
  return entries;
}

}  // namespace starling::testing
