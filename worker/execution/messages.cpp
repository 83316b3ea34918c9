#include "worker/execution/messages.hpp"

#include "coordinator-less/base/limits.hpp"
#include "worker/execution/archive.hpp"
#include "worker/execution/codec.hpp"

namespace starling::execution {
namespace {

enum class Type : std::uint8_t { hello = 1, need = 2, report = 3, failure = 4, checkpoint = 5, progress = 6, order = 16, have = 17 };

constexpr std::uint64_t text_bytes_max = 4096;

Encoder begin(Type type) {
  Encoder out;
  out.u8(static_cast<std::uint8_t>(type));
  return out;
}

template <class Message>
base::Expected<Message> refuse() {
  return base::fail(base::ErrorCode::malformed, "bytes between host and executor that are no message");
}

std::vector<base::Digest> decode_digests(Decoder& in) {
  std::vector<base::Digest> out(in.count(limits::fingerprint_seeds_max, base::Digest::size));
  for (auto& one : out) one = in.digest();
  return out;
}

void encode_digests(Encoder& out, const std::vector<base::Digest>& digests) {
  out.u32(static_cast<std::uint32_t>(digests.size()));
  for (const auto& one : digests) out.digest(one);
}

Hello decode_hello(Decoder& in) {
  Hello message;
  message.version = in.u32();
  message.engine = in.text(text_bytes_max);
  return message;
}

Need decode_need(Decoder& in) {
  Need message;
  message.id = in.u32();
  message.input = in.u32();
  message.first_leaf = in.u64();
  message.count = in.u64();
  in.require(message.count > 0);
  return message;
}

Checkpoint decode_checkpoint(Decoder& in) {
  Checkpoint message;
  message.item = in.u32();
  message.round = in.u32();
  message.clock_ns = in.u64();
  message.fuel = in.u64();
  message.bytes = in.bytes(limits::output_bytes_max);
  message.fingerprints = decode_digests(in);
  in.require(message.round > 0);
  return message;
}

Progress decode_progress(Decoder& in) {
  const Progress message{in.u32()};
  in.require(message.millionths <= 1'000'000);
  return message;
}

UnitReport decode_report(Decoder& in) {
  UnitReport message;
  message.cpu_us = static_cast<std::int64_t>(in.u64());
  message.wall_us = static_cast<std::int64_t>(in.u64());
  in.require(message.cpu_us >= 0 && message.wall_us >= 0);
  message.fuel = in.u64();
  message.stderr_tail = in.text(limits::stderr_tail_bytes_max);
  message.archive = in.bytes(limits::executor_frame_bytes_max);
  message.fingerprints = decode_digests(in);
  return message;
}

UnitFailure decode_failure(Decoder& in) {
  UnitFailure message;
  const std::uint8_t kind = in.u8();
  in.require(kind <= static_cast<std::uint8_t>(FailureKind::forbidden));
  message.kind = static_cast<FailureKind>(kind);
  message.reason = in.text(text_bytes_max);
  return message;
}

Have decode_have(Decoder& in) {
  Have message;
  message.id = in.u32();
  const std::uint8_t ok = in.u8();
  in.require(ok <= 1);
  message.ok = ok == 1;
  return message;
}

UnitOrder::Input decode_input(Decoder& in) {
  UnitOrder::Input input;
  input.name = in.text(limits::name_bytes_max);
  input.size_bytes = in.u64();
  const std::uint8_t whole = in.u8();
  in.require(is_archive_path(input.name) && input.size_bytes <= limits::blob_bytes_max && whole <= 1);
  input.whole = whole == 1;
  return input;
}

UnitOrder decode_order(Decoder& in) {
  UnitOrder order;
  order.program = in.digest();
  const std::uint8_t tier = in.u8();
  in.require(tier <= static_cast<std::uint8_t>(Tier::interpreter));
  order.tier = static_cast<Tier>(tier);
  order.native_path = in.text(text_bytes_max);
  order.threads = in.u32();
  in.require(order.threads >= 1 && order.threads <= limits::threads_per_unit_max);
  order.memory_bytes_max = in.u64();
  order.output_bytes_max = in.u64();
  in.require(order.memory_bytes_max <= limits::memory_bytes_max && order.output_bytes_max <= limits::output_bytes_max);
  const std::uint32_t arguments = in.count(limits::arguments_per_job_max, 8);
  for (std::uint32_t i = 0; i < arguments && in.ok(); ++i) order.arguments.push_back(in.text(text_bytes_max));
  order.job_text = in.text(text_bytes_max);
  order.unit = in.u32();
  order.first_item_index = in.u64();
  order.rounds_max = in.u32();
  const std::uint8_t leaves = in.u8();
  in.require(leaves <= 1);
  order.leaves_checkpoints = leaves == 1;
  order.checkpoint_interval_ms = in.u64();
  in.require(order.rounds_max <= limits::checkpoint_rounds_max);
  order.fuel_max = in.u64();
  order.fingerprint_seeds = decode_digests(in);
  const std::uint32_t inputs = in.count(limits::inputs_per_job_max, 17);
  for (std::uint32_t i = 0; i < inputs && in.ok(); ++i) order.inputs.push_back(decode_input(in));
  const std::uint32_t files = in.count(limits::files_per_item_max, 16);
  for (std::uint32_t i = 0; i < files && in.ok(); ++i) {
    UnitOrder::File file{in.text(limits::guest_path_bytes_max), in.bytes(limits::executor_frame_bytes_max)};
    in.require(is_archive_path(file.name));
    order.files.push_back(std::move(file));
  }
  const std::uint32_t items = in.count(limits::items_per_unit_max, 73);
  for (std::uint32_t i = 0; i < items && in.ok(); ++i) {
    const auto seed = in.digest();
    const auto bytes = in.bytes(limits::item_bytes_max);
    const std::uint8_t runs = in.u8();
    in.require(runs <= 1);
    const auto round = in.u32();
    const auto clock_ns = in.u64();
    const auto fuel = in.u64();
    const auto checkpoint = in.bytes(limits::output_bytes_max);
    order.items.push_back({seed, bytes, round, clock_ns, fuel, checkpoint, decode_digests(in), runs == 1});
    const std::size_t chains = order.items.back().fingerprints.size();
    in.require(chains == 0 || chains == order.fingerprint_seeds.size());
  }
  return order;
}

}  // namespace

base::Bytes encode(const Hello& message) {
  Encoder out = begin(Type::hello);
  out.u32(message.version);
  out.text(message.engine);
  return out.take();
}

base::Bytes encode(const Need& message) {
  Encoder out = begin(Type::need);
  out.u32(message.id);
  out.u32(message.input);
  out.u64(message.first_leaf);
  out.u64(message.count);
  return out.take();
}

base::Bytes encode(const Checkpoint& message) {
  Encoder out = begin(Type::checkpoint);
  out.reserve(message.bytes.size() + 64);
  out.u32(message.item);
  out.u32(message.round);
  out.u64(message.clock_ns);
  out.u64(message.fuel);
  out.bytes(message.bytes);
  encode_digests(out, message.fingerprints);
  return out.take();
}

base::Bytes encode(const Progress& message) {
  Encoder out = begin(Type::progress);
  out.u32(message.millionths);
  return out.take();
}

base::Bytes encode(const UnitReport& message) {
  Encoder out = begin(Type::report);
  out.reserve(message.archive.size() + message.stderr_tail.size() + 64);
  out.u64(static_cast<std::uint64_t>(message.cpu_us));
  out.u64(static_cast<std::uint64_t>(message.wall_us));
  out.u64(message.fuel);
  out.text(message.stderr_tail);
  out.bytes(message.archive);
  encode_digests(out, message.fingerprints);
  return out.take();
}

base::Bytes encode(const UnitFailure& message) {
  Encoder out = begin(Type::failure);
  out.u8(static_cast<std::uint8_t>(message.kind));
  out.text(std::string_view(message.reason).substr(0, text_bytes_max));
  return out.take();
}

base::Bytes encode(const Have& message) {
  Encoder out = begin(Type::have);
  out.u32(message.id);
  out.u8(message.ok ? 1 : 0);
  return out.take();
}

base::Bytes encode(const UnitOrder& message) {
  std::size_t size = 8192;
  for (const auto& item : message.items) size += item.bytes.size() + item.checkpoint.size() + 73 + item.fingerprints.size() * base::Digest::size;
  for (const auto& file : message.files) size += file.bytes.size() + file.name.size() + 16;
  Encoder out = begin(Type::order);
  out.reserve(size);
  out.digest(message.program);
  out.u8(static_cast<std::uint8_t>(message.tier));
  out.text(message.native_path);
  out.u32(message.threads);
  out.u64(message.memory_bytes_max);
  out.u64(message.output_bytes_max);
  out.u32(static_cast<std::uint32_t>(message.arguments.size()));
  for (const auto& argument : message.arguments) out.text(argument);
  out.text(message.job_text);
  out.u32(message.unit);
  out.u64(message.first_item_index);
  out.u32(message.rounds_max);
  out.u8(message.leaves_checkpoints ? 1 : 0);
  out.u64(message.checkpoint_interval_ms);
  out.u64(message.fuel_max);
  encode_digests(out, message.fingerprint_seeds);
  out.u32(static_cast<std::uint32_t>(message.inputs.size()));
  for (const auto& input : message.inputs) {
    out.text(input.name);
    out.u64(input.size_bytes);
    out.u8(input.whole ? 1 : 0);
  }
  out.u32(static_cast<std::uint32_t>(message.files.size()));
  for (const auto& file : message.files) {
    out.text(file.name);
    out.bytes(file.bytes);
  }
  out.u32(static_cast<std::uint32_t>(message.items.size()));
  for (const auto& item : message.items) {
    out.digest(item.seed);
    out.bytes(item.bytes);
    out.u8(item.runs ? 1 : 0);
    out.u32(item.round);
    out.u64(item.clock_ns);
    out.u64(item.fuel);
    out.bytes(item.checkpoint);
    encode_digests(out, item.fingerprints);
  }
  return out.take();
}

base::Expected<FromExecutor> decode_from_executor(base::ByteView frame) {
  Decoder in(frame);
  FromExecutor message;
  switch (static_cast<Type>(in.u8())) {
    case Type::hello: message = decode_hello(in); break;
    case Type::need: message = decode_need(in); break;
    case Type::checkpoint: message = decode_checkpoint(in); break;
    case Type::progress: message = decode_progress(in); break;
    case Type::report: message = decode_report(in); break;
    case Type::failure: message = decode_failure(in); break;
    default: return refuse<FromExecutor>();
  }
  if (!in.finished()) return refuse<FromExecutor>();
  return message;
}

base::Expected<FromHost> decode_from_host(base::ByteView frame) {
  Decoder in(frame);
  FromHost message;
  switch (static_cast<Type>(in.u8())) {
    case Type::order: message = decode_order(in); break;
    case Type::have: message = decode_have(in); break;
    default: return refuse<FromHost>();
  }
  if (!in.finished()) return refuse<FromHost>();
  return message;
}

}  // namespace starling::execution
