#include "tasks/dedoppler/hits.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace starling::dedoppler {

std::string format_row(const Hit& hit) {
  return format_fixed(hit.frequency_mhz, 6) + "," + format_fixed(hit.drift_hz_s, 4) + "," + format_fixed(hit.snr, 2) +
         "," + std::to_string(hit.channel) + "\n";
}

Result<Hit> parse_row(std::string_view line) {
  const auto fields = split_fields(line.substr(0, 200), ',');
  if (line.size() <= 200 && fields.size() == 4) {
    const auto frequency_mhz = parse_decimal(fields[0]);
    const auto drift_hz_s = parse_decimal(fields[1]);
    const auto snr = parse_decimal(fields[2]);
    const auto channel = parse_count(fields[3]);
    if (frequency_mhz && drift_hz_s && snr && channel) return Hit{*frequency_mhz, *drift_hz_s, *snr, *channel};
  }
  return std::unexpected("'" + printable(line) + "' is not a row of " + std::string(csv_header) +
                         "; use hits written by this program");
}

Result<std::vector<Hit>> parse_rows(std::string_view text) {
  std::vector<Hit> hits;
  if (text.empty()) return hits;
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::size_t number = 0;
  for (;;) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    ++number;
    if (!(number == 1 && line == csv_header)) {
      const auto hit = parse_row(line);
      if (!hit) return std::unexpected("line " + std::to_string(number) + ": " + hit.error());
      if (hits.size() == hits_max)
        return std::unexpected("more than " + std::to_string(hits_max) +
                               " hits; raise the threshold or mask interference");
      hits.push_back(*hit);
    }
    if (end == std::string_view::npos) return hits;
    text.remove_prefix(end + 1);
  }
}

std::vector<Hit> drop_duplicates(std::vector<Hit> hits) {
  std::ranges::sort(hits, [](const Hit& a, const Hit& b) {
    return std::tuple(-a.snr, a.channel, a.drift_hz_s) < std::tuple(-b.snr, b.channel, b.drift_hz_s);
  });
  std::vector<Hit> kept;
  std::multimap<std::uint64_t, double> drifts_by_channel;
  for (const Hit& hit : hits) {
    auto near = drifts_by_channel.lower_bound(hit.channel - std::min(hit.channel, same_signal_channels));
    bool known = false;
    for (; near != drifts_by_channel.end() && near->first <= hit.channel + same_signal_channels; ++near)
      known = known || std::fabs(near->second - hit.drift_hz_s) <= same_signal_drift_hz_s;
    if (known) continue;
    drifts_by_channel.emplace(hit.channel, hit.drift_hz_s);
    kept.push_back(hit);
  }
  return kept;
}

}  // namespace starling::dedoppler
