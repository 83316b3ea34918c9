// Which planted signals a list of hits verifies, and which hits are false.
// Rules: a hit matches a planted signal within 14 Hz (five channels of the demo's file) and 0.1 Hz/s; S/N is shown
// and not judged, because noise moves it. Signals are matched from the strongest down, each to its nearest unmatched
// hit. A hit that is left over is false, also when it repeats a matched one: the merged list may have no duplicates.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/dedoppler/hits.hpp"

namespace starling::dedoppler::checker {

inline constexpr double frequency_tolerance_hz = 14;
inline constexpr double drift_tolerance_hz_s = 0.1;
inline constexpr std::size_t input_bytes_max = 64ULL << 20;
inline constexpr std::size_t signals_max = 100'000;

struct Signal {
  double frequency_mhz = 0;
  double drift_hz_s = 0;
  double snr = 0;
};

struct Verdict {
  struct Row {
    Signal planted;
    std::optional<Hit> hit;
  };
  std::vector<Row> signals;
  std::vector<Hit> false_hits;

  std::size_t found() const;
  bool perfect() const { return found() == signals.size() && false_hits.empty(); }
};

// The generator's truth file.
Result<std::vector<Signal>> parse_truth(std::string_view text);

Verdict check_hits(std::vector<Signal> planted, const std::vector<Hit>& hits);

// A table for people; its last line is `signals: F/P verified, X false`.
std::string format_verdict(const Verdict& verdict);

}  // namespace starling::dedoppler::checker
