#include "sdk/cli/quantities.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <limits>
#include <span>

namespace starling::cli {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array size_units{Unit{"", 1},           Unit{"b", 1},          Unit{"k", 1000},           Unit{"kb", 1000},
                                Unit{"kib", 1 << 10},  Unit{"m", 1'000'000},  Unit{"mb", 1'000'000},     Unit{"mib", 1 << 20},
                                Unit{"g", 1'000'000'000}, Unit{"gb", 1'000'000'000}, Unit{"gib", 1 << 30}, Unit{"tb", 1'000'000'000'000},
                                Unit{"tib", 1ULL << 40}};
constexpr std::array count_units{Unit{"", 1}, Unit{"k", 1000}, Unit{"m", 1'000'000}, Unit{"g", 1'000'000'000}, Unit{"t", 1'000'000'000'000}};
constexpr std::array time_units{Unit{"ms", 1},        Unit{"s", 1000},       Unit{"sec", 1000}, Unit{"m", 60'000},
                                Unit{"min", 60'000},  Unit{"h", 3'600'000},  Unit{"d", 86'400'000}, Unit{"w", 604'800'000}};
constexpr std::uint64_t milliseconds_max = 1'000'000'000'000;  // 31 years: far beyond every limit, far below overflow

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// Takes a number from the front; '_' may stand between digits.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::string digits;
  while (!text.empty() && (is_digit(text.front()) || (text.front() == '_' && !digits.empty()))) {
    if (text.front() != '_') digits.push_back(text.front());
    text.remove_prefix(1);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

template <class Units>
std::optional<std::uint64_t> scaled(std::uint64_t value, std::string_view unit, const Units& units) {
  for (const auto& known : units)
    if (known.name == lower(unit)) {
      if (value > std::numeric_limits<std::uint64_t>::max() / known.factor) return std::nullopt;
      return value * known.factor;
    }
  return std::nullopt;
}

template <class Units>
std::optional<std::uint64_t> parse_with(std::string_view text, const Units& units) {
  text = trim(text);
  const auto value = take_number(text);
  if (!value) return std::nullopt;
  return scaled(*value, trim(text), units);
}

std::optional<std::chrono::milliseconds> bounded(std::uint64_t ms) {
  if (ms > milliseconds_max) return std::nullopt;
  return std::chrono::milliseconds(ms);
}

// HH:MM:SS
std::optional<std::chrono::milliseconds> parse_clock(std::string_view text) {
  std::uint64_t seconds = 0;
  for (int part = 0; part < 3; ++part) {
    const auto value = take_number(text);
    if (!value || *value > (part == 0 ? 1'000'000U : 59U)) return std::nullopt;
    seconds = seconds * 60 + *value;
    if (part < 2 && !text.starts_with(':')) return std::nullopt;
    if (part < 2) text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  return bounded(seconds * 1000);
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) { return parse_with(text, size_units); }

std::optional<std::uint64_t> parse_count(std::string_view text) { return parse_with(text, count_units); }

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  text = trim(text);
  if (text.find(':') != std::string_view::npos) return parse_clock(text);
  if (std::ranges::all_of(text, is_digit)) {
    const auto seconds = take_number(text);
    if (!seconds || *seconds > milliseconds_max / 1000) return std::nullopt;
    return bounded(*seconds * 1000);
  }
  std::uint64_t total = 0;
  while (!text.empty()) {
    const auto value = take_number(text);
    const auto end = std::ranges::find_if_not(text, [](unsigned char c) { return std::isalpha(c) != 0; });
    const std::string_view unit(text.begin(), end);
    const auto part = value ? scaled(*value, unit, time_units) : std::nullopt;
    if (!part || *part > milliseconds_max) return std::nullopt;
    total += *part;
    text = trim(std::string_view(end, text.end()));
    if (total > milliseconds_max) return std::nullopt;
  }
  return bounded(total);
}

std::optional<std::vector<std::string>> parse_array(std::string_view text, std::uint64_t count_max) {
  const auto first = take_number(text);
  if (!first) return std::nullopt;
  std::uint64_t last = *first, step = 1;
  const auto take_after = [&text](char mark, std::uint64_t& into) {
    if (!text.starts_with(mark)) return true;
    text.remove_prefix(1);
    const auto value = take_number(text);
    into = value.value_or(0);
    return value.has_value();
  };
  if (!take_after('-', last) || !take_after(':', step) || !text.empty()) return std::nullopt;
  if (last < *first || step == 0 || (last - *first) / step >= count_max) return std::nullopt;
  std::vector<std::string> out;
  for (std::uint64_t i = 0; i <= (last - *first) / step; ++i) out.push_back(std::to_string(*first + i * step));
  return out;
}

namespace {

std::string scaled_text(std::uint64_t number, std::span<const char* const> names) {
  auto value = static_cast<double>(number);
  std::size_t at = 0;
  while (value >= 1000 && at + 1 < names.size()) value /= 1000, ++at;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), at == 0 ? "%.0f%s" : "%.1f%s", value, names[at]);
  return text.data();
}

}  // namespace

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array names{" B", " kB", " MB", " GB", " TB"};
  return scaled_text(bytes, names);
}

std::string count_text(std::uint64_t count) {
  constexpr std::array names{"", " k", " M", " G", " T", " P", " E"};
  return scaled_text(count, names);
}

std::string count_of(std::uint64_t count, const std::string& one, const std::string& many) { return std::to_string(count) + " " + (count == 1 ? one : many); }

}  // namespace starling::cli
