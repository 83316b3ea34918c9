// The demo's judge, apart from everything that it judges. It reads three files and nothing else: the results, the exported
// evidence, and the sealed truth (what was planted, who lies), whose SHA-256 the demo printed before the job began.
//
//   demo-check seal  --truth TRUTH.json --swarm DEV.json --to SEALED.json     writes the sealed truth, prints its SHA-256
//   demo-check judge --sealed SEALED.json --seal SHA256 --hits HITS.csv --evidence FILE
//
// `judge` prints the table of signals, the key of each banned peer, what it objects to on stderr, and as its last line
//   demo: F/P signals verified, L liar banned, H honest peers banned, N units, R.RR executions per unit
// L counts keys that are banned for every honest key as the only judge, H honest keys banned for any. Exit 0 only if nothing
// is objected to (judgement.hpp), 1 if something is, 2 if the files cannot be judged.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/end_to_end/judgement.hpp"

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

template <class Value>
Value value_or_die(base::Expected<Value> value) {
  if (!value) die(value.error().message);
  return *std::move(value);
}

int seal(std::map<std::string, std::string> options) {
  Json sealed;
  sealed["observation"] = Json::parse(read_text(options["--truth"]));
  const Json swarm = Json::parse(read_text(options["--swarm"]));
  for (const Json& peer : swarm.at("peers"))
    sealed["peers"].push_back({{"id", peer.at("id")}, {"liar", peer.at("bad")}});
  const std::string text = sealed.dump(1) + "\n";
  std::ofstream(options["--to"], std::ios::binary) << text;
  std::printf("%s\n", demo::seal_of(text).c_str());
  return 0;
}

int judge(std::map<std::string, std::string> options) {
  const auto truth = value_or_die(demo::open_truth(read_text(options["--sealed"]), options["--seal"]));
  const auto hits = dedoppler::parse_rows(read_text(options["--hits"]));
  if (!hits) die("the results are not a list of hits");
  const auto evidence = value_or_die(runtime::read_evidence_file(options["--evidence"]));
  const auto judgement = value_or_die(demo::judge(truth, *hits, evidence));
  std::fputs(dedoppler::checker::format_verdict(judgement.signals).c_str(), stdout);
  for (const auto& [key, judges] : judgement.banned_by)
    std::printf("banned by %zu of %zu honest peers: %s\n", judges, truth.honest.size(), key.base32().c_str());
  std::printf("%s\n", judgement.line().c_str());
  std::fflush(stdout);
  for (const auto& objection : judgement.objections) std::fprintf(stderr, "demo-check: %s\n", objection.c_str());
  return judgement.good() ? 0 : 1;
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
