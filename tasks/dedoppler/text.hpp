// Numbers to text and back, with the same bytes on every machine.
// Rule: decimals go through one 64-bit integer, so no printf, locale or library rounding takes part, and the guest
// stays small (a float printer alone would double the module).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace starling::dedoppler {

// One line for a person: "what happened; what to do next".
using Error = std::string;
template <typename T>
using Result = std::expected<T, Error>;

// `value` with `decimals` (0..9) digits after the point, halves away from zero, "-0.0" written as "0.0". Values that
// do not fit 15 digits are clamped, so the text is always short.
std::string format_fixed(double value, int decimals);

// The whole of `text` as an unsigned decimal, at most 18 digits.
std::optional<std::uint64_t> parse_count(std::string_view text);

// The whole of `text` as [-]digits[.digits], at most 15 digits, which is exactly one correctly rounded double.
std::optional<double> parse_decimal(std::string_view text);

// The fields between single separators; "a,,b" has three.
std::vector<std::string_view> split_fields(std::string_view text, char separator);

// `text` shortened and stripped of control bytes, fit to be quoted in an error line.
std::string printable(std::string_view text);

}  // namespace starling::dedoppler
