#include "tests/transcripts/theatre.hpp"

#include <algorithm>
#include <sstream>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::testing {
namespace {

constexpr std::int64_t latency_ms = 10;

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

protocol::NodeConfig config_of(const base::PeerId& self, unsigned n) {
  protocol::NodeConfig config;
  config.self = self;
  config.own_addresses = {"127.0.0.1:" + std::to_string(1000 + n)};
  return config;
}

std::string list_of(const std::vector<base::UnitIndex>& units) {
  std::string out;
  for (const auto unit : units) out += " " + std::to_string(unit);
  return out;
}

const char* kind_of(const protocol::LinkMessage& message) {
  constexpr const char* kinds[] = {"statements", "summary", "ids", "want", "holdings", "get", "data"};
  return kinds[message.index()];
}

}  // namespace

Theatre::Actor::Actor(unsigned n) : member(n) {
  node = std::make_unique<protocol::Node>(config_of(member.id(), n), member.notary, base::Rng(n));
}

base::Digest Theatre::archive(char letter) const { return digest_of(std::string("archive ") + letter); }

base::Digest Theatre::fingerprint(const std::string& mark) { return mark.empty() ? base::Digest{} : digest_of("fingerprint " + mark); }

std::string Theatre::name_of(const base::PeerId& id) const {
  for (const auto& [n, actor] : actors_)
    if (actor->member.id() == id) return std::to_string(n);
  return "owner";
}

void Theatre::say(const std::string& line) { out_ += "  " + std::to_string(now_ms_) + " " + line + "\n"; }

std::string Theatre::describe(const protocol::Outcome& outcome) const {
  for (char letter = 'A'; letter <= 'Z'; ++letter)
    if (outcome.digest == archive(letter)) return std::string(1, letter);
  return "?";
}

std::string Theatre::describe(const protocol::Statement& statement) {
  const std::string author = name_of(statement.author);
  return std::visit(
      Overloaded{[&](const protocol::Manifest& m) { return "manifest of " + std::to_string(m.unit_count) + " units by " + author; },
                 [&](const protocol::Cancel&) { return "cancel by " + author; },
                 [&](const protocol::Claims& c) {
                   return "claims by " + author + ":" + list_of(c.units) + (c.released.empty() ? "" : ", released:" + list_of(c.released));
                 },
                 [&](const protocol::Results& r) {
                   std::string text = "results by " + author + ":";
                   for (const auto& entry : r.entries) text += " " + std::to_string(entry.unit) + "=" + describe(entry.outcome);
                   return text;
                 },
                 [&](const protocol::Replay& r) {
                   return "replay by " + author + ": " + name_of(r.accused) + "'s unit " + std::to_string(r.unit) + " gives " +
                          describe(r.compiled) + " and " + describe(r.interpreted);
                 },
                 [&](const protocol::Fold& f) { return std::string(f.root == base::Digest{} ? "fold taken back by " : "fold by ") + author; },
                 [&](const protocol::PeerRecord&) { return "record of " + author; }},
      statement.body);
}

std::string Theatre::describe(const protocol::LinkMessage& message) {
  return std::visit(Overloaded{[&](const protocol::StatementBundle& bundle) {
                                 std::string text;
                                 for (const auto& raw : bundle.statements) {
                                   const auto statement = actors_.begin()->second->member.notary.open(raw);
                                   STARLING_ENSURE(statement.has_value());
                                   text += (text.empty() ? "" : "; ") + describe(*statement);
                                 }
                                 return text;
                               },
                               [&](const protocol::Summary& sums) { return std::string(sums.headlines ? "summary of headlines" : "summary"); },
                               [&](const protocol::BucketIds& ids) { return std::string(ids.headlines ? "headlines' " : "") + "ids of " + std::to_string(ids.buckets.size()) + " buckets: " + std::to_string(ids.ids.size()); },
                               [&](const protocol::Want& want) { return "want " + std::to_string(want.ids.size()); },
                               [&](const protocol::Holdings& held) {
                                 std::string text = held.complete ? "holds in all:" : "holds now:";
                                 for (const auto& [begin, end] : held.units) text += " " + std::to_string(begin) + ".." + std::to_string(end - 1);
                                 return text + (held.inputs_whole ? " inputs" : "");
                               },
                               [&](const protocol::FoldQuestion& question) { return "asks what was accepted of " + std::to_string(question.unit); },
                               [&](const protocol::FoldProof& proof) { return "shows what was accepted of " + std::to_string(proof.unit); },
                               [&](const protocol::BlobGet&) { return std::string("get"); },
                               [&](const protocol::BlobData&) { return std::string("data"); }},
                    message);
}

void Theatre::feed(int n, protocol::Input input) {
  actor(n).node->on_input(std::move(input), now());
  drain(n);
}

void Theatre::drain(int n) {
  while (auto effect = actor(n).node->poll_effect()) act(n, *effect);
  actor(n).node->check_invariants();
}

void Theatre::act(int n, const protocol::Effect& effect) {
  const std::string who = std::to_string(n);
  std::visit(Overloaded{[&](const protocol::Send& message) { send(n, message); },
                        [&](const protocol::SetTimer& timer) { actor(n).timer = timer.at; },
                        [&](const protocol::StartUnit& start) {
                          actor(n).running.insert(start.unit);
                          say(who + " starts unit " + std::to_string(start.unit));
                        },
                        [&](const protocol::StopUnit& stop) { say(who + " stops unit " + std::to_string(stop.unit)); },
                        [&](const protocol::StartReplay& start) {
                          actor(n).replaying = start;
                          say(who + " replays " + name_of(start.accused) + "'s unit " + std::to_string(start.unit));
                        },
                        [&](const protocol::RequestRange& request) { say(who + " asks " + name_of(request.from) + " for a blob"); },
                        [&](const protocol::Disconnect& disconnect) { say(who + " disconnects " + name_of(disconnect.peer) + ": " + disconnect.reason); },
                        [&](const protocol::Notice& notice) {
                          using Kind = protocol::Notice::Kind;
                          if (notice.kind == Kind::key_banned) say(who + " bans " + name_of(notice.peer));
                          if (notice.kind == Kind::job_ended) say(who + " sees the job " + protocol::name_of(actor(n).node->job(notice.job)->state));
                        },
                        [&](const auto&) {}},
             effect);
}

// The wire is real: what is delivered was encoded and decoded.
void Theatre::send(int from, const protocol::Send& message) {
  const int to = std::stoi(name_of(message.to));
  const std::string text = describe(*message.message);
  const auto drop = drops_.find(std::to_string(from) + " " + std::to_string(to) + " " + kind_of(*message.message));
  if (drop != drops_.end()) {
    drops_.erase(drop);
    return say(std::to_string(from) + " -x " + std::to_string(to) + " " + text + " (lost)");
  }
  if (!links_.contains({from, to})) return;
  say(std::to_string(from) + " -> " + std::to_string(to) + " " + text);
  wires_.push_back({now_ms_ + latency_ms, from, to, wire::encode_link(*message.message)});
}

void Theatre::run_until(std::int64_t end_ms) {
  while (true) {
    std::int64_t next = end_ms;
    for (const auto& delivery : wires_) next = std::min(next, delivery.at_ms);
    for (const auto& [n, actor] : actors_)
      if (actor->timer) next = std::min(next, actor->timer->ms);
    now_ms_ = std::max(now_ms_, next);
    const auto due = std::ranges::find_if(wires_, [&](const Delivery& d) { return d.at_ms <= now_ms_; });
    if (due != wires_.end()) {
      const Delivery delivery = std::move(*due);
      wires_.erase(due);
      auto message = wire::decode_link(delivery.frame);
      STARLING_ENSURE(message.has_value());
      feed(delivery.to, protocol::Received{actor(delivery.from).member.id(), std::move(*message)});
      continue;
    }
    const auto ready = std::ranges::find_if(actors_, [&](const auto& entry) { return entry.second->timer && entry.second->timer->ms <= now_ms_; });
    if (ready != actors_.end()) {
      ready->second->timer.reset();
      feed(ready->first, protocol::TimerFired{});
      continue;
    }
    if (now_ms_ >= end_ms) return;
  }
}

std::string Theatre::perform(const std::string& line) {
  out_ = line + "\n";
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  const auto number = [&] {
    int value = -1;
    STARLING_ENSURE(static_cast<bool>(words >> value));
    return value;
  };
  if (verb == "peers") {
    const int count = number();
    for (int n = 1; n <= count; ++n) actors_.emplace(n, std::make_unique<Actor>(static_cast<unsigned>(n)));
    for (int n = 1; n <= count; ++n) {
      for (const char* blob : {"program", "units"}) actor(n).node->blob_present(digest_of(blob));
      actor(n).node->start(now());
      drain(n);
    }
  } else if (verb == "link" || verb == "unlink") {
    const int a = number(), b = number();
    for (const auto& [x, y] : {std::pair(a, b), std::pair(b, a)}) verb == "link" ? links_.insert({x, y}).first != links_.end() : links_.erase({x, y}) > 0;
    for (const auto& [x, y] : {std::pair(a, b), std::pair(b, a)}) {
      if (verb == "link")
        feed(x, protocol::LinkUp{actor(y).member.id(), false});
      else
        feed(x, protocol::LinkDown{actor(y).member.id()});
    }
  } else if (verb == "drop") {
    const int from = number(), to = number();
    std::string kind;
    words >> kind;
    drops_.insert(std::to_string(from) + " " + std::to_string(to) + " " + kind);
  } else if (verb == "submit") {
    const int n = number();
    std::string word;
    words >> word;
    const Member owner(100);
    const auto sealed = runtime::seal(network(), owner.keys, manifest(static_cast<std::uint32_t>(number()), now().unix_s));
    job_ = base::retag<base::JobId>(sealed.id);
    feed(n, protocol::Submit{sealed});
  } else if (verb == "finish") {
    const int n = number(), unit = number();
    std::string letter, mark;
    words >> letter >> mark;
    if (actor(n).running.erase(static_cast<base::UnitIndex>(unit)) == 0) return line + "\n  " + std::to_string(n) + " does not run it\n";
    feed(n, protocol::UnitFinished{*job_, static_cast<base::UnitIndex>(unit), {protocol::OutcomeKind::ok, 0, archive(letter[0]), 100},
                                   fingerprint(mark)});
  } else if (verb == "release") {
    const int n = number(), unit = number();
    if (actor(n).running.erase(static_cast<base::UnitIndex>(unit)) == 0) return line + "\n  " + std::to_string(n) + " does not run it\n";
    feed(n, protocol::UnitReleased{*job_, static_cast<base::UnitIndex>(unit)});
  } else if (verb == "replay") {
    const int n = number();
    std::string letter, mark;
    words >> letter >> mark;
    if (!actor(n).replaying) return line + "\n  " + std::to_string(n) + " replays nothing\n";
    const protocol::StartReplay start = *std::exchange(actor(n).replaying, std::nullopt);
    const protocol::Outcome outcome{protocol::OutcomeKind::ok, 0, archive(letter[0]), 100};
    feed(n, protocol::ReplayFinished{start.job, start.unit, start.accused_statement, outcome, outcome, fingerprint(mark), fingerprint(mark)});
  } else if (verb == "run") {
    run_until(now_ms_ + number());
  } else if (verb == "show") {
    const int n = number();
    const auto status = actor(n).node->job(*job_);
    STARLING_ENSURE(status.has_value());
    std::string banned;
    for (const auto& id : status->banned) banned += " " + name_of(id);
    say(std::to_string(n) + ": " + protocol::name_of(status->state) + ", " + std::to_string(status->accepted) + "/" + std::to_string(status->units) +
        " accepted, " + std::to_string(status->bytes_safe) + " safe, " + std::to_string(status->contested) + " contested, " +
        std::to_string(status->executions) + " executions, banned:" + (banned.empty() ? " nobody" : banned));
  } else {
    say("no such command");
  }
  return out_;
}

}  // namespace starling::testing
