#include "tests/same_bytes/host.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

#include "worker/execution/instrument/instrument.hpp"

namespace starling::tests {

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

}  // namespace

struct Host::Inside {
  base::Bytes input;  // the state keeps a view of it
  wasi::State state;
  Inside(const std::vector<std::string>& arguments, base::ByteView bytes) : input(base::copy(bytes)), state(options_of(arguments, input)) {}
};

Host::Host(const RunLimits& limits, const std::vector<std::string>& arguments, base::ByteView input)
    : inside_(std::make_unique<Inside>(arguments, input)), limits_(limits) {}
Host::~Host() = default;

std::optional<std::int64_t> Host::slice(std::int64_t balance, std::span<const std::uint64_t, 4> live, std::span<std::byte> memory) {
  slices_.add(static_cast<std::uint64_t>(balance));
  for (const std::uint64_t one : live) slices_.add(one);
  constexpr std::size_t window = 1024;
  if (memory.size() >= window) slices_.add(memory.subspan(slice_count_ * 7 * window % (memory.size() - window + 1), window));
  const std::uint64_t base = slice_count_ < 20 ? 200 : slice_count_ < 60 ? 20'000 : 1'000'000;
  std::uint64_t more = base + slice_count_ * 37 % 101;
  ++slice_count_;
  more = std::min(more, limits_.fuel_max - dealt_);
  dealt_ += more;
  const std::int64_t next = balance + static_cast<std::int64_t>(more);
  if (next >= 0) return next;
  if (dealt_ < limits_.fuel_max) return slice(next, live, memory);  // one charge was larger than a slice
  out_of_fuel_ = true;
  return std::nullopt;
}

wasi::Errno Host::call(std::size_t function, std::span<std::byte> memory, wasi::Args args) {
  return wasi::functions()[function].handler(inside_->state, wasi::GuestMemory(memory), args);
}

bool Host::ended() const { return out_of_fuel_ || failure_ != 0 || inside_->state.ending() != wasi::Ending::none; }

Row Host::finish(std::string_view trap, std::int64_t balance, std::span<const std::uint64_t> globals, base::ByteView memory) {
  Row row;
  const wasi::State& state = inside_->state;
  const std::uint64_t used = dealt_ - static_cast<std::uint64_t>(balance);
  row.fuel = used;
  if (out_of_fuel_) {
    row.kind = "fuel";
    row.fuel = dealt_;
  } else if (failure_ != 0) {
    row.kind = failure_ == 1 ? "stack" : "host";
    if (failure_ != 1) row.code = std::to_string(failure_);
  } else if (state.ending() == wasi::Ending::exit) {
    row.kind = "exit";
    row.code = std::to_string(state.exit_code());
  } else if (state.ending() != wasi::Ending::none) {
    row.kind = "output";
  } else if (!trap.empty()) {
    row.kind = "trap";
    row.code = trap;
    row.fuel = dealt_;
  } else {
    row.kind = "ok";
  }
  Hash output;
  output.add(inside_->state.standard_output());
  hash_tree(output, *state.out());
  row.output = output.value();
  Hash rest;
  for (const std::uint64_t one : globals) rest.add(one);
  rest.add(memory);
  row.memory = rest.value();
  row.slices = slices_.value();
  return row;
}

std::string to_line(const Row& row) {
  std::array<char, 200> text{};
  std::snprintf(text.data(), text.size(), "%s %s %016llx %016llx %llu %016llx %llu", row.kind.c_str(),
                row.code.empty() ? "-" : row.code.c_str(), static_cast<unsigned long long>(row.output),
                static_cast<unsigned long long>(row.memory), static_cast<unsigned long long>(row.fuel),
                static_cast<unsigned long long>(row.slices), static_cast<unsigned long long>(row.stack_bytes));
  return text.data();
}

std::optional<Row> row_of(std::string_view line) {
  std::istringstream in{std::string(line)};
  Row row;
  in >> row.kind >> row.code >> std::hex >> row.output >> row.memory >> std::dec >> row.fuel >> std::hex >> row.slices >> std::dec >>
      row.stack_bytes;
  if (!in) return std::nullopt;
  if (row.code == "-") row.code.clear();
  return row;
}

}  // namespace starling::tests
