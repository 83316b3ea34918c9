#include "tests/fuzz/mutator.hpp"

#include <algorithm>
#include <cstring>

namespace starling::fuzz {
namespace {

constexpr std::size_t word = 8;

std::ptrdiff_t signed_of(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }

std::uint64_t interesting(base::Rng& rng) {
  constexpr std::uint64_t values[] = {0,          1,          2,           7,           8,          0x7f,       0x80,
                                      0xff,       0x100,      0x7fff,      0x8000,      0xffff,     0x10000,    0x7fffffff,
                                      0x80000000, 0xffffffff, 0x100000000, 0x1fffffff8, INT64_MAX, 1ULL << 63, UINT64_MAX};
  const std::uint64_t value = values[rng.below(std::size(values))];
  return rng.chance(0.2) ? value + rng.below(5) - 2 : value;
}

void overwrite(base::Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i) & 255);
}

// A whole word changed as a pointer might be: offset, size or kind.
void bend_pointer(base::Bytes& bytes, base::Rng& rng) {
  const std::size_t at = rng.below(bytes.size() / word) * word;
  const std::size_t part = rng.below(3);
  if (part == 0) bytes[at] ^= static_cast<std::byte>(1 + rng.below(3));
  if (part == 1) overwrite(bytes, at, rng.below(64) << 2 | (rng.chance(0.5) ? 1 : 0), 4);
  if (part == 2) overwrite(bytes, at + 4, rng.chance(0.5) ? interesting(rng) : rng.below(4096), 4);
}

void splice(base::Bytes& bytes, const base::Bytes& other, base::Rng& rng) {
  if (other.empty()) return;
  const std::size_t from = rng.below(other.size()) / word * word, to = rng.below(bytes.size()) / word * word;
  const std::size_t length = std::min({other.size() - from, bytes.size() - to, word * (1 + rng.below(16))});
  std::memcpy(bytes.data() + to, other.data() + from, length);
}

void resize(base::Bytes& bytes, base::Rng& rng) {
  const std::size_t at = rng.below(bytes.size()) / word * word;
  const std::size_t length = rng.chance(0.7) ? word * (1 + rng.below(4)) : 1 + rng.below(7);
  if (rng.chance(0.5)) {
    const base::Bytes inserted(length, static_cast<std::byte>(rng.chance(0.5) ? 0 : rng.below(256)));
    bytes.insert(bytes.begin() + signed_of(at), inserted.begin(), inserted.end());
  } else {
    bytes.erase(bytes.begin() + signed_of(at), bytes.begin() + signed_of(std::min(bytes.size(), at + length)));
  }
}

void change_once(base::Bytes& bytes, const base::Bytes& other, base::Rng& rng) {
  if (bytes.empty()) bytes.resize(2 * word);
  switch (rng.below(7)) {
    case 0: bytes[rng.below(bytes.size())] ^= static_cast<std::byte>(1U << rng.below(8)); break;
    case 1: bytes[rng.below(bytes.size())] = static_cast<std::byte>(rng.below(256)); break;
    case 2: overwrite(bytes, rng.below(bytes.size()), interesting(rng), 1ULL << rng.below(4)); break;
    case 3: splice(bytes, base::Bytes(bytes), rng); break;
    case 4: splice(bytes, other, rng); break;
    case 5: resize(bytes, rng); break;
    default:
      if (bytes.size() >= word) bend_pointer(bytes, rng);
  }
}

}  // namespace

base::Bytes mutate(base::Bytes input, const base::Bytes& other, std::size_t bytes_max, base::Rng& rng) {
  for (std::uint64_t changes = 1 + rng.below(6); changes > 0; --changes) change_once(input, other, rng);
  if (input.size() > bytes_max) input.resize(bytes_max);
  return input;
}

}  // namespace starling::fuzz
