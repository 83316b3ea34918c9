#include "worker/execution/archive.hpp"

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "worker/execution/codec.hpp"

namespace starling::execution {
namespace {

constexpr std::string_view magic = "starling";
constexpr std::uint32_t version = 1;

bool ran_to_its_end(OutcomeKind kind) { return kind == OutcomeKind::ok || kind == OutcomeKind::exit_code; }

// What items of each kind may carry.
bool content_fits(const ArchiveItem& item) {
  if (ran_to_its_end(item.kind)) return true;
  if (item.kind != OutcomeKind::checkpoint) return item.standard_output.empty() && item.files.empty();
  return item.standard_output.empty() && item.files.size() == 1 && item.files[0].path == checkpoint_name;
}

bool code_fits(OutcomeKind kind, std::int32_t code) {
  switch (kind) {
    case OutcomeKind::ok: return code == 0;
    case OutcomeKind::exit_code: return code != 0;
    case OutcomeKind::trap: return code >= 1 && code <= static_cast<std::int32_t>(TrapClass::out_of_fuel);
    case OutcomeKind::memory_limit:
    case OutcomeKind::output_limit: return code == 0;
    case OutcomeKind::checkpoint: return code == checkpoint_exit_code;
  }
  return false;
}

ArchiveItem parse_item(Decoder& in) {
  ArchiveItem item;
  const std::uint8_t kind = in.u8();
  in.require(kind <= static_cast<std::uint8_t>(OutcomeKind::checkpoint));
  item.kind = static_cast<OutcomeKind>(kind);
  item.code = static_cast<std::int32_t>(in.u32());
  in.require(in.ok() && code_fits(item.kind, item.code));
  if (item.kind == OutcomeKind::checkpoint) {
    item.fuel = in.u64();
    item.clock_ns = in.u64();
  }
  item.standard_output = in.bytes(limits::output_bytes_max);
  const std::uint32_t files = in.count(limits::files_per_item_max, archive_file_overhead_bytes);
  for (std::uint32_t i = 0; i < files && in.ok(); ++i) {
    const auto path = base::text(in.bytes(limits::guest_path_bytes_max));
    const auto bytes = in.bytes(limits::output_bytes_max);
    in.require(is_archive_path(path) && (item.files.empty() || item.files.back().path < path));
    if (in.ok()) item.files.push_back({path, bytes});
  }
  in.require(in.ok() && content_fits(item));
  return item;
}

}  // namespace

const char* name_of(TrapClass trap) {
  switch (trap) {
    case TrapClass::unreachable: return "unreachable";
    case TrapClass::divide_by_zero: return "integer divide by zero";
    case TrapClass::integer_overflow: return "integer overflow";
    case TrapClass::bad_conversion: return "invalid conversion to integer";
    case TrapClass::memory_bounds: return "out of bounds memory access";
    case TrapClass::table_bounds: return "out of bounds table access";
    case TrapClass::indirect_call: return "bad indirect call";
    case TrapClass::other: return "other trap";
    case TrapClass::bad_program: return "not a runnable program";
    case TrapClass::stack_overflow: return "stack overflow";
    case TrapClass::out_of_fuel: return "out of fuel";
  }
  return "other trap";
}

bool is_archive_path(std::string_view path) {
  if (path.empty() || path.size() > limits::guest_path_bytes_max) return false;
  if (path.find('\0') != std::string_view::npos) return false;
  while (true) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

base::Bytes write_archive(const Archive& archive) {
  std::size_t size = magic.size() + 8;
  for (const auto& item : archive.items) {
    size += archive_item_overhead_bytes + archive_checkpoint_overhead_bytes + item.standard_output.size();
    for (const auto& file : item.files) size += archive_file_overhead_bytes + file.path.size() + file.bytes.size();
  }
  Encoder out;
  out.reserve(size);
  for (const char c : magic) out.u8(static_cast<std::uint8_t>(c));
  out.u32(version);
  out.u32(static_cast<std::uint32_t>(archive.items.size()));
  for (const auto& item : archive.items) {
    STARLING_ENSURE(code_fits(item.kind, item.code));
    STARLING_ENSURE(content_fits(item));
    out.u8(static_cast<std::uint8_t>(item.kind));
    out.u32(static_cast<std::uint32_t>(item.code));
    if (item.kind == OutcomeKind::checkpoint) {
      out.u64(item.fuel);
      out.u64(item.clock_ns);
    }
    out.bytes(item.standard_output);
    out.u32(static_cast<std::uint32_t>(item.files.size()));
    for (const auto& file : item.files) {
      out.text(file.path);
      out.bytes(file.bytes);
    }
  }
  return out.take();
}

base::Expected<Archive> parse_archive(base::ByteView bytes) {
  if (bytes.size() < magic.size() || base::text(bytes.first(magic.size())) != magic)
    return base::fail(base::ErrorCode::malformed, "not a result archive");
  Decoder in(bytes.subspan(magic.size()));
  if (in.u32() != version)
    return base::fail(base::ErrorCode::malformed, "a result archive of another version", "update starling");
  Archive archive;
  const std::uint32_t items = in.count(limits::items_per_unit_max, archive_item_overhead_bytes);
  for (std::uint32_t i = 0; i < items && in.ok(); ++i) archive.items.push_back(parse_item(in));
  if (!in.finished()) return base::fail(base::ErrorCode::malformed, "a result archive that is cut or not canonical");
  return archive;
}

std::pair<OutcomeKind, std::int32_t> worst_of(const Archive& archive) {
  std::pair<OutcomeKind, std::int32_t> worst{OutcomeKind::ok, 0};
  for (const auto& item : archive.items)
    if (item.kind > worst.first) worst = {item.kind, item.code};
  return worst;
}

}  // namespace starling::execution
