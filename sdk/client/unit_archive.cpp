#include "sdk/client/unit_archive.hpp"

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::client {

namespace {

constexpr std::string_view magic = "starling";

// Takes fields from the front. After the first one that does not fit, everything is empty and `ok` is false.
class Fields {
 public:
  explicit Fields(base::ByteView bytes) : rest_(bytes) {}

  base::ByteView raw(std::uint64_t count) {
    ok_ = ok_ && count <= rest_.size();
    if (!ok_) return {};
    const auto out = rest_.first(static_cast<std::size_t>(count));
    rest_ = rest_.subspan(static_cast<std::size_t>(count));
    return out;
  }
  std::uint32_t u32() {
    const auto field = raw(4);
    return ok_ ? base::read_u32(field) : 0;
  }
  base::ByteView counted() {
    const auto length = raw(8);
    return raw(ok_ ? base::read_u64(length) : 0);
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }

 private:
  base::ByteView rest_;
  bool ok_ = true;
};

base::Expected<ItemOutput> damaged() {
  return base::fail(base::ErrorCode::malformed, "a unit's archive does not parse", "the program's results are of another version of starling");
}

base::Expected<ItemOutput> read_item(Fields& in) {
  ItemOutput item;
  const auto kind = in.raw(1);
  if (!in.ok() || kind[0] > static_cast<std::byte>(protocol::OutcomeKind::checkpoint)) return damaged();
  item.kind = static_cast<protocol::OutcomeKind>(kind[0]);
  item.code = static_cast<std::int32_t>(in.u32());
  if (item.kind == protocol::OutcomeKind::checkpoint) in.raw(16);  // fuel and clock: for the next segment
  item.standard_output = base::copy(in.counted());
  const std::uint32_t files = in.u32();
  for (std::uint32_t i = 0; i < files; ++i) {
    const auto path = base::text(in.counted());
    const auto bytes = in.counted();
    if (!in.ok() || !is_safe_path(path)) return damaged();
    item.files.push_back({.path = std::string(path), .bytes = base::copy(bytes)});
  }
  if (!in.ok()) return damaged();
  return item;
}

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.find('\0') != std::string_view::npos) return false;
  while (true) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

base::Expected<std::vector<ItemOutput>> read_archive(base::ByteView bytes) {
  Fields in(bytes);
  const bool ours = base::text(in.raw(magic.size())) == magic && in.u32() == 1;
  const std::uint32_t count = in.u32();
  if (!ours || !in.ok() || count > limits::items_per_unit_max) return std::unexpected(damaged().error());
  std::vector<ItemOutput> items;
  for (std::uint32_t i = 0; i < count; ++i) {
    STARLING_TRY(ItemOutput item, read_item(in));
    items.push_back(std::move(item));
  }
  if (!in.at_end()) return std::unexpected(damaged().error());
  return items;
}

}  // namespace starling::client
