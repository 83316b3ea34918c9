// A finished job and its evidence: every unit answered by two of a hundred peers, `entries` results in a statement, real Ed25519 and wire bytes.
#pragma once

#include <malloc.h>

#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/author.hpp"

namespace starling::bench {

inline constexpr std::int64_t epoch_s = 1'800'000'000;
inline constexpr unsigned peers = 100;

inline unsigned author_number(unsigned i) { return 100 + i; }
inline base::Digest archive_of(base::UnitIndex unit) { return testing::digest_of("unit " + std::to_string(unit)); }
inline double thread_cpu_s() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}
inline std::size_t heap_bytes() {
  const auto info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

inline protocol::Statement manifest_of(std::uint32_t units) {
  auto description = testing::manifest(units, epoch_s);
  description.peer_estimate = peers;
  description.units.size_bytes = 2ULL * units;
  description.expires_unix_s = epoch_s + 86'400;
  return testing::Member(1).notary.seal(description);
}

inline std::vector<std::shared_ptr<const base::Bytes>> evidence(const protocol::Statement& manifest, std::uint32_t units, std::size_t entries) {
  std::vector<std::unique_ptr<testing::Author>> authors;
  std::vector<std::vector<protocol::ResultEntry>> waiting(peers);
  for (unsigned i = 0; i < peers; ++i) authors.push_back(std::make_unique<testing::Author>(author_number(i), manifest));
  std::vector<std::shared_ptr<const base::Bytes>> out;
  const auto flush = [&](unsigned i) {
    if (!waiting[i].empty()) out.push_back(authors[i]->states_all(std::exchange(waiting[i], {})).raw);
  };
  const protocol::UnitOrder order(base::retag<base::JobId>(manifest.id), authors[0]->id(), units, std::get<protocol::Manifest>(manifest.body).peer_estimate, authors[0]->notary);
  std::vector<unsigned> answers(units);
  for (std::uint32_t block = 0; block < order.block_count(); ++block) {  // as honest peers do: in turn, each the next of its own order that lacks answers
    std::vector<std::vector<std::uint32_t>> places;
    for (const auto& author : authors) places.push_back(order.own_places(author->id(), block));
    std::vector<std::size_t> next(peers);
    for (std::size_t lacking = 2 * places[0].size(); lacking > 0;)
      for (unsigned i = 0; i < peers && lacking > 0; ++i) {
        while (next[i] < places[i].size() && answers[order.unit_at(places[i][next[i]])] == 2) ++next[i];
        if (next[i] == places[i].size()) continue;
        const auto unit = order.unit_at(places[i][next[i]]);
        const protocol::Outcome outcome{.digest = archive_of(unit), .archive_bytes = 1000, .fuel = 1'000'000};
        waiting[i].push_back({unit, block * order.block_units() + static_cast<std::uint32_t>(next[i]++), outcome});
        ++answers[unit], --lacking;
        if (waiting[i].size() == entries) flush(i);
      }
  }
  for (unsigned i = 0; i < peers; ++i) flush(i);
  return out;
}

}  // namespace starling::bench
