// The host of same_bytes for V8, as a Node-API addon: run.js owns the engine, every import ends here.
// 64-bit values cross as BigInt, memory as the ArrayBuffer itself; no float ever crosses.
#include <node_api.h>

#include <array>
#include <optional>
#include <string>

#include "coordinator-less/base/check.hpp"
#include "tests/same_bytes/host.hpp"

using namespace starling;
using namespace starling::testing;

namespace {

std::optional<Host> host;  // of the program that runs now: run.js runs one at a time

void must(napi_status status) { STARLING_ENSURE(status == napi_ok); }

template <std::size_t count>
std::array<napi_value, count> arguments_of(napi_env env, napi_callback_info info) {
  std::array<napi_value, count> out{};
  std::size_t given = count;
  must(napi_get_cb_info(env, info, &given, out.data(), nullptr, nullptr));
  STARLING_ENSURE(given == count);
  return out;
}

std::uint64_t integer(napi_env env, napi_value value) {
  napi_valuetype type{};
  must(napi_typeof(env, value, &type));
  if (type == napi_bigint) {
    std::int64_t out = 0;
    bool lossless = false;
    must(napi_get_value_bigint_int64(env, value, &out, &lossless));
    return static_cast<std::uint64_t>(out);
  }
  std::int32_t out = 0;
  must(napi_get_value_int32(env, value, &out));
  return static_cast<std::uint32_t>(out);
}

std::string text(napi_env env, napi_value value) {
  std::size_t size = 0;
  must(napi_get_value_string_utf8(env, value, nullptr, 0, &size));
  std::string out(size + 1, '\0');
  must(napi_get_value_string_utf8(env, value, out.data(), out.size(), &size));
  out.resize(size);
  return out;
}

std::span<std::byte> buffer(napi_env env, napi_value value) {
  void* data = nullptr;
  std::size_t size = 0;
  must(napi_get_arraybuffer_info(env, value, &data, &size));
  return {static_cast<std::byte*>(data), size};
}

std::vector<napi_value> elements(napi_env env, napi_value array) {
  std::uint32_t count = 0;
  must(napi_get_array_length(env, array, &count));
  std::vector<napi_value> out(count);
  for (std::uint32_t i = 0; i < count; ++i) must(napi_get_element(env, array, i, &out[i]));
  return out;
}

std::vector<std::uint64_t> integers(napi_env env, napi_value array) {
  std::vector<std::uint64_t> out;
  for (const napi_value one : elements(env, array)) out.push_back(integer(env, one));
  return out;
}

napi_value string_value(napi_env env, std::string_view from) {
  napi_value out{};
  must(napi_create_string_utf8(env, from.data(), from.size(), &out));
  return out;
}

// functions(): "name" or "name!" for those without a result, in order of the table.
napi_value functions(napi_env env, napi_callback_info) {
  napi_value out{};
  must(napi_create_array(env, &out));
  std::uint32_t index = 0;
  for (const auto& one : execution::wasi::functions())
    must(napi_set_element(env, out, index++, string_value(env, std::string(one.name) + (one.returns_errno ? "" : "!"))));
  return out;
}

// begin(fuel_max, memory_pages, table_elements, [argument...], input in hex)
napi_value begin(napi_env env, napi_callback_info info) {
  const auto args = arguments_of<5>(env, info);
  std::vector<std::string> words;
  for (const napi_value one : elements(env, args[3])) words.push_back(text(env, one));
  const auto input = base::from_hex(text(env, args[4]));
  STARLING_ENSURE(input.has_value());
  host.emplace(RunLimits{integer(env, args[0]), integer(env, args[1]), integer(env, args[2])}, words, *input);
  return nullptr;
}

// [number, bits, number, bits...]
std::vector<NumberedGlobal> globals_of(napi_env env, napi_value array) {
  const auto words = integers(env, array);
  std::vector<NumberedGlobal> out;
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) out.push_back({static_cast<std::uint32_t>(words[i]), words[i + 1]});
  return out;
}

napi_value balance_value(napi_env env, std::int64_t balance) {
  napi_value out = nullptr;
  must(napi_create_bigint_int64(env, balance, &out));
  return out;
}

// slice(memory, [balance, a, b, c, d], globals): the new balance, or undefined
napi_value slice(napi_env env, napi_callback_info info) {
  const auto args = arguments_of<3>(env, info);
  const auto values = integers(env, args[1]);
  STARLING_ENSURE(values.size() == 5);
  const auto next = host->slice(static_cast<std::int64_t>(values[0]), std::span<const std::uint64_t, 4>(values.data() + 1, 4),
                                globals_of(env, args[2]), buffer(env, args[0]));
  return next ? balance_value(env, *next) : nullptr;
}

// call(function, memory, [argument...], balance): [errno, new balance]; errno undefined when the program must not go on
napi_value call(napi_env env, napi_callback_info info) {
  const auto args = arguments_of<4>(env, info);
  const auto values = integers(env, args[2]);
  auto balance = static_cast<std::int64_t>(integer(env, args[3]));
  const auto error = host->call(integer(env, args[0]), buffer(env, args[1]), values, balance);
  napi_value out = nullptr, code = nullptr;
  must(napi_create_array(env, &out));
  if (!host->ended()) {
    must(napi_create_int32(env, static_cast<std::int32_t>(error), &code));
    must(napi_set_element(env, out, 0, code));
  }
  must(napi_set_element(env, out, 1, balance_value(env, balance)));
  return out;
}

napi_value fail(napi_env env, napi_callback_info info) {
  host->fail(static_cast<std::uint32_t>(integer(env, arguments_of<1>(env, info)[0])));
  return nullptr;
}

// finish(trap, balance, globals, memory): the row
napi_value finish(napi_env env, napi_callback_info info) {
  const auto args = arguments_of<4>(env, info);
  const auto globals = globals_of(env, args[2]);
  const Row row = host->finish(text(env, args[0]), static_cast<std::int64_t>(integer(env, args[1])), globals, buffer(env, args[3]));
  host.reset();
  return string_value(env, to_line(row));
}

}  // namespace

NAPI_MODULE_INIT() {
  const auto add = [&](const char* name, napi_callback function) {
    napi_value value{};
    must(napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value));
    must(napi_set_named_property(env, exports, name, value));
  };
  add("functions", functions);
  add("begin", begin);
  add("slice", slice);
  add("call", call);
  add("fail", fail);
  add("finish", finish);
  return exports;
}
