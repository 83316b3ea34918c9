#include "sdk/client/job_spec.hpp"

#include <doctest/doctest.h>

using namespace starling;
using client::JobSpec;
using protocol::SwarmKind;

namespace {

auto manifest_of(const JobSpec& spec, SwarmKind kind = SwarmKind::development) { return spec.manifest(kind, 5, 1000, 42); }

void check_refused(const JobSpec& spec, const std::string& word) {
  const auto manifest = manifest_of(spec);
  REQUIRE_FALSE(manifest.has_value());
  CHECK(manifest.error().code == base::ErrorCode::bad_input);
  CHECK_MESSAGE(manifest.error().message.find(word) != std::string::npos, manifest.error().message);
  CHECK_FALSE(manifest.error().hint.empty());
}

}  // namespace

TEST_CASE("a spec becomes a manifest with defaults") {
  const auto manifest = manifest_of(JobSpec("dir/primes.wasm").items({"a", "b", "c"}).items_per_unit(2));
  REQUIRE(manifest.has_value());
  CHECK(manifest->name == "primes");
  CHECK(manifest->item_count == 3);
  CHECK(manifest->unit_count == 2);
  CHECK(manifest->peer_estimate == 5);
  const auto long_job = manifest_of(JobSpec("p").items(std::vector<std::string>(1280, "x")));
  CHECK(long_job->peer_estimate == 10);  // more may join than are here
  CHECK(manifest->expires_unix_s == 1000 + limits::job_lifetime_default_s);
  CHECK(manifest->limits.memory_bytes == limits::memory_bytes_default);
  CHECK(manifest->nonce == 42);
  CHECK(manifest->limits.fuel == 0);
  CHECK(manifest_of(JobSpec("p").fuel(UINT64_MAX))->limits.fuel == UINT64_MAX);
  CHECK(manifest->rounds_max == 0);
  CHECK(manifest_of(JobSpec("p").rounds(7))->rounds_max == 7);
}

TEST_CASE("the share of audits stands in the manifest, within its bounds") {
  CHECK(manifest_of(JobSpec("p"), SwarmKind::public_swarm)->audit_percent == 5);
  CHECK(manifest_of(JobSpec("p").audit_percent(33), SwarmKind::public_swarm)->audit_percent == 33);
  check_refused(JobSpec("p").audit_percent(4), "audits");
  check_refused(JobSpec("p").audit_percent(41), "audits");
}

TEST_CASE("epsilon follows the kind of swarm unless it is given") {
  CHECK(manifest_of(JobSpec("p"), SwarmKind::public_swarm)->epsilon_ppm == 1000);
  CHECK(manifest_of(JobSpec("p"), SwarmKind::private_swarm)->epsilon_ppm == 60000);
  CHECK(manifest_of(JobSpec("p"), SwarmKind::development)->epsilon_ppm == 60000);
  CHECK(manifest_of(JobSpec("p").epsilon_ppm(7), SwarmKind::public_swarm)->epsilon_ppm == 7);
}

TEST_CASE("items become lines") {
  CHECK(base::text(JobSpec("p").items({"a", "", "b c"}).units_blob()) == "a\n\nb c\n");
  CHECK(base::text(JobSpec("p").units_blob()) == "\n");  // one item with nothing on stdin
}

TEST_CASE("what crosses a bound is refused with the bound and a way out") {
  check_refused(JobSpec("p").items({}), "no items");
  check_refused(JobSpec("p").items({"a\nb"}), "line break");
  check_refused(JobSpec("p").items({std::string(limits::item_bytes_max + 1, 'x')}), "longer than");
  check_refused(JobSpec("p").items(std::vector<std::string>(limits::units_per_job_max + 1, "x")), "units are more");
  check_refused(JobSpec("p").items_per_unit(0), "items per unit");
  check_refused(JobSpec("p").memory_bytes(limits::memory_bytes_max + 1), "memory");
  check_refused(JobSpec("p").memory_bytes(1), "memory");
  check_refused(JobSpec("p").output_bytes(limits::output_bytes_max + 1), "output");
  check_refused(JobSpec("p").time_limit(std::chrono::hours(24 * 365)), "time");
  check_refused(JobSpec("p").time_limit(std::chrono::hours(24 * 365 * 1000)), "time");
  check_refused(JobSpec("p").lifetime(std::chrono::hours(24 * 91)), "lifetime");
  check_refused(JobSpec("p").lifetime(std::chrono::seconds(0)), "lifetime");
  check_refused(JobSpec("p").epsilon_ppm(0), "epsilon");
  check_refused(JobSpec("p").rounds(limits::checkpoint_rounds_max + 1), "rounds");
  check_refused(JobSpec("p").name(std::string(300, 'n')), "name");
  check_refused(JobSpec("p").arguments({std::string(300, 'n')}), "argument");
  check_refused(JobSpec("p").arguments(std::vector<std::string>(65, "a")), "arguments");
  check_refused(JobSpec("p").input("../x", "x"), "cannot be called");
  check_refused(JobSpec("p").input("", "x"), "cannot be called");
  check_refused(JobSpec("p").input("a", "x").input("a", "y"), "two inputs");
}

TEST_CASE("the hint for too many units is enough") {
  JobSpec spec("p");
  spec.items(std::vector<std::string>(limits::units_per_job_max * 2 + 1, "x"));
  const auto refused = manifest_of(spec);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().hint == "use --items-per-unit 3 or more");
  CHECK(manifest_of(spec.items_per_unit(3)).has_value());
}
