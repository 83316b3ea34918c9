#include "sdk/client/unit_archive.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/rng.hpp"
#include "worker/execution/archive.hpp"

using namespace starling;

namespace {

base::Bytes sample() {
  execution::Archive archive;
  archive.items.push_back({.kind = execution::OutcomeKind::ok,
                           .code = 0,
                           .standard_output = base::view("hello"),
                           .files = {{"a/b.csv", base::view("1,2")}, {"c", {}}}});
  archive.items.push_back({.kind = execution::OutcomeKind::exit_code, .code = -7, .standard_output = {}, .files = {}});
  archive.items.push_back({.kind = execution::OutcomeKind::trap, .code = 5, .standard_output = {}, .files = {}});
  return execution::write_archive(archive);
}

}  // namespace

TEST_CASE("the SDK reads what the executor writes") {
  const auto items = client::read_archive(sample());
  REQUIRE(items.has_value());
  REQUIRE(items->size() == 3);
  CHECK(base::text(items->at(0).standard_output) == "hello");
  REQUIRE(items->at(0).files.size() == 2);
  CHECK(items->at(0).files[0].path == "a/b.csv");
  CHECK(base::text(items->at(0).files[0].bytes) == "1,2");
  CHECK(items->at(1).code == -7);
  CHECK(items->at(2).kind == protocol::OutcomeKind::trap);
}

TEST_CASE("cut, lengthened or damaged archives are refused or harmless") {
  const auto whole = sample();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) CHECK_FALSE(client::read_archive(base::ByteView(whole).first(bytes)).has_value());
  auto longer = whole;
  longer.push_back(std::byte{0});
  CHECK_FALSE(client::read_archive(longer).has_value());
  base::Rng rng(11);
  for (int round = 0; round < 20'000; ++round) {
    auto damaged = whole;
    for (int i = 0; i < 3; ++i) damaged[rng.below(damaged.size())] = static_cast<std::byte>(rng.next());
    if (const auto items = client::read_archive(damaged))
      for (const auto& item : *items)
        for (const auto& file : item.files) CHECK(client::is_safe_path(file.path));
  }
}

TEST_CASE("paths that leave their folder are refused") {
  for (const std::string& bad : {std::string(""), std::string("/etc/passwd"), std::string("../x"), std::string("a/../../x"), std::string("a//b"),
                                std::string("a/"), std::string("."), std::string("a/./b"), std::string("a\0b", 3)})
    CHECK_FALSE(client::is_safe_path(bad));
  for (const std::string& good : {std::string("a"), std::string("a/b.csv"), std::string("..a"), std::string("a..b/c")}) CHECK(client::is_safe_path(good));
}
