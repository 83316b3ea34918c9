#include "coordinator-less/crypto/puzzle.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"

namespace starling::crypto {
namespace {

base::PeerId id_of(unsigned char fill) {
  base::PeerId id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

TEST_CASE("difficulty 0 asks for nothing") {
  CHECK(mint(id_of(1), 0) == 0);
  CHECK(mint(id_of(1), 0, 77) == 77);
  for (const std::uint64_t nonce : {std::uint64_t{0}, UINT64_MAX}) CHECK(check(id_of(1), nonce, 0));
}

TEST_CASE("what was minted passes, for that id and up to its difficulty") {
  const auto nonce = mint(id_of(2), 2);
  CHECK(check(id_of(2), nonce, 2));
  CHECK(check(id_of(2), nonce, 1));
  CHECK_FALSE(check(id_of(2), nonce, limits::puzzle_difficulty_bits_max));
  int others = 0;
  for (unsigned char fill = 3; fill < 9; ++fill) others += check(id_of(fill), nonce, 2) ? 1 : 0;
  CHECK(others < 6);
}

TEST_CASE("mint gives the first passing nonce from its start") {
  const auto first = mint(id_of(2), 2);
  const auto second = mint(id_of(2), 2, first + 1);
  CHECK(second > first);
  for (auto nonce = first + 1; nonce < second; ++nonce) CHECK_FALSE(check(id_of(2), nonce, 2));
}

TEST_CASE("difficulties nobody can mint never pass") {
  for (const unsigned bits : {limits::puzzle_difficulty_bits_max + 1, 256U, 257U, ~0U})
    CHECK_FALSE(check(id_of(2), 0, bits));
}

}  // namespace
}  // namespace starling::crypto
