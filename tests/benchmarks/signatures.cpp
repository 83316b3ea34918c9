// Signature checks a second over statements of 1 KiB, all different: by one thread, by two that share a batch, and in batches of 64, one after
// the other, each by TBB on all cores. Then what the core gets: a bundle of 1,024 results statements (8 results each) asked for one after the
// other as it does, peek and open, from a notary that was not told of the bundle, and from one that was.
//   bench_signatures       prints "one_thread two_threads batches bundle_alone bundle_expected"
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/runtime/notary.hpp"

using namespace starling;

namespace {

struct Signed {
  base::Bytes bytes;
  base::Signature signature;
};

std::vector<Signed> make_batch(const crypto::Identity& author, std::size_t count) {
  std::vector<Signed> batch(count);
  for (std::size_t i = 0; i < count; ++i) {
    batch[i].bytes.resize(1024, static_cast<std::byte>(i));
    batch[i].bytes[0] = static_cast<std::byte>(i >> 8);
    batch[i].signature = author.sign(batch[i].bytes);
  }
  return batch;
}

double checks_per_s(const crypto::Identity& author, const std::vector<Signed>& batch, unsigned threads) {
  std::atomic<std::size_t> next = 0, good = 0;
  const auto check = [&] {
    for (std::size_t i; (i = next++) < batch.size();) good += crypto::verify(author.id(), batch[i].bytes, batch[i].signature) ? 1 : 0;
  };
  const auto begun = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back(check);
    check();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  return good == batch.size() ? static_cast<double>(batch.size()) / took.count() : 0;
}

double checks_per_s_in_batches(const crypto::Identity& author, const std::vector<Signed>& all) {
  constexpr std::size_t batch = 64;
  std::atomic<std::size_t> good = 0;
  const auto begun = std::chrono::steady_clock::now();
  for (std::size_t first = 0; first < all.size(); first += batch) {
    tbb::parallel_for(first, std::min(first + batch, all.size()), [&](std::size_t i) {
      good += crypto::verify(author.id(), all[i].bytes, all[i].signature) ? 1 : 0;
    });
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  return good == all.size() ? static_cast<double>(all.size()) / took.count() : 0;
}

std::vector<runtime::StatementAhead> make_bundle(const crypto::Identity& author, std::size_t count) {
  std::vector<runtime::StatementAhead> bundle;
  for (std::uint32_t i = 0; i < count; ++i) {
    protocol::Results results;
    results.first_log_index = 8 * i;
    results.entries.resize(8);
    for (std::uint32_t unit = 8 * i; auto& entry : results.entries) entry.unit = unit++;
    bundle.push_back({author.id(), runtime::seal({}, author, results).raw});
  }
  return bundle;
}

double statements_per_s(const crypto::Identity& author, const std::vector<runtime::StatementAhead>& bundle, bool expected) {
  constexpr int times = 4;
  runtime::SigningNotary notary({}, author);
  std::size_t good = 0;
  const auto begun = std::chrono::steady_clock::now();
  for (int time = 0; time < times; ++time) {
    if (expected) notary.expect(bundle, {[](const auto&) { return true; }, [](const auto&) { return false; }});
    for (const auto& [from, raw] : bundle) good += notary.peek(*raw) && notary.open(raw) ? 1U : 0U;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  return good == times * bundle.size() ? static_cast<double>(good) / took.count() : 0;
}

}  // namespace

int main() {
  const auto author = crypto::Identity::generate();
  const auto batch = make_batch(author, 4096);
  const double one = checks_per_s(author, batch, 1), two = checks_per_s(author, batch, 2);
  checks_per_s_in_batches(author, batch);  // starts the threads
  const double batches = checks_per_s_in_batches(author, batch);
  const auto bundle = make_bundle(author, 1024);
  const double alone = statements_per_s(author, bundle, false), expected = statements_per_s(author, bundle, true);
  std::printf("%.0f %.0f %.0f %.0f %.0f\n", one, two, batches, alone, expected);
  return one > 0 && two > 0 && batches > 0 && alone > 0 && expected > 0 ? 0 : 1;
}
