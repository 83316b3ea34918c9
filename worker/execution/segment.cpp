#include "worker/execution/segment.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"

namespace starling::execution {

std::uint64_t SegmentStart::fuel() const {
  std::uint64_t sum = 0;
  for (const auto& item : before.items) sum += item.fuel;
  return sum;
}

base::Expected<SegmentStart> segment_start(base::ByteView archive, std::size_t items) {
  STARLING_TRY(Archive before, parse_archive(archive));
  if (before.items.size() != items || std::ranges::find(before.items, OutcomeKind::checkpoint, &ArchiveItem::kind) == before.items.end())
    return base::fail(base::ErrorCode::malformed, "an archive that no segment goes on from");
  return SegmentStart{std::move(before)};
}

std::uint64_t output_bytes_of(const ArchiveItem& item) {
  std::uint64_t sum = item.standard_output.size();
  for (const auto& file : item.files) sum += archive_file_overhead_bytes + file.path.size() + file.bytes.size();
  return sum;
}

Archive joined(const SegmentStart& start, Archive ran, std::uint64_t output_bytes_max) {
  if (start.before.items.empty()) return ran;
  STARLING_ENSURE(ran.items.size() == start.before.items.size());
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < ran.items.size(); ++i) {
    ArchiveItem& item = ran.items[i];
    if (!start.runs(i)) item = start.before.items[i];
    const std::uint64_t bytes = output_bytes_of(item);
    if (bytes > output_bytes_max - total) item = {OutcomeKind::output_limit, 0, {}, {}};
    else total += bytes;
  }
  return ran;
}

}  // namespace starling::execution
