#include "tests/simulation/scenario.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

namespace starling::simulation {
namespace {

using Setter = std::function<bool(const std::string& value)>;  // false: not a value of this key

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

template <class Number>
Setter number(Number& field) {
  return [&field](const std::string& value) {
    const char* end = value.data() + value.size();
    const auto result = std::from_chars(value.data(), end, field);
    return result.ec == std::errc{} && result.ptr == end;
  };
}

Setter share(double& field) {
  return [&field](const std::string& value) { return number(field)(value) && field >= 0 && field <= 1; };
}

Setter yes_or_no(bool& field) {
  return [&field](const std::string& value) {
    field = value == "yes";
    return value == "yes" || value == "no";
  };
}

Setter words(std::set<std::string>& field) {
  return [&field](const std::string& value) {
    std::istringstream in(value);
    for (std::string word; in >> word;) field.insert(word);
    return !field.empty();
  };
}

Setter verification_class(protocol::VerificationClass& field) {
  return [&field](const std::string& value) {
    static constexpr const char* names[] = {"trusted", "fast", "standard", "strict"};
    for (std::uint8_t i = 0; i < 4; ++i) {
      if (value == names[i]) {
        field = static_cast<protocol::VerificationClass>(i);
        return true;
      }
    }
    return false;
  };
}

std::map<std::string, Setter> keys_of(Scenario& s) {
  return {
      {"about", [&s](const std::string& value) { s.about = value; return !value.empty(); }},
      {"peers", number(s.peers)},
      {"slots", number(s.slots)},
      {"liars", number(s.liars)},
      {"colluders", number(s.colluders)},
      {"lie_share", share(s.lie_share)},
      {"copiers", number(s.copiers)},
      {"lazy_auditors", number(s.lazy_auditors)},
      {"accusers", number(s.accusers)},
      {"honest_replayers", number(s.honest_replayers)},
      {"liar_corrupts", share(s.liar_corrupts)},
      {"liar_serves_garbage", yes_or_no(s.liar_serves_garbage)},
      {"hostile_members", number(s.hostile_members)},
      {"hostile_lies_about_sizes", yes_or_no(s.hostility.lies_about_sizes)},
      {"hostile_claims_everything", yes_or_no(s.hostility.claims_everything)},
      {"hostile_moves", yes_or_no(s.hostility.moves)},
      {"hostile_statements_per_s", number(s.hostility.statements_per_s)},
      {"hostile_makes_up_results", yes_or_no(s.hostility.makes_up_results)},
      {"hostile_manifests", number(s.hostility.manifests)},
      {"hostile_makes_folds", yes_or_no(s.hostility.makes_folds)},
      {"broken_peers", number(s.broken_peers)},
      {"erring_peers", number(s.erring_peers)},
      {"erring_once_in", number(s.erring_once_in)},
      {"bad_tier_peers", number(s.bad_tier_peers)},
      {"bad_tier_share", share(s.bad_tier_share)},
      {"slow_peers", number(s.slow_peers)},
      {"slow_factor", number(s.slow_factor)},
      {"dial_only", number(s.dial_only)},
      {"light_submitter", yes_or_no(s.light_submitter)},
      {"contacts", number(s.contacts)},
      {"start_spread_ms", number(s.start_spread_ms)},
      {"late_peers", number(s.late_peers)},
      {"late_at_ms", number(s.late_at_ms)},
      {"siege_to_ms", number(s.siege_to_ms)},
      {"latency_min_ms", number(s.latency_min_ms)},
      {"latency_max_ms", number(s.latency_max_ms)},
      {"loss", share(s.loss)},
      {"duplicate", share(s.duplicate)},
      {"reorder", share(s.reorder)},
      {"wire_real", yes_or_no(s.wire_real)},
      {"jobs", number(s.jobs)},
      {"submit_at_ms", number(s.submit_at_ms)},
      {"job_gap_ms", number(s.job_gap_ms)},
      {"submitter", number(s.submitter)},
      {"one_owner", yes_or_no(s.one_owner)},
      {"knows_peers", yes_or_no(s.knows_peers)},
      {"first_priority", number(s.first_priority)},
      {"units", number(s.units)},
      {"segments", number(s.segments)},
      {"unit_time_ms", number(s.unit_time_ms)},
      {"time_limit_ms", number(s.time_limit_ms)},
      {"input_leaves", number(s.input_leaves)},
      {"unit_leaves", number(s.unit_leaves)},
      {"archive_bytes", number(s.archive_bytes)},
      {"fingerprints", yes_or_no(s.fingerprints)},
      {"class", verification_class(s.verification)},
      {"epsilon_ppm", number(s.epsilon_ppm)},
      {"peer_estimate", number(s.peer_estimate)},
      {"job_quiet_ms", number(s.job_quiet_ms)},
      {"folds", yes_or_no(s.folds)},
      {"kill_share", share(s.kill_share)},
      {"kill_count", number(s.kill_count)},
      {"kill_at_ms", number(s.kill_at_ms)},
      {"kill_spread_ms", number(s.kill_spread_ms)},
      {"kill_submitter", yes_or_no(s.kill_submitter)},
      {"kill_honest", yes_or_no(s.kill_honest)},
      {"restart_after_ms", number(s.restart_after_ms)},
      {"clock_jumpers", number(s.clock_jumpers)},
      {"clock_jump_s", number(s.clock_jump_s)},
      {"clock_jump_at_ms", number(s.clock_jump_at_ms)},
      {"set_back_peers", number(s.set_back_peers)},
      {"image_at_ms", number(s.image_at_ms)},
      {"set_back_at_ms", number(s.set_back_at_ms)},
      {"partition_share", share(s.partition_share)},
      {"partition_from_ms", number(s.partition_from_ms)},
      {"partition_to_ms", number(s.partition_to_ms)},
      {"virtual_limit_ms", number(s.virtual_limit_ms)},
      {"settle_ms", number(s.settle_ms)},
      {"replays_each", number(s.replays_each)},
      {"capture_max", share(s.capture_max)},
      {"skip", words(s.skip)},
      {"report", words(s.report)},
      {"expect", words(s.expect)},
  };
}

// What no single key can say. Empty: nothing is wrong.
std::string contradiction_in(const Scenario& s) {
  if (s.segments == 0) return "segments must not be 0";
  if (s.peers == 0 || s.units == 0 || s.slots == 0 || s.jobs == 0) return "peers, slots, jobs and units must not be 0";
  if (s.liars + s.colluders + s.copiers + s.lazy_auditors + s.accusers + s.hostile_members + s.broken_peers + s.erring_peers + s.bad_tier_peers + s.slow_peers + s.late_peers > s.peers) return "more peers with a part than peers";
  if (s.submitter >= s.peers - s.late_peers) return "the submitter is none of the peers";
  if (s.siege_to_ms != 0 && (s.late_peers == 0 || s.hostile_members == 0 || s.siege_to_ms <= s.late_at_ms)) return "a siege without late peers, hostile members or an end behind late_at_ms";
  if (s.latency_min_ms > s.latency_max_ms) return "latency_min_ms is above latency_max_ms";
  if (s.partition_from_ms > s.partition_to_ms) return "partition_from_ms is after partition_to_ms";
  if (s.first_priority > 255) return "first_priority is above 255";
  if (s.image_at_ms > s.set_back_at_ms) return "image_at_ms is after set_back_at_ms";
  if (s.erring_once_in == 0) return "erring_once_in must not be 0";
  if (s.slow_factor < 1) return "slow_factor is below 1";
  if (s.input_leaves != 0 && (s.unit_leaves == 0 || s.unit_leaves > s.input_leaves)) return "unit_leaves does not fit input_leaves";
  if (s.honest_replayers > s.liars) return "more honest_replayers than liars";
  return {};
}

}  // namespace

base::Expected<Scenario> parse_scenario(std::string name, const std::string& text) {
  Scenario scenario;
  scenario.name = std::move(name);
  const auto bad = [&](int line, const std::string& what) {
    return base::fail(base::ErrorCode::bad_input, scenario.name + ".scenario:" + std::to_string(line) + ": " + what,
                      "the keys are listed in tests/simulation/scenario.hpp");
  };
  const auto keys = keys_of(scenario);
  std::set<std::string> seen;
  std::istringstream in(text);
  int number_of_line = 0;
  for (std::string line; std::getline(in, line);) {
    ++number_of_line;
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const auto equals = line.find('=');
    if (equals == std::string::npos) return bad(number_of_line, "not of the form `key = value`");
    const std::string key = trimmed(line.substr(0, equals));
    const auto found = keys.find(key);
    if (found == keys.end()) return bad(number_of_line, "unknown key `" + key + "`");
    if (!seen.insert(key).second) return bad(number_of_line, "`" + key + "` is given twice");
    if (!found->second(trimmed(line.substr(equals + 1)))) return bad(number_of_line, "not a value for `" + key + "`");
  }
  const std::string contradiction = contradiction_in(scenario);
  if (!contradiction.empty()) return bad(number_of_line, contradiction);
  return scenario;
}

base::Expected<Scenario> load_scenario(const std::filesystem::path& folder, const std::string& name) {
  std::ifstream file(folder / (name + ".scenario"));
  if (!file) {
    return base::fail(base::ErrorCode::not_found, "no scenario named " + name, "see the files in tests/simulation/scenarios");
  }
  std::ostringstream text;
  text << file.rdbuf();
  return parse_scenario(name, text.str());
}

std::vector<std::string> scenario_names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".scenario") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace starling::simulation
