#include "tests/end_to_end/judgement.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/crypto/digest.hpp"

namespace starling::demo {

using Json = nlohmann::json;
using base::ErrorCode;

namespace {

auto wrong(std::string what) { return base::fail(ErrorCode::bad_input, std::move(what), "run deploy/demo.sh again"); }

base::Expected<Truth> truth_in(const Json& sealed) {
  Truth truth;
  for (const Json& peer : sealed.at("peers")) {
    const auto id = base::PeerId::from_base32_text(peer.at("id").get<std::string>());
    if (!id) return wrong("the sealed truth names a peer that is no key");
    (peer.at("liar").get<bool>() ? truth.liars : truth.honest).insert(*id);
  }
  auto signals = dedoppler::checker::parse_truth(sealed.at("observation").dump());
  if (!signals || signals->empty()) return wrong("the sealed truth holds no signals");
  truth.signals = *std::move(signals);
  return truth;
}

void count_bans(const Truth& truth, Judgement& out) {
  for (const auto& [key, judges] : out.banned_by) {
    if (truth.honest.contains(key)) ++out.honest_banned;
    if (judges == truth.honest.size()) ++out.liars_banned;
  }
}

std::vector<std::string> objections_to(const Truth& truth, const Judgement& found) {
  std::vector<std::string> out;
  const auto unless = [&out](bool holds, std::string what) {
    if (!holds) out.push_back(std::move(what));
  };
  unless(found.signals.found() == found.signals.signals.size(), "a planted signal is missing");
  unless(found.signals.false_hits.empty(), "a signal was reported that nobody planted");
  unless(found.units >= units_min, "the job has " + std::to_string(found.units) + " units, fewer than " + std::to_string(units_min));
  unless(truth.liars.size() == liars_wanted, "the sealed truth names " + std::to_string(truth.liars.size()) + " liars");
  unless(!truth.honest.empty(), "the sealed truth names no honest peer");
  const bool all_caught = std::ranges::all_of(truth.liars, [&](const base::PeerId& liar) {
    const auto banned = found.banned_by.find(liar);
    return banned != found.banned_by.end() && banned->second == truth.honest.size();
  });
  unless(all_caught, "the liar is not banned by every honest peer");
  unless(found.honest_banned == 0, "an honest peer is banned");
  unless(found.liars_banned == truth.liars.size(), std::to_string(found.liars_banned) + " keys are banned by every honest peer");
  return out;
}

}  // namespace

std::string seal_of(const std::string& sealed) { return crypto::sha256(base::view(sealed)).hex(); }

base::Expected<Truth> open_truth(const std::string& sealed, const std::string& seal) {
  if (seal_of(sealed) != seal) return wrong("the sealed truth was changed after it was sealed");
  try {
    return truth_in(Json::parse(sealed));
  } catch (const Json::exception& error) {
    return wrong(std::string("the sealed truth cannot be read: ") + error.what());
  }
}

base::Expected<Judgement> judge(const Truth& truth, const std::vector<dedoppler::Hit>& hits, const runtime::EvidenceFile& evidence) {
  Judgement out;
  out.signals = dedoppler::checker::check_hits(truth.signals, hits);
  for (const base::PeerId& key : truth.honest) {
    STARLING_TRY(const auto seen, runtime::judge(evidence, {key}));
    if (seen.refused_count > 0) return wrong("the evidence holds statements that do not verify");
    out.units = seen.manifest.unit_count;
    const auto executions = seen.evidence->result_count() + 2 * seen.evidence->replays().size();
    out.executions_per_unit = static_cast<double>(executions) / std::max(out.units, 1U);
    for (const base::PeerId& banned : seen.verdict->banned()) ++out.banned_by[banned];
  }
  count_bans(truth, out);
  out.objections = objections_to(truth, out);
  return out;
}

std::string Judgement::line() const {
  char text[200];
  std::snprintf(text, sizeof text, "demo: %zu/%zu signals verified, %zu liar banned, %zu honest peers banned, %u units, %.2f executions per unit",
                signals.found(), signals.signals.size(), liars_banned, honest_banned, units, executions_per_unit);
  return text;
}

}  // namespace starling::demo
