// Checkpoints that are written while their unit goes on.
#include <doctest/doctest.h>

#include <thread>

#include "tests/support/scratch.hpp"
#include "worker/execution/checkpoint_saver.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

StoredCheckpoint checkpoint(std::uint32_t round) { return {round, 7, 9, base::copy(base::view("state"))}; }

}  // namespace

TEST_CASE("checkpoint saver: posting waits for no disk, an item's newest is what is written, finish waits for no busy thread") {
  const testing::ScratchFolder folder;
  CheckpointStore store(folder.path(), 1 << 20);
  const base::Digest unit;
  std::vector<std::function<void()>> tasks;  // threads that take nothing up by themselves
  const auto saver = std::make_shared<CheckpointSaver>(store, unit, [&](auto task) { tasks.push_back(std::move(task)); });
  const auto round_of = [&](std::uint32_t item) { return store.load(unit, item, 100).round; };
  saver->finish(true);  // nothing was posted
  saver->post(0, checkpoint(1));
  saver->post(0, checkpoint(2));
  saver->post(5, checkpoint(3));
  CHECK(round_of(0) == 0);
  REQUIRE(tasks.size() == 1);
  saver->finish(true);
  CHECK(round_of(0) == 2);
  CHECK(round_of(5) == 3);
  tasks.front()();  // too late, and harmless

  saver->post(0, checkpoint(4));
  REQUIRE(tasks.size() == 2);
  std::jthread(tasks.back()).join();
  CHECK(round_of(0) == 4);
  saver->post(0, checkpoint(5));
  saver->finish(false);
  tasks.back()();
  CHECK(round_of(0) == 4);
}
