#include "tasks/dedoppler/checker/check.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ranges>

namespace starling::dedoppler::checker {

namespace {

std::optional<double> number(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  const auto value = found->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// 1 at the tolerance's edge; above 1 there is no match.
double distance(const Signal& signal, const Hit& hit) {
  return std::max(std::fabs(signal.frequency_mhz - hit.frequency_mhz) * 1e6 / frequency_tolerance_hz,
                  std::fabs(signal.drift_hz_s - hit.drift_hz_s) / drift_tolerance_hz_s);
}

std::string padded(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string cells(double frequency_mhz, double drift_hz_s, double snr) {
  return padded(format_fixed(frequency_mhz, 6), 14) + padded(format_fixed(drift_hz_s, 3), 9) +
         padded(format_fixed(snr, 1), 8);
}

}  // namespace

std::size_t Verdict::found() const {
  return static_cast<std::size_t>(std::ranges::count_if(signals, [](const Row& row) { return row.hit.has_value(); }));
}

Result<std::vector<Signal>> parse_truth(std::string_view text) {
  const auto broken = [](const std::string& what) {
    return std::unexpected("the truth file " + what + "; use the file that dedoppler-generate wrote");
  };
  const auto truth = nlohmann::json::parse(text, nullptr, false);
  if (truth.is_discarded() || !truth.is_object()) return broken("is not a JSON object");
  const auto list = truth.find("signals");
  if (list == truth.end() || !list->is_array() || list->empty()) return broken("has no list of signals");
  if (list->size() > signals_max) return broken("lists more than " + std::to_string(signals_max) + " signals");
  std::vector<Signal> signals;
  for (const auto& entry : *list) {
    if (!entry.is_object()) return broken("lists a signal that is no object");
    const auto frequency_mhz = number(entry, "frequency_mhz");
    const auto drift_hz_s = number(entry, "drift_hz_s");
    const auto snr = number(entry, "snr");
    if (!frequency_mhz || !drift_hz_s || !snr)
      return broken("lists a signal without frequency_mhz, drift_hz_s and snr");
    signals.push_back({*frequency_mhz, *drift_hz_s, *snr});
  }
  return signals;
}

Verdict check_hits(std::vector<Signal> planted, const std::vector<Hit>& hits) {
  std::ranges::sort(planted, std::ranges::greater{}, &Signal::snr);
  std::vector<bool> used(hits.size());
  Verdict verdict;
  for (const Signal& signal : planted) {
    std::optional<std::size_t> nearest;
    for (std::size_t i = 0; i < hits.size(); ++i) {
      if (used[i] || distance(signal, hits[i]) > 1) continue;
      if (!nearest || distance(signal, hits[i]) < distance(signal, hits[*nearest])) nearest = i;
    }
    verdict.signals.push_back({signal, nearest ? std::optional(hits[*nearest]) : std::nullopt});
    if (nearest) used[*nearest] = true;
  }
  for (std::size_t i = 0; i < hits.size(); ++i)
    if (!used[i]) verdict.false_hits.push_back(hits[i]);
  return verdict;
}

std::string format_verdict(const Verdict& verdict) {
  constexpr std::size_t false_rows_max = 20;
  std::string text = "                planted                          found\n";
  text += "     MHz           Hz/s     S/N     MHz           Hz/s     S/N\n";
  for (const auto& [planted, hit] : verdict.signals) {
    text += cells(planted.frequency_mhz, planted.drift_hz_s, planted.snr);
    text += hit ? cells(hit->frequency_mhz, hit->drift_hz_s, hit->snr) + "  verified\n"
                : padded("-", 14) + padded("-", 9) + padded("-", 8) + "  missing\n";
  }
  for (const Hit& hit : verdict.false_hits | std::views::take(false_rows_max))
    text += padded("-", 14) + padded("-", 9) + padded("-", 8) + cells(hit.frequency_mhz, hit.drift_hz_s, hit.snr) +
            "  false\n";
  if (verdict.false_hits.size() > false_rows_max)
    text += "(" + std::to_string(verdict.false_hits.size() - false_rows_max) + " more false hits)\n";
  return text + "signals: " + std::to_string(verdict.found()) + "/" + std::to_string(verdict.signals.size()) +
         " verified, " + std::to_string(verdict.false_hits.size()) + " false\n";
}

}  // namespace starling::dedoppler::checker
