#include "coordinator-less/runtime/opening_line.hpp"

#include <atomic>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

using Raw = std::shared_ptr<const Bytes>;
const base::NetworkId network = network_id_of(swarm_named("opening line"));

Raw claims(const crypto::Identity& author, std::uint64_t sequence) {
  protocol::Claims claims;
  claims.units = {1};
  claims.expires_ms = 1000;
  claims.sequence = sequence;
  return seal(network, author, claims).raw;
}

Raw with_wrong_signature(const Raw& raw) {
  auto envelope = *wire::decode_envelope(*raw);
  envelope.signature[7] ^= std::byte{1};
  return std::make_shared<const Bytes>(wire::encode_envelope(envelope));
}

Raw cut(const Raw& raw) { return std::make_shared<const Bytes>(raw->begin(), raw->end() - 9); }

// What the core does with statements, and nothing else of it (Node::on_raw): it keeps those whose id ends in an even byte.
struct Core {
  explicit Core(std::size_t threads) : notary(network, key, threads) {}

  void expect(const std::vector<StatementAhead>& line) {
    notary.expect(line, {[this](const base::PeerId& peer) { return !cut_off.contains(peer); },
                         [this](const base::MessageId& id) { return known.contains(id); }});
  }
  void take(const StatementAhead& one) {
    if (cut_off.contains(one.from)) return;
    const auto id = notary.peek(*one.raw);
    if (!id) return refuse(one.from, id.error());
    if (known.contains(*id)) return story.push_back("knows " + id->brief());
    const auto statement = notary.open(one.raw);
    if (!statement) return refuse(one.from, statement.error());
    CHECK(statement->id == *id);
    CHECK(statement->raw == one.raw);
    story.push_back("takes " + id->brief() + " of " + statement->author.brief());
    if (std::to_integer<unsigned>(id->bytes.back()) % 2 == 0 || keeps_all) known.insert(*id);
  }
  void refuse(const base::PeerId& from, const base::Error& why) {
    if (cuts_at_once) cut_off.insert(from);
    erred.insert(from);
    story.push_back("cuts " + from.brief() + ": " + why.message);
  }
  std::uint64_t checks() const { return notary.verified_count() + notary.refused_count(); }

  crypto::Identity key = crypto::Identity::generate();
  SigningNotary notary;
  bool keeps_all = false;
  bool cuts_at_once = true;  // else it reads on, as until a link has ended
  std::set<base::PeerId> erred;
  std::set<base::PeerId> cut_off;
  std::set<base::MessageId> known;
  std::vector<std::string> story;
};

std::vector<StatementAhead> some(const base::PeerId& from, std::size_t count) {
  static const auto author = crypto::Identity::generate();
  static std::uint64_t sequence = 0;
  std::vector<StatementAhead> line;
  for (std::size_t i = 0; i < count; ++i) line.push_back({from, claims(author, ++sequence)});
  return line;
}

}  // namespace

TEST_CASE("random bundles with damaged statements give the same story as one by one, and a window more of checks for each cut link") {
  base::Rng rng(4);
  std::vector<crypto::Identity> authors;
  for (int i = 0; i < 4; ++i) authors.push_back(crypto::Identity::generate());
  std::vector<Raw> pool;
  for (std::uint64_t i = 0; i < 160; ++i) pool.push_back(claims(authors[rng.below(authors.size())], i));

  std::size_t cuts = 0, together_more = 0;
  for (int world = 0; world < 12; ++world) {
    Core alone(1), together(2);
    alone.cuts_at_once = together.cuts_at_once = world % 2 == 0;
    std::vector<base::PeerId> neighbours;
    for (int i = 0; i < 6; ++i) neighbours.push_back(crypto::Identity::generate().id());
    for (int batch = 0; batch < 4; ++batch) {
      std::vector<StatementAhead> line;
      for (std::size_t left = rng.below(90); left > 0; --left) {
        Raw raw = std::make_shared<const Bytes>(*pool[rng.below(pool.size())]);  // often the same one, as another frame's bytes
        if (const auto fate = rng.below(60); fate < 2) raw = fate == 0 ? with_wrong_signature(raw) : cut(raw);
        line.push_back({neighbours[rng.below(neighbours.size())], std::move(raw)});
      }
      together.expect(line);
      for (const auto& one : line) {
        alone.take(one);
        together.take(one);
      }
    }
    REQUIRE(together.story == alone.story);
    CHECK(together.known == alone.known);
    CHECK(together.checks() >= alone.checks());
    CHECK(together.checks() - alone.checks() <= together.erred.size() * (limits::signatures_together_max - 1));
    cuts += together.erred.size();
    together_more += together.checks() - alone.checks();
  }
  CHECK(cuts > 20);           // else the test says little
  CHECK(together_more > 0);   // something was opened ahead
}

TEST_CASE("the first question of a bundle checks as many as a window holds, the others are answered from it") {
  Core core(2);
  const auto line = some(core.key.id(), 2 * limits::signatures_together_max + 10);
  core.expect(line);
  CHECK(core.checks() == 0);  // nothing before the core asks
  for (std::size_t i = 0; i < line.size(); ++i) {
    core.take(line[i]);
    const std::size_t windows = i / limits::signatures_together_max + 1;
    REQUIRE(core.checks() == std::min(line.size(), windows * limits::signatures_together_max));
  }
}

TEST_CASE("a bundle of one, and one that was not announced, take the old way") {
  Core core(2);
  for (const std::size_t count : {std::size_t{1}, limits::signatures_together_min - 1}) {
    const auto line = some(core.key.id(), count);
    core.expect(line);
    const auto before = core.checks();
    for (std::size_t i = 0; i < count; ++i) {
      core.take(line[i]);
      CHECK(core.checks() == before + i + 1);
    }
  }
  const auto unexpected = some(core.key.id(), 20);
  const auto before = core.checks();
  core.take(unexpected[0]);
  CHECK(core.checks() == before + 1);
}

TEST_CASE("on one core nothing is opened ahead") {
  Core core(1);
  const auto line = some(core.key.id(), 20);
  core.expect(line);
  core.take(line[0]);
  CHECK(core.checks() == 1);
}

TEST_CASE("what is known is not checked, however often and by whomever it is sent") {
  Core core(2);
  core.keeps_all = true;
  const auto fresh = some(core.key.id(), 40);
  auto line = fresh;
  const auto other = crypto::Identity::generate().id();
  for (const auto& one : fresh) line.push_back({other, std::make_shared<const Bytes>(*one.raw)});
  core.expect(line);
  for (const auto& one : line) core.take(one);
  CHECK(core.checks() == fresh.size());
  core.expect(line);
  for (const auto& one : line) core.take(one);
  CHECK(core.checks() == fresh.size());
}

TEST_CASE("among what is known only the rest is checked, and less than a few of them one by one") {
  Core core(2);
  core.keeps_all = true;
  const auto known = some(core.key.id(), 40);
  core.expect(known);
  for (const auto& one : known) core.take(one);
  REQUIRE(core.checks() == known.size());
  for (const std::size_t fresh_count : {std::size_t{30}, limits::signatures_together_min - 1}) {
    auto line = known;
    for (const auto& one : some(core.key.id(), fresh_count)) line.insert(line.begin() + static_cast<std::ptrdiff_t>(line.size() / 2), one);
    core.expect(line);
    const auto before = core.checks();
    std::size_t asked = 0;
    for (const auto& one : line) {
      const auto takes = std::ranges::count_if(core.story, [](const auto& line_of_it) { return line_of_it.starts_with("takes"); });
      core.take(one);
      if (std::ranges::count_if(core.story, [](const auto& line_of_it) { return line_of_it.starts_with("takes"); }) == takes) continue;
      ++asked;
      CHECK(core.checks() - before == (fresh_count < limits::signatures_together_min ? asked : fresh_count));
    }
    CHECK(asked == fresh_count);
  }
}

TEST_CASE("a copy of what waits opened for its question is not opened ahead as well") {
  Core core(2);
  std::vector<StatementAhead> kept, dropped;
  while (kept.size() < 60 || dropped.empty())
    for (const auto& one : some(core.key.id(), 1)) (std::to_integer<unsigned>(core.notary.peek(*one.raw)->bytes.back()) % 2 == 0 ? kept : dropped).push_back(one);
  kept.resize(60);
  const auto copy_of = [](const StatementAhead& one) { return StatementAhead{one.from, std::make_shared<const Bytes>(*one.raw)}; };
  std::vector<StatementAhead> line{dropped[0], copy_of(dropped[0])};  // the core does not keep it, and asks again: a second window
  line.insert(line.end(), kept.begin(), kept.end());
  for (const auto& one : some(core.key.id(), 10)) line.push_back(one);
  for (const auto& one : kept) line.push_back(copy_of(one));
  core.expect(line);
  for (const auto& one : line) core.take(one);
  CHECK(core.checks() == 2 + 60 + 10);
}

TEST_CASE("a flood behind a wrong signature costs a window, and nothing once its link is cut") {
  Core core(2);
  const auto hostile = crypto::Identity::generate().id(), honest = crypto::Identity::generate().id();
  auto line = some(hostile, 500);
  line[0].raw = with_wrong_signature(line[0].raw);
  const auto good = some(honest, 10);
  line.insert(line.end(), good.begin(), good.end());
  core.expect(line);
  for (const auto& one : line) core.take(one);
  CHECK(core.cut_off == std::set{hostile});
  CHECK(core.notary.refused_count() == 1);
  CHECK(core.notary.verified_count() == limits::signatures_together_max - 1 + good.size());
}

TEST_CASE("frames of a neighbour that are read until its link has ended cost no window each") {
  Core core(2);
  core.cuts_at_once = false;
  const auto hostile = crypto::Identity::generate().id();
  std::vector<std::vector<StatementAhead>> frames;
  std::vector<StatementAhead> line;
  for (int i = 0; i < 20; ++i) {
    auto& frame = frames.emplace_back(some(hostile, 100));
    frame[0].raw = with_wrong_signature(frame[0].raw);
    line.insert(line.end(), frame.begin(), frame.end());
  }
  core.expect(line);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (i == 10) core.expect(std::vector(line.begin() + 1000, line.end()));  // the next batch
    core.take(frames[i][0]);  // the rest of a frame is not read behind a wrong one
  }
  CHECK(core.notary.refused_count() == frames.size());
  CHECK(core.notary.verified_count() == limits::signatures_together_max - 1);
}

TEST_CASE("what the core did not keep is checked again only when it asks again") {
  Core core(2);
  const auto once = some(core.key.id(), 8);
  core.expect(once);
  for (const auto& one : once) core.take(one);
  CHECK(core.checks() == 8);
  core.expect({});
  CHECK(core.checks() == 8);
}

TEST_CASE("stored statements are opened in their order, checked where nothing says that they were") {
  Core core(2);
  std::vector<StoredEnvelope> stored;
  for (const auto& one : some(core.key.id(), 30)) stored.push_back({one.raw, core.notary.digest(*one.raw)});
  stored[3].verified.reset();
  stored[5].verified = base::Digest{};
  stored[7].raw = with_wrong_signature(stored[7].raw);
  const auto opened = core.notary.open_stored(stored);
  REQUIRE(opened.size() == stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    REQUIRE(opened[i].has_value() == (i != 7));
    if (i != 7) CHECK(opened[i]->raw == stored[i].raw);
  }
  CHECK(core.notary.verified_count() == 2);
  CHECK(core.notary.refused_count() == 1);
}

TEST_CASE("what a batch brings beyond the line is opened one by one") {
  std::atomic<int> opened = 0;
  OpeningLine line({[](base::ByteView raw) -> base::Expected<base::MessageId> { return base::retag<base::MessageId>(crypto::sha256(raw)); },
                    [&](const Raw&) -> OpeningLine::Opened {
                      ++opened;
                      return protocol::Statement{};
                    }},
                   2);
  std::vector<StatementAhead> batch;
  for (std::uint32_t i = 0; i < limits::statements_ahead_max + 100; ++i) {
    Bytes raw;
    base::append_u32(raw, i);
    batch.push_back({base::PeerId{}, std::make_shared<const Bytes>(raw)});
  }
  line.expect(batch, {[](const base::PeerId&) { return true; }, [](const base::MessageId&) { return false; }});
  const auto opened_by = [&](std::size_t place) {
    opened = 0;
    CHECK(line.peek(*batch[place].raw));
    CHECK(line.open(batch[place].raw));
    return static_cast<std::size_t>(opened);
  };
  CHECK(opened_by(0) == limits::signatures_together_max);
  CHECK(opened_by(1) == 0);
  CHECK(opened_by(limits::statements_ahead_max - 10) == 10);  // to the end of the line
  CHECK(opened_by(limits::statements_ahead_max) == 1);
  CHECK(opened_by(limits::statements_ahead_max + 50) == 1);
}
