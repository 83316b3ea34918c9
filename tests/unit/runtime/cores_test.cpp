#include "coordinator-less/runtime/cores.hpp"

#include <doctest/doctest.h>

#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace starling;

TEST_CASE("every piece of work is done once before the call returns") {
  for (const std::size_t threads : {1UL, 2UL, 4UL}) {
    runtime::Cores cores(threads);
    CHECK(cores.threads() == threads);
    for (const std::size_t count : {0UL, 1UL, 2UL, 3UL, 64UL, 1000UL}) {
      std::vector<int> done(count);
      cores.each(count, [&](std::size_t i) { ++done[i]; });
      CHECK(done == std::vector<int>(count, 1));
    }
  }
}

TEST_CASE("with one thread the work stays on the thread that asks") {
  runtime::Cores cores(1);
  std::vector<std::thread::id> threads(100);
  cores.each(threads.size(), [&](std::size_t i) { threads[i] = std::this_thread::get_id(); });
  CHECK(threads == std::vector<std::thread::id>(threads.size(), std::this_thread::get_id()));
}

TEST_CASE("with two threads both work") {
  if (std::thread::hardware_concurrency() < 2) return;  // a second one would have to wait for the first
  runtime::Cores cores(2);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  const auto both = [&] {
    const std::scoped_lock lock(mutex);
    seen.insert(std::this_thread::get_id());
    return seen.size() > 1;
  };
  for (int round = 0; round < 1000 && seen.size() < 2; ++round) {
    cores.each(8, [&](std::size_t) {
      for (int waited = 0; waited < 1000 && !both(); ++waited) std::this_thread::yield();
    });
  }
  CHECK(seen.size() == 2);
}

TEST_CASE("no more threads than the limit or the machine has") {
  CHECK(runtime::Cores::usual_threads() >= 1);
  CHECK(runtime::Cores::usual_threads() <= limits::computing_threads_max);
  CHECK(runtime::Cores::usual_threads() <= std::max(1U, std::thread::hardware_concurrency()));
}
