#include "tests/same_bytes/host.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <sstream>

namespace starling::testing {

namespace wasi = execution::wasi;

void Hash::add(base::ByteView bytes) {
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) add(base::read_u64(bytes.subspan(at, 8)));
  std::uint64_t rest = bytes.size();
  for (; at < bytes.size(); ++at) rest = rest << 8 | std::to_integer<std::uint64_t>(bytes[at]);
  add(rest);
}

namespace {

void hash_tree(Hash& hash, const wasi::Node& directory) {
  for (const auto& [name, node] : directory.children()) {
    hash.add(base::view(name));
    if (node->is_directory()) hash_tree(hash, *node);
    else hash.add(node->content());
  }
}

wasi::ItemOptions options_of(const std::vector<std::string>& arguments, base::ByteView input) {
  wasi::ItemOptions out;
  out.arguments.emplace_back("program");
  out.arguments.insert(out.arguments.end(), arguments.begin(), arguments.end());
  out.environment = {"STARLING_JOB=job", "STARLING_UNIT=3", "STARLING_ITEM=0"};
  out.standard_input = input;
  out.in = wasi::Node::read_only_directory(1);
  out.first_inode = 2;
  out.output_bytes_max = 1 << 20;
  out.temporary_bytes_max = 16 << 20;
  return out;
}

constexpr unsigned octave_first = 7;

std::vector<execution::Fingerprint> fingerprints(std::size_t count) {
  std::vector<execution::Fingerprint> out;
  for (std::size_t i = 0; i < count; ++i) {
    base::Digest seed;
    seed.bytes[0] = static_cast<std::byte>(i);
    out.emplace_back(seed, base::Digest{}, 0, octave_first);
  }
  return out;
}

}  // namespace

struct Host::Inside {
  base::Bytes input;  // the state keeps a view of it
  wasi::State state;
  std::vector<execution::Fingerprint> taken;
  execution::ItemHost item;
  Inside(const RunLimits& limits, const std::vector<std::string>& arguments, base::ByteView bytes)
      : input(base::copy(bytes)), state(options_of(arguments, input)), taken(fingerprints(limits.fingerprints)),
        item(state, execution::FuelMeter(limits.fuel_max, limits.slice_fuel), taken) {}
};

Host::Host(const RunLimits& limits, const std::vector<std::string>& arguments, base::ByteView input)
    : inside_(std::make_unique<Inside>(limits, arguments, input)) {}
Host::~Host() = default;

std::optional<std::int64_t> Host::slice(std::int64_t balance, std::span<const std::uint64_t, 4> live, std::span<const NumberedGlobal> globals,
                                        std::span<std::byte> memory) {
  std::vector<std::array<std::byte, 16>> values(globals.size());
  return inside_->item.slice(balance, [&] {
    execution::Moment out;
    std::ranges::copy(live, out.live.begin());
    for (std::size_t i = 0; i < globals.size(); ++i) std::memcpy(values[i].data(), &globals[i].bits, sizeof globals[i].bits);
    out.globals = values;
    if (!globals.empty() && globals.front().number == 0) out.stack_pointer = static_cast<std::uint32_t>(globals.front().bits);
    out.memory = memory;
    return out;
  });
}

wasi::Errno Host::call(std::size_t function, std::span<std::byte> memory, wasi::Args args, std::int64_t& balance) {
  return inside_->item.call(wasi::functions()[function], memory, args, balance);
}

void Host::fail(std::uint32_t reason) {
  failure_ = reason;
  inside_->item.fail(static_cast<std::int32_t>(reason));
}

bool Host::ended() const { return inside_->item.ended(); }

Row Host::finish(std::string_view trap, std::int64_t balance, std::span<const NumberedGlobal> globals, base::ByteView memory) {
  Row row;
  const auto engine_says = trap.empty() ? std::nullopt : std::optional(execution::TrapClass::unreachable);  // any that is the guest's
  const execution::ItemEnd end = inside_->item.end(engine_says, balance);
  row.fuel = end.fuel;
  if (inside_->state.ending() == wasi::Ending::host_failed) {
    row.kind = "host";
    row.code = std::to_string(failure_);
  } else if (end.kind == execution::OutcomeKind::trap) {
    const auto own = static_cast<execution::TrapClass>(end.code);
    row.kind = own == execution::TrapClass::out_of_fuel ? "fuel" : own == execution::TrapClass::stack_overflow ? "stack" : "trap";
    if (row.kind == "trap") row.code = trap;
  } else if (inside_->state.ending() == wasi::Ending::exit) {
    row.kind = "exit";
    row.code = std::to_string(end.code);
  } else {
    row.kind = end.kind == execution::OutcomeKind::output_limit ? "output" : "ok";
  }
  Hash output;
  output.add(inside_->state.standard_output());
  hash_tree(output, *inside_->state.out());
  row.output = output.value();
  Hash rest;
  for (const auto& one : globals) rest.add(one.bits);
  rest.add(memory);
  row.memory = rest.value();
  Hash taken;
  for (const auto& one : inside_->taken) taken.add(one.chain().view());
  row.fingerprint = taken.value();
  return row;
}

std::string to_line(const Row& row) {
  std::array<char, 200> text{};
  std::snprintf(text.data(), text.size(), "%s %s %016llx %016llx %llu %016llx %llu", row.kind.c_str(),
                row.code.empty() ? "-" : row.code.c_str(), static_cast<unsigned long long>(row.output),
                static_cast<unsigned long long>(row.memory), static_cast<unsigned long long>(row.fuel),
                static_cast<unsigned long long>(row.fingerprint), static_cast<unsigned long long>(row.stack_bytes));
  return text.data();
}

std::optional<Row> row_of(std::string_view line) {
  std::istringstream in{std::string(line)};
  Row row;
  in >> row.kind >> row.code >> std::hex >> row.output >> row.memory >> std::dec >> row.fuel >> std::hex >> row.fingerprint >> std::dec >>
      row.stack_bytes;
  if (!in) return std::nullopt;
  if (row.code == "-") row.code.clear();
  return row;
}

}  // namespace starling::testing
