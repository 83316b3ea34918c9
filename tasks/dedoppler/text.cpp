#include "tasks/dedoppler/text.hpp"

#include <array>
#include <cmath>

namespace starling::dedoppler {

namespace {

constexpr std::array<double, 16> powers_of_ten = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
constexpr double largest_scaled = 999'999'999'999'999.0;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

std::string format_fixed(double value, int decimals) {
  double scaled = std::fabs(value) * powers_of_ten[static_cast<std::size_t>(decimals)];
  if (!(scaled <= largest_scaled)) scaled = largest_scaled;
  const auto whole = static_cast<std::uint64_t>(scaled + 0.5);
  std::string digits = std::to_string(whole);
  const auto places = static_cast<std::size_t>(decimals);
  if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
  if (places > 0) digits.insert(digits.size() - places, 1, '.');
  if (value < 0 && whole != 0) digits.insert(0, 1, '-');
  return digits;
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::optional<double> parse_decimal(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::uint64_t digits = 0;
  std::size_t count = 0;
  std::size_t places = 0;
  bool after_point = false;
  for (const char c : text) {
    if (c == '.' && !after_point && count > 0) {
      after_point = true;
      continue;
    }
    if (!is_digit(c) || ++count > 15) return std::nullopt;
    digits = digits * 10 + static_cast<std::uint64_t>(c - '0');
    if (after_point) ++places;
  }
  if (count == 0 || (after_point && places == 0)) return std::nullopt;
  const double value = static_cast<double>(digits) / powers_of_ten[places];
  return negative ? -value : value;
}

std::vector<std::string_view> split_fields(std::string_view text, char separator) {
  std::vector<std::string_view> fields;
  for (;;) {
    const auto end = text.find(separator);
    fields.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

std::string printable(std::string_view text) {
  constexpr std::size_t longest = 60;
  std::string clean;
  for (const char c : text.substr(0, longest)) clean.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  if (text.size() > longest) clean += "...";
  return clean;
}

}  // namespace starling::dedoppler
