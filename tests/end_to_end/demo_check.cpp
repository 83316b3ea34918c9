// The demo's judge, apart from everything that it judges. It reads three files and nothing else: the results, the exported
// evidence, and the sealed truth (what was planted, who lies), whose SHA-256 the demo printed before the job began.
//
//   demo-check seal  --truth TRUTH.json --swarm DEV.json --to SEALED.json     writes the sealed truth, prints its SHA-256
//   demo-check judge --sealed SEALED.json --seal SHA256 --hits HITS.csv --evidence FILE
//
// `judge` prints the table of signals, the key of each banned peer, and
//   demo: F/P signals verified, L liar banned, H honest peers banned, N units, R.RR executions per unit
// L counts keys that are banned for every honest key as the only judge, H honest keys banned for any. Executions are stated
// results plus two for each replay (it runs two tiers). Exit 0 only if F = P, no false signal, L = the liars, H = 0.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "tasks/dedoppler/checker/check.hpp"

using namespace starling;
using Json = nlohmann::json;

namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "demo-check: %s\n", what.c_str());
  std::exit(2);
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) die("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string seal_of(const std::string& text) { return crypto::sha256(base::view(text)).hex(); }

int seal(std::map<std::string, std::string> options) {
  Json sealed;
  sealed["observation"] = Json::parse(read_text(options["--truth"]));
  const Json swarm = Json::parse(read_text(options["--swarm"]));
  for (const Json& peer : swarm.at("peers"))
    sealed["peers"].push_back({{"id", peer.at("id")}, {"liar", peer.at("bad")}});
  const std::string text = sealed.dump(1) + "\n";
  std::ofstream(options["--to"], std::ios::binary) << text;
  std::printf("%s\n", seal_of(text).c_str());
  return 0;
}

struct Peers {
  std::set<base::PeerId> honest, liars;
};

Peers peers_in(const Json& sealed) {
  Peers out;
  for (const Json& peer : sealed.at("peers")) {
    const auto id = base::PeerId::from_base32_text(peer.at("id").get<std::string>());
    if (!id) die("the sealed truth names a peer that is no key");
    (peer.at("liar").get<bool>() ? out.liars : out.honest).insert(*id);
  }
  return out;
}

int judge(std::map<std::string, std::string> options) {
  const std::string sealed_text = read_text(options["--sealed"]);
  if (seal_of(sealed_text) != options["--seal"]) die("the sealed truth was changed after it was sealed");
  const Json sealed = Json::parse(sealed_text);
  const Peers peers = peers_in(sealed);

  const auto planted = dedoppler::checker::parse_truth(sealed.at("observation").dump());
  if (!planted) die("the sealed truth holds no signals");
  const auto hits = dedoppler::parse_rows(read_text(options["--hits"]));
  if (!hits) die("the results are not a list of hits");
  const auto signals = dedoppler::checker::check_hits(*planted, *hits);
  std::fputs(dedoppler::checker::format_verdict(signals).c_str(), stdout);

  const auto file = runtime::read_evidence_file(options["--evidence"]);
  if (!file) die(file.error().message);
  std::map<base::PeerId, std::size_t> banned_by;
  std::size_t honest_banned = 0;
  std::uint64_t executions = 0;
  std::uint32_t units = 0;
  std::set<base::PeerId> honest_banned_keys;
  for (const base::PeerId& judge_key : peers.honest) {
    const auto judged = runtime::judge(*file, {judge_key});
    if (!judged) die(judged.error().message);
    if (judged->refused_count > 0) die("the evidence holds statements that do not verify");
    units = judged->manifest.unit_count;
    executions = judged->evidence->result_count() + 2 * judged->evidence->replays().size();
    for (const base::PeerId& banned : judged->verdict->banned()) {
      ++banned_by[banned];
      if (peers.honest.contains(banned)) honest_banned_keys.insert(banned);
    }
  }
  honest_banned = honest_banned_keys.size();
  std::size_t liars_banned = 0;
  bool all_are_liars = true;
  for (const auto& [key, count] : banned_by) {
    std::printf("banned by %zu of %zu honest peers: %s\n", count, peers.honest.size(), key.base32().c_str());
    if (count < peers.honest.size()) continue;
    ++liars_banned;
    all_are_liars = all_are_liars && peers.liars.contains(key);
  }
  std::printf("demo: %zu/%zu signals verified, %zu liar banned, %zu honest peers banned, %u units, %.2f executions per unit\n",
              signals.found(), signals.signals.size(), liars_banned, honest_banned, units,
              units == 0 ? 0.0 : static_cast<double>(executions) / units);
  const bool good = signals.perfect() && liars_banned == peers.liars.size() && all_are_liars && honest_banned == 0;
  return good ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  std::map<std::string, std::string> options;
  for (int i = 2; i + 1 < count; i += 2) options[words[i]] = words[i + 1];
  const std::string verb = count > 1 ? words[1] : "";
  try {
    if (verb == "seal") return seal(options);
    if (verb == "judge") return judge(options);
  } catch (const std::exception& error) {
    die(error.what());
  }
  die("usage: demo-check seal|judge, see the head of its source");
}
