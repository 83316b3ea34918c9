#include "worker/execution/wasi/progress_lines.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace starling::execution::wasi {
namespace {

constexpr std::string_view prefix = "starling:progress ";
constexpr std::size_t line_bytes_max = prefix.size() + 41;  // two numbers of 20 digits

bool may_be_one(std::string_view line) {
  const auto known = std::min(line.size(), prefix.size());
  return line.size() <= line_bytes_max && line.substr(0, known) == prefix.substr(0, known);
}

std::optional<std::uint32_t> part_of(std::string_view line) {
  if (!line.starts_with(prefix)) return std::nullopt;
  std::uint64_t done = 0, total = 0;
  const char* end = line.data() + line.size();
  const auto first = std::from_chars(line.data() + prefix.size(), end, done);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '/') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, total);
  if (second.ec != std::errc{} || second.ptr != end || total == 0 || done > total) return std::nullopt;
  return static_cast<std::uint32_t>(static_cast<double>(done) / static_cast<double>(total) * progress_whole);
}

}  // namespace

std::optional<std::uint32_t> ProgressLines::feed(base::ByteView bytes) {
  std::optional<std::uint32_t> last;
  auto text = base::text(bytes);
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    if (!skipping_) {
      line_.append(text.substr(0, std::min(end, line_bytes_max + 1)));
      skipping_ = !may_be_one(line_);
    }
    if (end == text.size()) break;
    if (const auto part = skipping_ ? std::nullopt : part_of(line_)) last = part;
    line_.clear();
    skipping_ = false;
    text.remove_prefix(end + 1);
  }
  if (skipping_) line_.clear();
  return last;
}

}  // namespace starling::execution::wasi
