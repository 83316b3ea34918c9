#include "sdk/client/job_selector.hpp"

#include <doctest/doctest.h>

using namespace starling;
using client::JobSelector;
using client::select_job;

namespace {

base::JobId id_of(unsigned char first, unsigned char second = 0) {
  base::JobId id;
  id.bytes[0] = std::byte{first};
  id.bytes[1] = std::byte{second};
  return id;
}

base::PeerId owner_of(unsigned char mark) {
  base::PeerId id;
  id.bytes[0] = std::byte{mark};
  return id;
}

protocol::JobStatus job_of(const base::JobId& id, const std::string& name, std::int64_t created, unsigned char owner) {
  protocol::Manifest manifest;
  manifest.name = name;
  manifest.created_unix_s = created;
  protocol::JobStatus status;
  status.id = id;
  status.owner = owner_of(owner);
  status.manifest = std::make_shared<const protocol::Manifest>(std::move(manifest));
  return status;
}

const std::vector<protocol::JobStatus> jobs{job_of(id_of(0x10), "voyager", 100, 1), job_of(id_of(0x11), "voyager", 300, 2),
                                            job_of(id_of(0xf0), "primes", 200, 1)};

base::ErrorCode code_of(const base::Expected<base::JobId>& selected) {
  REQUIRE_FALSE(selected.has_value());
  CHECK_FALSE(selected.error().hint.empty());
  return selected.error().code;
}

}  // namespace

TEST_CASE("a job is found by its whole id, and by any unique beginning") {
  for (const auto& job : jobs) CHECK(select_job(jobs, {.id = job.id.base32(), .name = {}}, owner_of(1), {}) == job.id);
  CHECK(select_job(jobs, {.id = id_of(0xf0).base32().substr(0, 1), .name = {}}, owner_of(1), {}) == id_of(0xf0));
  CHECK(code_of(select_job(jobs, {.id = id_of(0x10).base32().substr(0, 1), .name = {}}, owner_of(1), {})) == base::ErrorCode::bad_input);
  CHECK(code_of(select_job(jobs, {.id = "zzzz", .name = {}}, owner_of(1), {})) == base::ErrorCode::not_found);
  CHECK(code_of(select_job(jobs, {}, owner_of(1), {})) == base::ErrorCode::usage);
}

TEST_CASE("a name means the newest job of that name") {
  CHECK(select_job(jobs, {.id = {}, .name = "voyager"}, owner_of(1), {}) == id_of(0x11));
  CHECK(code_of(select_job(jobs, {.id = {}, .name = "voyage"}, owner_of(1), {})) == base::ErrorCode::not_found);
}

TEST_CASE("last is the job submitted last, else the owner's newest") {
  const JobSelector last{.id = "last", .name = {}};
  CHECK(select_job(jobs, last, owner_of(1), id_of(0x10)) == id_of(0x10));
  CHECK(select_job(jobs, last, owner_of(1), {}) == id_of(0xf0));
  CHECK(select_job(jobs, last, owner_of(1), id_of(0x77)) == id_of(0xf0));
  CHECK(code_of(select_job(jobs, last, owner_of(9), {})) == base::ErrorCode::not_found);
  CHECK(code_of(select_job({}, last, owner_of(1), {})) == base::ErrorCode::not_found);
}
