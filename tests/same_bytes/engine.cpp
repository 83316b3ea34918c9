#include "tests/same_bytes/engine.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <functional>

#include "coordinator-less/base/check.hpp"
#include "worker/execution/archive.hpp"
#include "worker/execution/executor/wasmedge_handles.hpp"
#include "worker/execution/instrument/instrument.hpp"

namespace starling::testing {
namespace {

namespace wasi = execution::wasi;
namespace instrument = execution::instrument;
using execution::TrapClass;

using namespace execution::wasmedge;

constexpr std::uint64_t page_bytes = 65536;
constexpr std::uint32_t globals_max = 200;  // as run.js

Configure configuration() {
  Configure out(WasmEdge_ConfigureCreate());
  WasmEdge_ConfigureAddProposal(out.get(), WasmEdge_Proposal_ExtendedConst);
  return out;
}

const char* trap_name(std::uint32_t code) {
  switch (code) {
    case WasmEdge_ErrCode_Unreachable: return "unreachable";
    case WasmEdge_ErrCode_DivideByZero: return "divide_by_zero";
    // V8 tells neither a NaN from a number too large nor a wrong index from a wrong type.
    case WasmEdge_ErrCode_IntegerOverflow:
    case WasmEdge_ErrCode_InvalidConvToInt: return "not_representable";
    case WasmEdge_ErrCode_MemoryOutOfBounds:
    case WasmEdge_ErrCode_DataSegDoesNotFit: return "memory_bounds";
    case WasmEdge_ErrCode_TableOutOfBounds:
    case WasmEdge_ErrCode_ElemSegDoesNotFit: return "table";
    case WasmEdge_ErrCode_UninitializedElement:
    case WasmEdge_ErrCode_UndefinedElement:
    case WasmEdge_ErrCode_IndirectCallTypeMismatch:
    case WasmEdge_ErrCode_AccessNullFunc: return "table";
    default: return "other";
  }
}

std::span<std::byte> bytes_of(WasmEdge_MemoryInstanceContext* memory) {
  if (memory == nullptr) return {};
  const std::uint64_t size = WasmEdge_MemoryInstanceGetPageSize(memory) * page_bytes;
  if (size == 0) return {};
  return {reinterpret_cast<std::byte*>(WasmEdge_MemoryInstanceGetPointer(memory, 0, 1)), static_cast<std::size_t>(size)};
}

// The host and where the guest keeps what it needs.
struct Guest {
  Host& host;
  WasmEdge_GlobalInstanceContext* fuel = nullptr;
  std::vector<std::pair<std::uint32_t, WasmEdge_GlobalInstanceContext*>> globals;

  std::int64_t balance() const { return fuel == nullptr ? 0 : WasmEdge_ValueGetI64(WasmEdge_GlobalInstanceGetValue(fuel)); }
  void set_balance(std::int64_t value) const {
    if (fuel != nullptr) WasmEdge_GlobalInstanceSetValue(fuel, WasmEdge_ValueGenI64(value));
  }
  std::vector<NumberedGlobal> values() const;
};

struct Binding {
  Guest* guest = nullptr;
  std::size_t function = 0;
};

FunctionType type_of(std::string_view parameters, std::string_view results) {
  const auto types = [](std::string_view letters) {
    std::vector<WasmEdge_ValType> out;
    for (const char letter : letters) out.push_back(letter == 'I' ? WasmEdge_ValTypeGenI64() : WasmEdge_ValTypeGenI32());
    return out;
  };
  const auto in = types(parameters), out = types(results);
  return FunctionType(WasmEdge_FunctionTypeCreate(in.data(), static_cast<std::uint32_t>(in.size()), out.data(), static_cast<std::uint32_t>(out.size())));
}

std::span<std::byte> memory_of(const WasmEdge_CallingFrameContext* frame) { return bytes_of(WasmEdge_CallingFrameGetMemoryInstance(frame, 0)); }

WasmEdge_Result call_wasi(void* data, const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* parameters, WasmEdge_Value* returns) {
  const Binding& binding = *static_cast<const Binding*>(data);
  const wasi::Function& function = wasi::functions()[binding.function];
  std::array<std::uint64_t, 16> args{};
  for (std::size_t i = 0; i < function.parameters.size(); ++i)
    args[i] = function.parameters[i] == 'I' ? static_cast<std::uint64_t>(WasmEdge_ValueGetI64(parameters[i]))
                                            : static_cast<std::uint32_t>(WasmEdge_ValueGetI32(parameters[i]));
  std::int64_t balance = binding.guest->balance();
  const wasi::Errno error = binding.guest->host.call(binding.function, memory_of(frame), {args.data(), function.parameters.size()}, balance);
  binding.guest->set_balance(balance);
  if (binding.guest->host.ended()) return WasmEdge_Result_Terminate;
  if (function.returns_errno) returns[0] = WasmEdge_ValueGenI32(static_cast<std::int32_t>(error));
  return WasmEdge_Result_Success;
}

WasmEdge_Result call_slice(void* data, const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* parameters, WasmEdge_Value* returns) {
  std::array<std::uint64_t, 4> live{};
  for (std::size_t i = 0; i < live.size(); ++i) live[i] = static_cast<std::uint64_t>(WasmEdge_ValueGetI64(parameters[i + 1]));
  const Guest& guest = *static_cast<const Guest*>(data);
  const auto next = guest.host.slice(WasmEdge_ValueGetI64(parameters[0]), live, guest.values(), memory_of(frame));
  if (!next) return WasmEdge_Result_Terminate;
  returns[0] = WasmEdge_ValueGenI64(*next);
  return WasmEdge_Result_Success;
}

WasmEdge_Result call_fail(void* data, const WasmEdge_CallingFrameContext*, const WasmEdge_Value* parameters, WasmEdge_Value*) {
  static_cast<const Guest*>(data)->host.fail(static_cast<std::uint32_t>(WasmEdge_ValueGetI32(parameters[0])));
  return WasmEdge_Result_Terminate;
}

WasmEdge_GlobalInstanceContext* global_of(const Instance& instance, std::string_view name) {
  return WasmEdge_ModuleInstanceFindGlobal(instance.get(), wrap(name));
}

std::uint64_t bits_of(WasmEdge_Value value) {
  if (WasmEdge_ValTypeIsI32(value.Type)) return static_cast<std::uint32_t>(WasmEdge_ValueGetI32(value));
  if (WasmEdge_ValTypeIsI64(value.Type)) return static_cast<std::uint64_t>(WasmEdge_ValueGetI64(value));
  return 0;  // JavaScript shows floats as numbers, in which NaNs have no bits
}

std::vector<NumberedGlobal> Guest::values() const {
  std::vector<NumberedGlobal> out;
  for (const auto& [number, global] : globals) out.push_back({number, bits_of(WasmEdge_GlobalInstanceGetValue(global))});
  return out;
}

Instance imports_of(const char* module) { return Instance(WasmEdge_ModuleInstanceCreate(wrap(module))); }

double thread_cpu_s() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

Row run_here(const Ast& ast, const Job& job) {
  Host host(job.limits, job.arguments, job.input);
  Guest guest{host, nullptr, {}};
  std::deque<Binding> bindings;
  const Instance wasi_module = imports_of("wasi_snapshot_preview1");
  for (std::size_t i = 0; i < wasi::functions().size(); ++i) {
    const auto& function = wasi::functions()[i];
    bindings.push_back({&guest, i});
    WasmEdge_ModuleInstanceAddFunction(wasi_module.get(), wrap(function.name),
        WasmEdge_FunctionInstanceCreate(type_of(function.parameters, function.returns_errno ? "i" : "").get(), call_wasi, &bindings.back(), 0));
  }
  const Instance own = imports_of("starling");
  WasmEdge_ModuleInstanceAddFunction(own.get(), wrap(instrument::slice_name),
      WasmEdge_FunctionInstanceCreate(type_of("IIIII", "I").get(), call_slice, &guest, 0));
  WasmEdge_ModuleInstanceAddFunction(own.get(), wrap(instrument::fail_name),
      WasmEdge_FunctionInstanceCreate(type_of("i", "").get(), call_fail, &guest, 0));
  const Configure conf = configuration();
  const Executor executor(WasmEdge_ExecutorCreate(conf.get(), nullptr));
  const Store store(WasmEdge_StoreCreate());
  STARLING_ENSURE(WasmEdge_ResultOK(WasmEdge_ExecutorRegisterImport(executor.get(), store.get(), wasi_module.get())));
  STARLING_ENSURE(WasmEdge_ResultOK(WasmEdge_ExecutorRegisterImport(executor.get(), store.get(), own.get())));

  WasmEdge_ModuleInstanceContext* raw = nullptr;
  auto result = WasmEdge_ExecutorInstantiate(executor.get(), &raw, store.get(), ast.get());
  const Instance instance(raw);
  if (!WasmEdge_ResultOK(result)) return host.finish(trap_name(WasmEdge_ResultGetCode(result)), 0, {}, {});
  // A program that was not instrumented has none of these.
  const auto put = [&](std::string_view name, std::uint64_t value) {
    if (auto* global = global_of(instance, name)) WasmEdge_GlobalInstanceSetValue(global, WasmEdge_ValueGenI64(static_cast<std::int64_t>(value)));
  };
  put(instrument::memory_pages_export, job.limits.memory_pages);
  put(instrument::table_elements_export, job.limits.table_elements);
  guest.fuel = global_of(instance, instrument::fuel_export);
  for (std::uint32_t i = 0; i < globals_max; ++i)
    if (auto* global = global_of(instance, "starling.global." + std::to_string(i))) guest.globals.emplace_back(i, global);
  const double begun_s = thread_cpu_s();
  for (const std::string_view entry : {instrument::start_export, std::string_view("_start")}) {
    const auto* function = WasmEdge_ModuleInstanceFindFunction(instance.get(), wrap(entry));
    if (function == nullptr || !WasmEdge_ResultOK(result) || host.ended()) continue;
    result = WasmEdge_ExecutorInvoke(executor.get(), function, nullptr, 0, nullptr, 0);
  }
  const double cpu_s = thread_cpu_s() - begun_s;
  auto* memory = WasmEdge_ModuleInstanceFindMemory(instance.get(), wrap("memory"));
  Row row = host.finish(WasmEdge_ResultOK(result) ? "" : trap_name(WasmEdge_ResultGetCode(result)), guest.balance(), guest.values(), bytes_of(memory));
  row.cpu_s = cpu_s;
  return row;
}

// Runs `work` on its own stack; how deep it was touched. Large frames leave pages out.
std::uint64_t on_large_stack(std::function<void()> work) {
  constexpr std::size_t size = std::size_t{4} << 30;
  void* stack = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  STARLING_ENSURE(stack != MAP_FAILED);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  STARLING_ENSURE(pthread_attr_setstack(&attributes, stack, size) == 0);
  pthread_t thread{};
  const auto body = [](void* argument) -> void* {
    (*static_cast<std::function<void()>*>(argument))();
    return nullptr;
  };
  STARLING_ENSURE(pthread_create(&thread, &attributes, body, &work) == 0);
  pthread_join(thread, nullptr);
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident(size / page);
  std::uint64_t touched = 0;
  if (::mincore(stack, size, resident.data()) == 0)
    touched = static_cast<std::uint64_t>(resident.end() - std::ranges::find_if(resident, [](unsigned char one) { return (one & 1) != 0; })) * page;
  ::munmap(stack, size);
  return touched;
}

struct LoadedAst {
  Ast ast;
  std::string problem;
};

LoadedAst validated(const Configure& conf, WasmEdge_ASTModuleContext* raw, WasmEdge_Result loading) {
  LoadedAst out{Ast(raw), {}};
  if (!WasmEdge_ResultOK(loading)) {
    out.problem = std::string("load: ") + WasmEdge_ResultGetMessage(loading);
    return out;
  }
  const Validator validator(WasmEdge_ValidatorCreate(conf.get()));
  const auto result = WasmEdge_ValidatorValidate(validator.get(), raw);
  if (!WasmEdge_ResultOK(result)) out.problem = std::string("validate: ") + WasmEdge_ResultGetMessage(result);
  return out;
}

LoadedAst load_bytes(base::ByteView wasm) {
  const Configure conf = configuration();
  WasmEdge_ConfigureSetForceInterpreter(conf.get(), true);
  const Loader loader(WasmEdge_LoaderCreate(conf.get()));
  WasmEdge_ASTModuleContext* raw = nullptr;
  const auto bytes = WasmEdge_BytesWrap(reinterpret_cast<const std::uint8_t*>(wasm.data()), static_cast<std::uint32_t>(wasm.size()));
  const auto result = WasmEdge_LoaderParseFromBytes(loader.get(), &raw, bytes);
  return validated(conf, raw, result);
}

LoadedAst load_compiled(base::ByteView wasm, int level, const std::string& folder) {
  const Configure conf = configuration();
  const Loader loader(WasmEdge_LoaderCreate(conf.get()));
  WasmEdge_ASTModuleContext* raw = nullptr;
  Hash name;
  name.add(wasm);
  const std::string to = folder + "/" + std::to_string(name.value()) + "-O" + std::to_string(level) + ".so";
  if (::access(to.c_str(), R_OK) == 0) {  // the same program with other arguments
    const auto result = WasmEdge_LoaderParseFromFile(loader.get(), &raw, to.c_str());
    return validated(conf, raw, result);
  }
  WasmEdge_ConfigureCompilerSetOptimizationLevel(conf.get(), static_cast<WasmEdge_CompilerOptimizationLevel>(level));
  WasmEdge_ConfigureCompilerSetOutputFormat(conf.get(), WasmEdge_CompilerOutputFormat_Native);
  const Compiler compiler(WasmEdge_CompilerCreate(conf.get()));
  const auto bytes = WasmEdge_BytesWrap(reinterpret_cast<const std::uint8_t*>(wasm.data()), static_cast<std::uint32_t>(wasm.size()));
  const auto compiled = WasmEdge_CompilerCompileFromBytes(compiler.get(), bytes, to.c_str());
  if (!WasmEdge_ResultOK(compiled)) return {nullptr, std::string("compile: ") + WasmEdge_ResultGetMessage(compiled)};
  const auto result = WasmEdge_LoaderParseFromFile(loader.get(), &raw, to.c_str());
  return validated(conf, raw, result);
}

}  // namespace

const char* name_of(Tier tier) {
  static constexpr std::array<const char*, 3> names = {"interpreter", "aot-O0", "aot-O2"};
  return names.at(static_cast<std::size_t>(tier));
}

std::string refusal_of(base::ByteView wasm) { return load_bytes(wasm).problem; }

Row run_in_engine(Tier tier, const Job& job, const std::string& folder) {
  WasmEdge_LogOff();
  const LoadedAst loaded = tier == Tier::interpreter ? load_bytes(job.wasm) : load_compiled(job.wasm, tier == Tier::aot_O0 ? 0 : 2, folder);
  Row row;
  if (!loaded.problem.empty()) {
    row.kind = "refused";
    row.code = loaded.problem;
    std::ranges::replace(row.code, ' ', '_');
    return row;
  }
  const std::uint64_t touched = on_large_stack([&] { row = run_here(loaded.ast, job); });
  row.stack_bytes = touched;
  return row;
}

}  // namespace starling::testing
