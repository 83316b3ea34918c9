// What neighbours and strangers may make a whole peer do, by the second.
#include "coordinator-less/protocol/node.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::id_of;
using testing::job_statement;
using testing::outcome;
using testing::epoch_s;
using Peer = testing::LoneNode;

}  // namespace

TEST_CASE("who lists what he holds all the time is not listened to after a while, nor are his questions; others are") {
  Peer peer(1);
  const testing::Member greedy(2), other(3);
  peer.start();
  for (const auto* neighbour : {&greedy, &other}) peer.feed(LinkUp{neighbour->id(), false});
  constexpr std::uint32_t units = 65'536;
  const Statement job = job_statement(units);
  peer.feed(Submit{job});
  const auto answers_to = [&](const PeerId& asker) {
    peer.feed(Received{asker, Summary{.buckets = std::vector<std::uint64_t>(256), .headlines = true}});
    std::size_t count = 0;
    for (const Send& send : peer.taken<Send>())
      if (send.to == asker && std::holds_alternative<BucketIds>(*send.message)) ++count;
    return count;
  };
  REQUIRE(answers_to(greedy.id()) == 1);
  for (std::size_t n = 0; n <= limits::answers_burst_bytes / (units * limits::unit_looked_at_bytes); ++n) {
    Holdings list{.job = id_of(job), .complete = true};
    if (n % 2 == 0) list.units = {{0, units}};
    peer.feed(Received{greedy.id(), list});
  }
  CHECK(answers_to(greedy.id()) == 1);
  CHECK(answers_to(other.id()) == 1);
  peer.pass(10'000);
  CHECK(answers_to(greedy.id()) == 2);
}

namespace {

// A job of `units`, all of them answered by two authors in statements as long as may be.
struct Answered {
  explicit Answered(std::uint32_t units) : job(job_statement(units)), first(2, job), second(3, job) {
    for (testing::Author* author : {&first, &second}) {
      for (UnitIndex unit = 0; unit < units;) {
        std::vector<ResultEntry> entries;
        for (; unit < units && entries.size() < limits::results_per_batch_max; ++unit) entries.push_back({unit, author->position_of(unit), outcome("right")});
        statements.push_back(author->states_all(std::move(entries)));
      }
    }
  }
  Statement job;
  testing::Author first, second;
  std::vector<Statement> statements;
};

// Without a look at all invariants after each step.
void feed_plainly(Peer& peer, Input input) {
  peer.node->on_input(std::move(input), peer.now());
  while (auto effect = peer.node->poll_effect()) peer.effects.push_back(std::move(*effect));
}

std::size_t statement_bytes_to(const Peer& peer, const PeerId& to) {
  std::size_t bytes = 0;
  for (const Effect& effect : peer.effects) {
    const auto* send = std::get_if<Send>(&effect);
    const auto* bundle = send == nullptr || send->to != to ? nullptr : std::get_if<StatementBundle>(send->message.get());
    for (std::size_t i = 0; bundle != nullptr && i < bundle->statements.size(); ++i) bytes += bundle->statements[i]->size();
  }
  return bytes;
}

}  // namespace

TEST_CASE("node: who forks with each statement has the job judged anew at a bounded rate, and other jobs go on") {
  Peer peer(1);
  Answered answered(800);
  const JobId id = id_of(answered.job);
  const testing::Member owner(101), relay(9);
  const Statement other = runtime::seal(testing::network(), owner.keys, testing::manifest(2, epoch_s));
  testing::Author forker(4, answered.job);
  peer.start();
  for (const PeerId& neighbour : {answered.first.id(), relay.id()}) feed_plainly(peer, LinkUp{neighbour, false});
  const auto hears = [&](const Statement& statement) { feed_plainly(peer, Received{relay.id(), StatementBundle{{statement.raw}}}); };
  hears(answered.job);
  hears(other);
  for (const Statement& one : answered.statements) hears(one);
  REQUIRE(peer.node->job(id)->segments_done == 800);
  const auto judged = [&] { return !peer.node->verdict(id)->looks_anew(); };
  std::uint32_t forks = 0;
  for (; forks < 799 && judged(); ++forks) {
    hears(forker.states(forks, outcome("right")));
    forker.log.begin_chain(0);
    hears(forker.states(forks, outcome("another")));
  }
  // At each the 1600 right answers are looked at, and the forker's own.
  CHECK(forks > limits::results_judged_anew_burst / 3400);
  CHECK(forks < limits::results_judged_anew_burst / 1600 + 2);
  CHECK_FALSE(judged());
  testing::Author one(5, other), two(6, other);
  hears(one.states(0, outcome("right")));
  hears(two.states(0, outcome("right")));
  CHECK(peer.node->job(id_of(other))->segments_done == 1);
  hears(answered.first.notary.seal(Claims{id, {2}, {}, 60'000, 1}));  // claims are weighed by what is known, and force nothing
  CHECK_FALSE(judged());
  peer.now_ms += 1000;
  feed_plainly(peer, TimerFired{});
  CHECK(judged());
  peer.drain();
  CHECK(peer.node->job(id)->segments_done == 800);
}

TEST_CASE("node: a neighbour that asks without end is answered within an allowance, which holds no other up and comes back") {
  Peer peer(1);
  Answered answered(1900);
  const testing::Member greedy(9), modest(10);
  peer.start();
  for (const testing::Member* one : {&greedy, &modest}) feed_plainly(peer, LinkUp{one->id(), false});
  feed_plainly(peer, Received{modest.id(), StatementBundle{{answered.job.raw}}});
  for (const Statement& one : answered.statements) feed_plainly(peer, Received{modest.id(), StatementBundle{{one.raw}}});
  peer.now_ms += 1000;
  feed_plainly(peer, TimerFired{});  // what was to be relayed is
  const auto asks = [&](const testing::Member& who) {
    peer.effects.clear();
    BucketIds everything;
    for (unsigned bucket = 0; bucket < 256; ++bucket) everything.buckets.push_back(static_cast<std::uint8_t>(bucket));
    feed_plainly(peer, Received{who.id(), std::move(everything)});
    return statement_bytes_to(peer, who.id());
  };
  const std::size_t whole = asks(modest);
  REQUIRE(whole > 300'000);
  std::size_t sent = 0, times = 0;
  for (; times < 300; ++times) {
    const std::size_t bytes = asks(greedy);
    CHECK((bytes == 0 || bytes == whole));
    if (bytes == 0) break;
    sent += bytes;
  }
  CHECK(sent >= std::size_t{26} << 20);  // a full shard at one go
  CHECK(sent <= static_cast<std::size_t>(limits::answers_burst_bytes) + whole);
  peer.effects.clear();
  feed_plainly(peer, Received{greedy.id(), Summary{std::vector<std::uint64_t>(256)}});
  feed_plainly(peer, Received{greedy.id(), Want{{answered.statements[0].id}}});
  CHECK(std::ranges::none_of(peer.taken<Send>(), [&](const Send& send) { return send.to == greedy.id(); }));
  feed_plainly(peer, LinkDown{greedy.id()});
  feed_plainly(peer, LinkUp{greedy.id(), false});
  CHECK(asks(greedy) == 0);
  CHECK(asks(modest) == whole);
  peer.now_ms += 1000;
  CHECK(asks(greedy) == whole);
}
