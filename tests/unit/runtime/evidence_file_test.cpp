#include "coordinator-less/runtime/evidence_file.hpp"

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

constexpr std::uint32_t unit_count = 4;

// A job whose first unit two peers answered alike; a third says otherwise everywhere and a judge proves it wrong.
struct Story {
  Story() {
    file.swarm = swarm_named("evidence");
    job = base::retag<base::JobId>(say(owner, JobBlobs(unit_count).manifest));
    say(honest, results_of("right"));
    say(helper, results_of("right"));
    const auto accused = say(liar, results_of("wrong"));
    for (base::UnitIndex unit = 0; unit < 3; ++unit)
      say(honest, protocol::Replay{job, accused, liar.id(), unit, outcome("right"), outcome("right")});
  }

  static protocol::Outcome outcome(std::string_view text) { return {protocol::OutcomeKind::ok, 0, name_of(base::view(text)), text.size()}; }
  protocol::Results results_of(std::string_view text) const {
    protocol::Results results{job, 0, {}};
    for (base::UnitIndex unit = 0; unit < unit_count; ++unit) results.entries.push_back({unit, unit, outcome(text)});
    return results;
  }
  base::MessageId say(const crypto::Identity& who, protocol::Body body) {
    auto statement = seal(network_id_of(file.swarm), who, std::move(body));
    file.envelopes.push_back(statement.raw);
    return statement.id;
  }

  EvidenceFile file;
  base::JobId job;
  crypto::Identity owner = crypto::Identity::generate(), honest = crypto::Identity::generate();
  crypto::Identity helper = crypto::Identity::generate(), liar = crypto::Identity::generate();
};

}  // namespace

TEST_CASE("an evidence file comes back from bytes and from disk as it was") {
  const Story story;
  ScratchFolder folder;
  REQUIRE(write_evidence_file(folder / "job.evidence", story.file));
  const auto read = read_evidence_file(folder / "job.evidence");
  REQUIRE(read);
  CHECK(read->swarm == story.file.swarm);
  CHECK(encode_evidence(*read) == encode_evidence(story.file));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("the judges decide what a file implies") {
  const Story story;
  const auto believer = judge(story.file, {story.honest.id()});
  REQUIRE(believer);
  CHECK(believer->job == story.job);
  CHECK(believer->owner == story.owner.id());
  CHECK(believer->refused_count == 0);
  CHECK(believer->verdict->banned(story.liar.id()));
  CHECK(believer->verdict->accepted_count() == unit_count);
  CHECK(believer->verdict->unit(0).outcome == Story::outcome("right"));
  const auto stranger = judge(story.file, {story.liar.id()});
  REQUIRE(stranger);
  CHECK(stranger->verdict->banned().empty());
  CHECK(stranger->verdict->accepted_count() == 0);  // one dissenter asks for four that agree
}

TEST_CASE("statements that do not belong are counted and change nothing") {
  Story story;
  const auto other_owner = crypto::Identity::generate();
  story.say(other_owner, protocol::Cancel{story.job});            // not the owner's
  story.say(story.honest, protocol::Cancel{base::JobId{}});       // another job's
  story.say(story.honest, protocol::PeerRecord{{}, 1, 0, false});  // no evidence
  auto forged = *story.file.envelopes[1];
  forged.back() ^= std::byte{1};
  story.file.envelopes.push_back(std::make_shared<const Bytes>(std::move(forged)));
  const auto judged = judge(story.file, {story.honest.id()});
  REQUIRE(judged);
  CHECK(judged->refused_count == 4);
  CHECK_FALSE(judged->canceled);
  CHECK(judged->verdict->accepted_count() == unit_count);
}

TEST_CASE("a file without one manifest is refused") {
  Story story;
  auto none = story.file;
  none.envelopes.erase(none.envelopes.begin());
  CHECK(judge(none, {}).error().code == base::ErrorCode::bad_input);
  story.say(story.owner, JobBlobs(9).manifest);
  CHECK(judge(story.file, {}).error().code == base::ErrorCode::bad_input);
}

TEST_CASE("no prefix of a file is a file, and nothing may follow it") {
  const auto bytes = encode_evidence(Story().file);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode_evidence(base::ByteView(bytes).first(size));
    REQUIRE_FALSE(cut.has_value());
    CHECK(cut.error().code == base::ErrorCode::bad_input);
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_evidence(longer));
}

TEST_CASE("hostile bytes give an error or a file, never more") {
  const auto bytes = encode_evidence(Story().file);
  base::Rng rng(5);
  std::size_t refused = 0;
  constexpr int rounds = 100;
  for (int round = 0; round < rounds; ++round) {
    auto changed = bytes;
    for (int i = 0; i < 3; ++i) changed[rng.below(changed.size())] = static_cast<std::byte>(rng.below(256));
    const auto read = decode_evidence(changed);
    if (!read) {
      ++refused;
      continue;
    }
    const auto judged = judge(*read, {});
    if (!judged || judged->refused_count > 0) ++refused;
  }
  CHECK(refused > rounds * 8 / 10);
  Bytes absurd = base::copy(base::ByteView(bytes).first(20));
  base::append_u32(absurd, 0xffffffff);
  CHECK_FALSE(decode_evidence(absurd));
}

TEST_CASE("a missing file and a folder are not found") {
  ScratchFolder folder;
  CHECK(read_evidence_file(folder / "none").error().code == base::ErrorCode::not_found);
  CHECK(read_evidence_file(folder.path()).error().code == base::ErrorCode::not_found);
}
