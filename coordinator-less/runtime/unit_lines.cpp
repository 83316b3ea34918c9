#include "coordinator-less/runtime/unit_lines.hpp"

#include <unistd.h>

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::runtime {
namespace {

constexpr std::size_t chunk_bytes = 256 * 1024;

base::Expected<void> read_at(int descriptor, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const auto got = ::pread(descriptor, out.data(), out.size(), static_cast<off_t>(offset));
    if (got <= 0) return base::fail(base::ErrorCode::internal, "cannot read a units blob", "check the disk");
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

base::Expected<void> wrong_units(const std::string& how) {
  return base::fail(base::ErrorCode::bad_input, "the list of units " + how, "make the units file again, one item per line");
}

// Sees the bytes of the blob in order and notes where each unit begins.
class LineCounter {
 public:
  explicit LineCounter(const protocol::Manifest& manifest) : manifest_(manifest) {}

  base::Expected<void> add(std::span<const std::byte> chunk) {
    auto rest = chunk;
    while (!rest.empty()) {
      if (line_begin_ == offset_) begin_line();
      const auto end = std::ranges::find(rest, std::byte{'\n'});
      const bool ended = end != rest.end();
      const auto taken = static_cast<std::size_t>(end - rest.begin()) + (ended ? 1 : 0);
      offset_ += taken;
      rest = rest.subspan(taken);
      if (offset_ - line_begin_ > limits::item_bytes_max + 1)
        return wrong_units("has an item longer than " + std::to_string(limits::item_bytes_max) + " bytes");
      if (ended) line_begin_ = offset_;
    }
    return {};
  }

  base::Expected<std::vector<std::uint64_t>> finish() {
    if (line_count_ != manifest_.item_count) {
      auto wrong = wrong_units("has " + std::to_string(line_count_) + " lines, the manifest says " +
                               std::to_string(manifest_.item_count));
      return std::unexpected(std::move(wrong).error());
    }
    offsets_.push_back(offset_);
    return std::move(offsets_);
  }

 private:
  void begin_line() {
    // Lines beyond the manifest's are only counted: the offsets stay bounded by its units.
    if (line_count_ % manifest_.items_per_unit == 0 && offsets_.size() < manifest_.unit_count) offsets_.push_back(offset_);
    ++line_count_;
  }

  const protocol::Manifest& manifest_;
  std::vector<std::uint64_t> offsets_;
  std::uint64_t offset_ = 0, line_begin_ = 0, line_count_ = 0;
};

std::vector<base::Bytes> split_lines(base::ByteView bytes) {
  std::vector<base::Bytes> lines;
  while (!bytes.empty()) {
    const auto end = std::ranges::find(bytes, std::byte{'\n'});
    const auto length = static_cast<std::size_t>(end - bytes.begin());
    lines.push_back(base::copy(bytes.first(length)));
    bytes = bytes.subspan(std::min(length + 1, bytes.size()));
  }
  return lines;
}

}  // namespace

base::Expected<UnitLines> UnitLines::scan(int descriptor, const protocol::Manifest& manifest) {
  STARLING_ENSURE(manifest.items_per_unit > 0 && manifest.unit_count > 0);  // wire bounds both
  if (manifest.units.size_bytes > limits::units_blob_bytes_max)
    return base::fail(base::ErrorCode::bad_input, "the list of units is too long", "split the job");
  LineCounter counter(manifest);
  base::Bytes chunk(chunk_bytes);
  for (std::uint64_t at = 0; at < manifest.units.size_bytes;) {
    const auto part = std::span(chunk).first(std::min<std::uint64_t>(chunk_bytes, manifest.units.size_bytes - at));
    if (auto got = read_at(descriptor, at, part); !got) return std::unexpected(std::move(got).error());
    if (auto taken = counter.add(part); !taken) return std::unexpected(std::move(taken).error());
    at += part.size();
  }
  UnitLines lines;
  STARLING_TRY(lines.offsets_, counter.finish());
  return lines;
}

base::Expected<std::vector<base::Bytes>> UnitLines::items(int descriptor, base::UnitIndex unit) const {
  STARLING_ENSURE(unit + 1 < offsets_.size());
  base::Bytes bytes(offsets_[unit + 1] - offsets_[unit]);
  if (auto got = read_at(descriptor, offsets_[unit], bytes); !got) return std::unexpected(std::move(got).error());
  return split_lines(bytes);
}

}  // namespace starling::runtime
