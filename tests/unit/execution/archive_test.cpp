#include "worker/execution/archive.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/rng.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

Archive example() {
  Archive archive;
  archive.items.push_back({OutcomeKind::ok, 0, base::view("hits\n"), {{"a.csv", base::view("1")}, {"a/b.csv", base::view("")}}});
  archive.items.push_back({OutcomeKind::exit_code, 3, base::view("partial"), {}});
  archive.items.push_back({OutcomeKind::trap, static_cast<std::int32_t>(TrapClass::unreachable), {}, {}});
  archive.items.push_back({OutcomeKind::output_limit, 0, {}, {}});
  return archive;
}

}  // namespace

TEST_CASE("archive: what is written is read back, and re-writing gives the same bytes") {
  const auto bytes = write_archive(example());
  const auto parsed = parse_archive(bytes);
  REQUIRE(parsed);
  REQUIRE(parsed->items.size() == 4);
  CHECK(base::text(parsed->items[0].standard_output) == "hits\n");
  CHECK(parsed->items[0].files[1].path == "a/b.csv");
  CHECK(parsed->items[1].code == 3);
  CHECK(write_archive(*parsed) == bytes);
  CHECK(worst_of(*parsed) == std::pair{OutcomeKind::output_limit, std::int32_t{0}});
}

TEST_CASE("archive: every cut and every longer text is refused") {
  auto bytes = write_archive(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(parse_archive(base::ByteView(bytes).first(size)));
  bytes.push_back(std::byte{0});
  CHECK_FALSE(parse_archive(bytes));
}

TEST_CASE("archive: only canonical content is accepted") {
  const auto unsorted = [] {
    Archive archive;
    archive.items.push_back({OutcomeKind::ok, 0, {}, {{"b", {}}, {"a", {}}}});
    return write_archive(archive);
  }();
  CHECK_FALSE(parse_archive(unsorted));
  for (const char* path : {"", "/a", "a/", "a//b", "../a", "a/./b"}) {
    Archive archive;
    archive.items.push_back({OutcomeKind::ok, 0, {}, {{path, {}}}});
    CHECK_FALSE(parse_archive(write_archive(archive)));
  }
}

TEST_CASE("archive: flipped bytes never crash, and what parses is canonical") {
  const auto good = write_archive(example());
  base::Rng rng(7);
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good;
    for (std::uint64_t flips = 1 + rng.below(3); flips > 0; --flips)
      bytes[rng.below(bytes.size())] = static_cast<std::byte>(rng.below(256));
    if (const auto parsed = parse_archive(bytes)) CHECK(write_archive(*parsed) == bytes);
  }
}
