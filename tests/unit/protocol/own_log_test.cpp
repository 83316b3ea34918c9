#include "coordinator-less/protocol/own_log.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

// States so many entries and returns where the first one stands.
struct Diary {
  Results states(std::uint32_t count) {
    Results results = log.prepare(JobId{}, std::vector<ResultEntry>(count));
    last = base::retag<MessageId>(testing::digest_of(std::to_string(++statements)));
    log.on_stated(last, results, false);
    return results;
  }
  OwnLog log;
  MessageId last;
  int statements = 0;
};

}  // namespace

TEST_CASE("own log: statements follow each other without gaps") {
  Diary diary;
  diary.log.begin_chain(7);
  const Results first = diary.states(3);
  CHECK(first.place(0) == LogPlace{7, 0});
  CHECK(first.previous == MessageId{});
  const MessageId followed = diary.last;
  const Results second = diary.states(1);
  CHECK(second.place(0) == LogPlace{7, 3});
  CHECK(second.previous == followed);
  CHECK(diary.log.stated() == 4);
}

TEST_CASE("own log: a start begins a chain above the known ones, whatever the clock says, and follows the last statement") {
  Diary diary;
  diary.log.begin_chain(1000);
  diary.states(2);
  const MessageId last = diary.last;
  diary.log.begin_chain(900);  // the clock was set back
  const Results next = diary.states(1);
  CHECK(next.place(0) == LogPlace{1001, 0});
  CHECK(next.previous == last);
  diary.log.begin_chain(5000);
  CHECK(diary.states(1).place(0) == LogPlace{5000, 0});
}

TEST_CASE("own log: statements read from disk in any order leave the last one as the end") {
  Diary diary;
  diary.log.begin_chain(5);
  const Results one = diary.states(2);
  const MessageId id_of_one = diary.last;
  const Results two = diary.states(2);
  OwnLog restored;
  restored.on_stated(diary.last, two, false);
  restored.on_stated(id_of_one, one, false);
  restored.begin_chain(6);
  const Results next = restored.prepare(JobId{}, std::vector<ResultEntry>(1));
  CHECK(next.place(0) == LogPlace{6, 0});
  CHECK(next.previous == diary.last);
  CHECK(restored.stated() == 4);
}

TEST_CASE("own log: what comes from elsewhere under this key ends the chain") {
  Diary diary;
  diary.log.begin_chain(5);
  diary.states(2);
  Results foreign = diary.log.prepare(JobId{}, std::vector<ResultEntry>(1));
  foreign.chain = 9;
  const auto id = base::retag<MessageId>(testing::digest_of("foreign"));
  diary.log.on_stated(id, foreign, true);
  const Results next = diary.states(1);
  CHECK(next.place(0) == LogPlace{10, 0});
  CHECK(next.previous == id);
}

TEST_CASE("own log: a restored image follows what nobody follows, in whatever order its lost life comes back") {
  Diary life;
  life.log.begin_chain(5);
  const Results kept = life.states(1);
  const MessageId id_of_kept = life.last;
  std::vector<std::pair<MessageId, Results>> lost;
  for (int n = 0; n < 5; ++n) {
    Results results = life.states(2);
    lost.emplace_back(life.last, std::move(results));
  }
  std::ranges::sort(lost, {}, [](const auto& entry) { return entry.first; });
  do {
    Diary restored;
    restored.statements = 100;
    restored.log.on_stated(id_of_kept, kept, false);
    restored.log.begin_chain(9);
    const Results fork = restored.states(1);
    CHECK(fork.previous == id_of_kept);  // as the lost life's first: readers void this chain
    const MessageId id_of_fork = restored.last;
    for (const auto& [id, results] : lost) restored.log.on_stated(id, results, true);
    const Results next = restored.states(1);
    CHECK(next.chain > fork.chain);
    CHECK(next.previous == id_of_fork);  // which nothing else follows
  } while (std::ranges::next_permutation(lost, {}, [](const auto& entry) { return entry.first; }).found);
}

TEST_CASE("own log: an index that would pass its last number begins a chain") {
  Diary diary;
  diary.log.begin_chain(5);
  Results results = diary.log.prepare(JobId{}, std::vector<ResultEntry>(1));
  results.first_log_index = UINT32_MAX - 1;
  diary.log.on_stated(base::retag<MessageId>(testing::digest_of("far")), results, false);
  CHECK(diary.states(2).place(0) == LogPlace{6, 0});
}
