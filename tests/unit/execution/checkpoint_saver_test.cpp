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

TEST_CASE("checkpoint saver: posting waits for no disk, an item's newest is what is written, finish waits for all") {
  const testing::ScratchFolder folder;
  CheckpointStore store(folder.path(), 1 << 20);
  const base::Digest unit;
  std::vector<std::function<void()>> tasks;
  const auto saver = std::make_shared<CheckpointSaver>(store, unit, [&](auto task) { tasks.push_back(std::move(task)); });
  saver->finish();  // nothing was posted
  saver->post(0, checkpoint(1));
  saver->post(0, checkpoint(2));
  saver->post(5, checkpoint(3));
  CHECK(store.load(unit, 0, 100).round == 0);
  REQUIRE(tasks.size() == 1);

  std::jthread writer([&] { tasks.front()(); });
  saver->finish();
  CHECK(store.load(unit, 0, 100).round == 2);
  CHECK(store.load(unit, 5, 100).round == 3);
  writer.join();
  saver->post(0, checkpoint(4));
  REQUIRE(tasks.size() == 2);
  tasks.back()();
  saver->finish();
  CHECK(store.load(unit, 0, 100).round == 4);
}
