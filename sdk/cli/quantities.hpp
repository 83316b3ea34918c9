// Sizes, durations and ranges as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace starling::cli {

// "512MB" (10^6), "512MiB" (2^20), "64k", "1_000_000": whole numbers, any letter case. nullopt when it is none, or too large.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// "20G" (10^9), "500M", "1_000_000": whole numbers, any letter case. nullopt when it is none, or too large.
std::optional<std::uint64_t> parse_count(std::string_view text);

// "10m", "1h 30m", "250ms", "7d", "90" (seconds), "01:30:00".
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// "0-999" or "0-100:5" or "7", as decimal texts. nullopt when it is none, or longer than `count_max`.
std::optional<std::vector<std::string>> parse_array(std::string_view text, std::uint64_t count_max);

std::string bytes_text(std::uint64_t bytes);  // "12.3 MB"
std::string count_text(std::uint64_t count);  // "12.3 M"; below 1000 the number itself
std::string count_of(std::uint64_t count, const std::string& one, const std::string& many);  // "1 unit", "3 units"

}  // namespace starling::cli
