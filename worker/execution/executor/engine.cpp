#include "worker/execution/executor/engine.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <deque>
#include <filesystem>
#include <vector>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "worker/execution/executor/guest_faults.hpp"
#include "worker/execution/executor/module_scan.hpp"
#include "worker/execution/executor/wasmedge_handles.hpp"
#include "worker/execution/guest_stack.hpp"
#include "worker/execution/instrument/instrument.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::execution {
namespace {

using namespace wasmedge;

constexpr std::uint64_t page_bytes = 65536;
constexpr std::string_view entry_point = "_start";
constexpr std::string_view memory_name = "memory";
constexpr std::string_view global_export_prefix = "starling.global.";
constexpr const char* feature_hint =
    "compile for wasm32-wasip1 without threads, atomics, tail calls, relaxed SIMD, memory64, several memories or exceptions";

Configure configuration() {
  Configure out(WasmEdge_ConfigureCreate());
  for (const auto on : {WasmEdge_Proposal_ImportExportMutGlobals, WasmEdge_Proposal_NonTrapFloatToIntConversions,
                        WasmEdge_Proposal_SignExtensionOperators, WasmEdge_Proposal_MultiValue,
                        WasmEdge_Proposal_BulkMemoryOperations, WasmEdge_Proposal_ReferenceTypes, WasmEdge_Proposal_SIMD,
                        WasmEdge_Proposal_ExtendedConst})
    WasmEdge_ConfigureAddProposal(out.get(), on);
  for (const auto off : {WasmEdge_Proposal_TailCall, WasmEdge_Proposal_FunctionReferences, WasmEdge_Proposal_GC,
                         WasmEdge_Proposal_MultiMemories, WasmEdge_Proposal_Threads, WasmEdge_Proposal_RelaxSIMD,
                         WasmEdge_Proposal_Annotations, WasmEdge_Proposal_Memory64, WasmEdge_Proposal_ExceptionHandling,
                         WasmEdge_Proposal_Component})
    WasmEdge_ConfigureRemoveProposal(out.get(), off);
  return out;
}

// What a program may import, as the instrumenter asks for it.
std::vector<instrument::KnownImport> known_imports() {
  std::vector<instrument::KnownImport> out;
  for (const auto& function : wasi::functions())
    out.push_back({wasi::module_name, function.name, function.parameters, function.returns_errno});
  return out;
}

std::string_view view_of(WasmEdge_String text) { return {text.Buf, text.Length}; }

ModuleProblem problem(std::string message, std::string hint) { return {true, std::move(message), std::move(hint)}; }

// Errors of the loading and validation phases that come from the module's bytes, not from this machine.
bool is_guests_fault(WasmEdge_Result result) {
  const std::uint32_t code = WasmEdge_ResultGetCode(result);
  return (code > WasmEdge_ErrCode_ReadError && code < 0x0300) && code != WasmEdge_ErrCode_IntrinsicsTableNotFound;
}

FunctionType type_of(const wasi::Function& function) {
  std::array<WasmEdge_ValType, 16> parameters{};
  STARLING_ENSURE(function.parameters.size() <= parameters.size());
  for (std::size_t i = 0; i < function.parameters.size(); ++i)
    parameters[i] = function.parameters[i] == 'I' ? WasmEdge_ValTypeGenI64() : WasmEdge_ValTypeGenI32();
  const WasmEdge_ValType result = WasmEdge_ValTypeGenI32();
  return FunctionType(WasmEdge_FunctionTypeCreate(parameters.data(), static_cast<std::uint32_t>(function.parameters.size()),
                                                  &result, function.returns_errno ? 1 : 0));
}

bool has_type(const WasmEdge_FunctionTypeContext* type, std::string_view parameters, bool one_i32_result) {
  if (type == nullptr) return false;
  std::array<WasmEdge_ValType, 16> found{};
  const std::uint32_t count = WasmEdge_FunctionTypeGetParameters(type, found.data(), found.size());
  if (count != parameters.size()) return false;
  for (std::size_t i = 0; i < count; ++i)
    if (!(parameters[i] == 'I' ? WasmEdge_ValTypeIsI64(found[i]) : WasmEdge_ValTypeIsI32(found[i]))) return false;
  if (WasmEdge_FunctionTypeGetReturnsLength(type) != (one_i32_result ? 1U : 0U)) return false;
  if (!one_i32_result) return true;
  WasmEdge_FunctionTypeGetReturns(type, found.data(), 1);
  return WasmEdge_ValTypeIsI32(found[0]);
}

std::vector<const WasmEdge_ImportTypeContext*> imports_of(const WasmEdge_ASTModuleContext* ast) {
  std::vector<const WasmEdge_ImportTypeContext*> out(WasmEdge_ASTModuleListImportsLength(ast));
  WasmEdge_ASTModuleListImports(ast, out.data(), static_cast<std::uint32_t>(out.size()));
  return out;
}

std::vector<const WasmEdge_ExportTypeContext*> exports_of(const WasmEdge_ASTModuleContext* ast) {
  std::vector<const WasmEdge_ExportTypeContext*> out(WasmEdge_ASTModuleListExportsLength(ast));
  WasmEdge_ASTModuleListExports(ast, out.data(), static_cast<std::uint32_t>(out.size()));
  return out;
}

const WasmEdge_ExportTypeContext* find_export(const WasmEdge_ASTModuleContext* ast, std::string_view name,
                                              WasmEdge_ExternalType kind) {
  for (const auto* one : exports_of(ast))
    if (view_of(WasmEdge_ExportTypeGetExternalName(one)) == name && WasmEdge_ExportTypeGetExternalType(one) == kind) return one;
  return nullptr;
}

std::optional<ModuleProblem> check_interface(const WasmEdge_ASTModuleContext* ast) {
  const auto* start = find_export(ast, entry_point, WasmEdge_ExternalType_Function);
  if (start == nullptr || !has_type(WasmEdge_ExportTypeGetFunctionType(ast, start), "", false))
    return problem("the program has no _start function", "compile it as a command (with a main function), not as a library");
  if (find_export(ast, memory_name, WasmEdge_ExternalType_Memory) == nullptr)
    return problem("the program does not export its memory", "link it with the memory exported as \"memory\"");
  return std::nullopt;
}

// Nothing: it ran to its end.
std::optional<TrapClass> trap_of(WasmEdge_Result result) {
  if (WasmEdge_ResultOK(result)) return std::nullopt;
  switch (WasmEdge_ResultGetCode(result)) {
    case WasmEdge_ErrCode_Unreachable: return TrapClass::unreachable;
    case WasmEdge_ErrCode_DivideByZero: return TrapClass::divide_by_zero;
    case WasmEdge_ErrCode_IntegerOverflow: return TrapClass::integer_overflow;
    case WasmEdge_ErrCode_InvalidConvToInt: return TrapClass::bad_conversion;
    case WasmEdge_ErrCode_MemoryOutOfBounds:
    case WasmEdge_ErrCode_DataSegDoesNotFit: return TrapClass::memory_bounds;
    case WasmEdge_ErrCode_TableOutOfBounds:
    case WasmEdge_ErrCode_ElemSegDoesNotFit: return TrapClass::table_bounds;
    case WasmEdge_ErrCode_UninitializedElement:
    case WasmEdge_ErrCode_UndefinedElement:
    case WasmEdge_ErrCode_IndirectCallTypeMismatch:
    case WasmEdge_ErrCode_AccessNullFunc: return TrapClass::indirect_call;
    default: return TrapClass::other;
  }
}

}  // namespace

std::string engine_version() { return std::string("wasmedge ") + WasmEdge_VersionGet(); }

struct Module::Handle {
  Ast ast;
  bool is_native = false;
};

Module::Module(std::unique_ptr<Handle> handle, instrument::Report report) : handle_(std::move(handle)), report_(std::move(report)) {}
Module::~Module() = default;

namespace {

using Loaded = std::expected<std::shared_ptr<const Module>, ModuleProblem>;

Loaded finish_loading(const Configure& conf, WasmEdge_ASTModuleContext* raw, WasmEdge_Result parsed, instrument::Report report,
                      bool is_native = false) {
  Ast ast(raw);
  WasmEdge_Result result = parsed;
  if (WasmEdge_ResultOK(result)) {
    const Validator validator(WasmEdge_ValidatorCreate(conf.get()));
    result = WasmEdge_ValidatorValidate(validator.get(), ast.get());
  }
  if (!WasmEdge_ResultOK(result)) {
    ModuleProblem out = problem(std::string("not a valid WebAssembly 2.0 module: ") + WasmEdge_ResultGetMessage(result), feature_hint);
    out.guests_fault = is_guests_fault(result);
    return std::unexpected(std::move(out));
  }
  if (auto found = check_interface(ast.get())) return std::unexpected(std::move(*found));
  auto handle = std::make_unique<Module::Handle>();
  handle->ast = std::move(ast);
  handle->is_native = is_native;
  return std::make_shared<const Module>(std::move(handle), std::move(report));
}

}  // namespace

std::expected<instrument::Instrumented, ModuleProblem> instrumented(base::ByteView wasm) {
  if (const auto wrong = scan_module(wasm)) return std::unexpected(problem(wrong->message, wrong->hint));
  const auto imports = known_imports();
  instrument::Options options;
  options.imports = imports;
  auto made = instrument::instrument(wasm, options);
  if (!made) return std::unexpected(problem(made.error().message, made.error().hint));
  if (made->report.table_elements_min > options.table_elements_max)
    return std::unexpected(problem("its tables begin with " + std::to_string(made->report.table_elements_min) + " elements; at most " +
                                       std::to_string(options.table_elements_max) + " are offered", "build it with smaller tables"));
  return std::move(*made);
}

Loaded Module::from_bytes(base::ByteView program) {
  auto made = instrumented(program);
  if (!made) return std::unexpected(made.error());
  const base::ByteView wasm = made->module;
  const Configure conf = configuration();
  WasmEdge_ConfigureSetForceInterpreter(conf.get(), true);
  const Loader loader(WasmEdge_LoaderCreate(conf.get()));
  WasmEdge_ASTModuleContext* ast = nullptr;
  const auto bytes = WasmEdge_BytesWrap(reinterpret_cast<const std::uint8_t*>(wasm.data()), static_cast<std::uint32_t>(wasm.size()));
  const auto result = WasmEdge_LoaderParseFromBytes(loader.get(), &ast, bytes);
  return finish_loading(conf, ast, result, std::move(made->report));
}

Loaded Module::from_native(const std::string& path) {
  const Configure conf = configuration();
  const Loader loader(WasmEdge_LoaderCreate(conf.get()));
  WasmEdge_ASTModuleContext* ast = nullptr;
  const auto result = WasmEdge_LoaderParseFromFile(loader.get(), &ast, path.c_str());
  return finish_loading(conf, ast, result, {}, true);
}

std::uint64_t Module::memory_pages_min() const {
  const auto* memory = find_export(handle_->ast.get(), memory_name, WasmEdge_ExternalType_Memory);
  return WasmEdge_MemoryTypeGetLimit(WasmEdge_ExportTypeGetMemoryType(handle_->ast.get(), memory)).Min;
}

std::optional<std::uint64_t> Module::memory_pages_max() const {
  const auto* memory = find_export(handle_->ast.get(), memory_name, WasmEdge_ExternalType_Memory);
  const auto limit = WasmEdge_MemoryTypeGetLimit(WasmEdge_ExportTypeGetMemoryType(handle_->ast.get(), memory));
  if (!limit.HasMax) return std::nullopt;
  return limit.Max;
}

std::string Module::imports() const {
  std::string out;
  for (const auto* import : imports_of(handle_->ast.get())) {
    if (view_of(WasmEdge_ImportTypeGetModuleName(import)) == instrument::host_module) continue;
    if (!out.empty()) out += ",";
    out += view_of(WasmEdge_ImportTypeGetExternalName(import));
  }
  return out;
}

std::optional<ModuleProblem> compile_module(base::ByteView wasm, const std::string& out, int optimisation_level) {
  const Configure conf = configuration();
  WasmEdge_ConfigureCompilerSetOptimizationLevel(conf.get(), static_cast<WasmEdge_CompilerOptimizationLevel>(optimisation_level));
  WasmEdge_ConfigureCompilerSetOutputFormat(conf.get(), WasmEdge_CompilerOutputFormat_Native);
  const Compiler compiler(WasmEdge_CompilerCreate(conf.get()));
  const auto bytes = WasmEdge_BytesWrap(reinterpret_cast<const std::uint8_t*>(wasm.data()), static_cast<std::uint32_t>(wasm.size()));
  const auto result = WasmEdge_CompilerCompileFromBytes(compiler.get(), bytes, out.c_str());
  if (WasmEdge_ResultOK(result)) return std::nullopt;
  return ModuleProblem{is_guests_fault(result), std::string("the compiler refused: ") + WasmEdge_ResultGetMessage(result), ""};
}

namespace {

using GlobalBytes = std::array<std::byte, 16>;

GlobalBytes bytes_of(WasmEdge_Value value) {
  GlobalBytes out{};
  const auto put = [&out](auto number) { std::memcpy(out.data(), &number, sizeof number); };
  if (WasmEdge_ValTypeIsI32(value.Type)) put(WasmEdge_ValueGetI32(value));
  else if (WasmEdge_ValTypeIsI64(value.Type)) put(WasmEdge_ValueGetI64(value));
  else if (WasmEdge_ValTypeIsF32(value.Type)) put(WasmEdge_ValueGetF32(value));
  else if (WasmEdge_ValTypeIsF64(value.Type)) put(WasmEdge_ValueGetF64(value));
  else put(WasmEdge_ValueGetV128(value));
  return out;
}

// The program's mutable numeric globals, as the instrumenter exports them, in their order.
class Globals {
 public:
  Globals() = default;
  explicit Globals(const WasmEdge_ModuleInstanceContext* instance) {
    std::vector<WasmEdge_String> names(WasmEdge_ModuleInstanceListGlobalLength(instance));
    WasmEdge_ModuleInstanceListGlobal(instance, names.data(), static_cast<std::uint32_t>(names.size()));
    for (const auto& name : names)
      if (const auto number = number_of(view_of(name))) numbered_.emplace_back(*number, WasmEdge_ModuleInstanceFindGlobal(instance, name));
    std::ranges::sort(numbered_, {}, [](const auto& one) { return one.first; });
  }
  std::span<const GlobalBytes> read() {
    values_.clear();
    for (const auto& [number, global] : numbered_) values_.push_back(bytes_of(WasmEdge_GlobalInstanceGetValue(global)));
    return values_;
  }
  std::optional<std::uint32_t> stack_pointer() const {
    if (numbered_.empty() || numbered_.front().first != 0) return std::nullopt;
    const auto value = WasmEdge_GlobalInstanceGetValue(numbered_.front().second);
    if (!WasmEdge_ValTypeIsI32(value.Type)) return std::nullopt;
    return static_cast<std::uint32_t>(WasmEdge_ValueGetI32(value));
  }

 private:
  static std::optional<std::uint32_t> number_of(std::string_view name) {
    if (!name.starts_with(global_export_prefix)) return std::nullopt;
    name.remove_prefix(global_export_prefix.size());
    std::uint32_t out = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), out).ec != std::errc()) return std::nullopt;
    return out;
  }

  std::vector<std::pair<std::uint32_t, WasmEdge_GlobalInstanceContext*>> numbered_;
  std::vector<GlobalBytes> values_;
};

std::span<std::byte> memory_of(const WasmEdge_CallingFrameContext* frame) {
  auto* memory = WasmEdge_CallingFrameGetMemoryInstance(frame, 0);
  const std::uint64_t size = memory == nullptr ? 0 : WasmEdge_MemoryInstanceGetPageSize(memory) * page_bytes;
  if (size == 0) return {};
  return {reinterpret_cast<std::byte*>(WasmEdge_MemoryInstanceGetPointer(memory, 0, 1)), static_cast<std::size_t>(size)};
}

// Where it begins, or will when it grows; null when the host had no room for it.
std::byte* first_byte(WasmEdge_MemoryInstanceContext* memory) {
  return memory == nullptr ? nullptr : reinterpret_cast<std::byte*>(WasmEdge_MemoryInstanceGetPointer(memory, 0, 0));
}

// The engine leaves a memory without bytes when the host has no room for it, and would take every access for the guest's trap.
bool has_its_memory(const WasmEdge_ModuleInstanceContext* instance) {
  auto* memory = WasmEdge_ModuleInstanceFindMemory(instance, wrap(memory_name));
  return memory == nullptr || WasmEdge_MemoryInstanceGetPageSize(memory) == 0 || first_byte(memory) != nullptr;
}

// The same of a module that did not come so far: a data segment found no room in such a memory, or none in the one it declares.
bool host_has_room(std::uint64_t pages) {
  if (pages == 0) return true;
  const WasmEdge_Limit limit{.HasMax = false, .Shared = false, .Min = static_cast<std::uint32_t>(pages), .Max = 0};
  const MemoryType type(WasmEdge_MemoryTypeCreate(limit));
  const Memory probe(WasmEdge_MemoryInstanceCreate(type.get()));
  return probe != nullptr && first_byte(probe.get()) != nullptr;
}

// Adds what is declared to what the instrumenter left there; false when the tables begin with more than that.
bool offer_table_elements(WasmEdge_ModuleInstanceContext* instance, std::uint64_t memory_bytes_max) {
  auto* global = WasmEdge_ModuleInstanceFindGlobal(instance, wrap(instrument::table_elements_export));
  if (global == nullptr) return false;
  const std::int64_t left = WasmEdge_ValueGetI64(WasmEdge_GlobalInstanceGetValue(global)) +
                            static_cast<std::int64_t>(memory_bytes_max / limits::table_element_bytes);
  static_cast<void>(WasmEdge_GlobalInstanceSetValue(global, WasmEdge_ValueGenI64(left)));
  return left >= 0;
}

bool set_global(WasmEdge_ModuleInstanceContext* instance, std::string_view name, std::uint64_t value) {
  auto* global = WasmEdge_ModuleInstanceFindGlobal(instance, wrap(name));
  return global != nullptr &&
         WasmEdge_ResultOK(WasmEdge_GlobalInstanceSetValue(global, WasmEdge_ValueGenI64(static_cast<std::int64_t>(value))));
}

}  // namespace

struct Lane::Handle {
  struct Binding {
    Handle* lane = nullptr;
    const wasi::Function* function = nullptr;
  };

  Handle();
  void set_pages(std::uint32_t pages);
  static WasmEdge_Result call(void* data, const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* parameters,
                              WasmEdge_Value* returns);
  static WasmEdge_Result slice(void* data, const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* parameters,
                               WasmEdge_Value* returns);
  static WasmEdge_Result fail(void* data, const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* parameters,
                              WasmEdge_Value* returns);
  WasmEdge_Result instantiate(const Module& module, wasi::State& state, WasmEdge_ModuleInstanceContext*& instance);
  WasmEdge_Result run(WasmEdge_ModuleInstanceContext* instance, std::uint64_t pages, bool fingerprinted, bool is_native);
  Moment moment(const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* live);
  std::int64_t balance() const { return fuel == nullptr ? 0 : WasmEdge_ValueGetI64(WasmEdge_GlobalInstanceGetValue(fuel)); }

  ItemHost* host = nullptr;  // of the item that runs now
  WasmEdge_GlobalInstanceContext* fuel = nullptr;
  Globals globals;
  std::deque<Binding> bindings;
  Instance imports;
  Instance own_imports;
  Store store;
  Executor executor;
  GuestStack stack;
  std::uint32_t pages = 0;
};

Lane::Handle::Handle()
    : imports(WasmEdge_ModuleInstanceCreate(wrap(wasi::module_name))),
      own_imports(WasmEdge_ModuleInstanceCreate(wrap(instrument::host_module))), store(WasmEdge_StoreCreate()) {
  for (const auto& function : wasi::functions()) {
    bindings.push_back({this, &function});
    const FunctionType type = type_of(function);
    WasmEdge_ModuleInstanceAddFunction(imports.get(), wrap(function.name),
                                       WasmEdge_FunctionInstanceCreate(type.get(), call, &bindings.back(), 0));
  }
  const std::array<WasmEdge_ValType, 5> five{WasmEdge_ValTypeGenI64(), WasmEdge_ValTypeGenI64(), WasmEdge_ValTypeGenI64(),
                                             WasmEdge_ValTypeGenI64(), WasmEdge_ValTypeGenI64()};
  const WasmEdge_ValType i32 = WasmEdge_ValTypeGenI32();
  const FunctionType slice_type(WasmEdge_FunctionTypeCreate(five.data(), five.size(), five.data(), 1));
  const FunctionType fail_type(WasmEdge_FunctionTypeCreate(&i32, 1, nullptr, 0));
  WasmEdge_ModuleInstanceAddFunction(own_imports.get(), wrap(instrument::slice_name),
                                     WasmEdge_FunctionInstanceCreate(slice_type.get(), slice, this, 0));
  WasmEdge_ModuleInstanceAddFunction(own_imports.get(), wrap(instrument::fail_name),
                                     WasmEdge_FunctionInstanceCreate(fail_type.get(), fail, this, 0));
  set_pages(1);
  STARLING_ENSURE(WasmEdge_ResultOK(WasmEdge_ExecutorRegisterImport(executor.get(), store.get(), imports.get())));
  STARLING_ENSURE(WasmEdge_ResultOK(WasmEdge_ExecutorRegisterImport(executor.get(), store.get(), own_imports.get())));
}

void Lane::Handle::set_pages(std::uint32_t count) {
  if (pages == count) return;
  const Configure conf = configuration();
  WasmEdge_ConfigureSetMaxMemoryPage(conf.get(), count);
  executor.reset(WasmEdge_ExecutorCreate(conf.get(), nullptr));
  pages = count;
}

WasmEdge_Result Lane::Handle::call(void* data, const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* parameters,
                                   WasmEdge_Value* returns) {
  const GuestFaults ours(nullptr);
  const Binding& binding = *static_cast<const Binding*>(data);
  std::array<std::uint64_t, 16> args{};
  const std::size_t count = binding.function->parameters.size();
  for (std::size_t i = 0; i < count; ++i)
    args[i] = binding.function->parameters[i] == 'I' ? static_cast<std::uint64_t>(WasmEdge_ValueGetI64(parameters[i]))
                                                     : static_cast<std::uint32_t>(WasmEdge_ValueGetI32(parameters[i]));
  Handle& lane = *binding.lane;
  std::int64_t balance = lane.balance();
  const wasi::Errno error = lane.host->call(*binding.function, memory_of(frame), {args.data(), count}, balance);
  static_cast<void>(WasmEdge_GlobalInstanceSetValue(lane.fuel, WasmEdge_ValueGenI64(balance)));
  if (lane.host->ended()) return WasmEdge_Result_Terminate;
  if (binding.function->returns_errno) returns[0] = WasmEdge_ValueGenI32(static_cast<std::int32_t>(error));
  return WasmEdge_Result_Success;
}

WasmEdge_Result Lane::Handle::slice(void* data, const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* parameters,
                                    WasmEdge_Value* returns) {
  const GuestFaults ours(nullptr);
  Handle& lane = *static_cast<Handle*>(data);
  const auto balance = lane.host->slice(WasmEdge_ValueGetI64(parameters[0]), [&] { return lane.moment(frame, parameters + 1); });
  if (!balance) return WasmEdge_Result_Terminate;
  returns[0] = WasmEdge_ValueGenI64(*balance);
  return WasmEdge_Result_Success;
}

Moment Lane::Handle::moment(const WasmEdge_CallingFrameContext* frame, const WasmEdge_Value* live) {
  Moment out;
  for (std::size_t i = 0; i < out.live.size(); ++i) out.live[i] = static_cast<std::uint64_t>(WasmEdge_ValueGetI64(live[i]));
  out.globals = globals.read();
  out.stack_pointer = globals.stack_pointer();
  out.memory = memory_of(frame);
  return out;
}

WasmEdge_Result Lane::Handle::fail(void* data, const WasmEdge_CallingFrameContext*, const WasmEdge_Value* parameters, WasmEdge_Value*) {
  static_cast<Handle*>(data)->host->fail(WasmEdge_ValueGetI32(parameters[0]));
  return WasmEdge_Result_Terminate;
}

// Again when it fails, since another lane's memory may have stood in the way of the first.
WasmEdge_Result Lane::Handle::instantiate(const Module& module, wasi::State& state, WasmEdge_ModuleInstanceContext*& instance) {
  const auto once = [&] { return WasmEdge_ExecutorInstantiate(executor.get(), &instance, store.get(), module.handle().ast.get()); };
  auto result = once();
  if (WasmEdge_ResultOK(result)) return result;
  if (host_has_room(module.memory_pages_min())) result = once();
  if (!WasmEdge_ResultOK(result) && !host_has_room(module.memory_pages_min())) state.end(wasi::Ending::host_failed);
  return result;
}

WasmEdge_Result Lane::Handle::run(WasmEdge_ModuleInstanceContext* instance, std::uint64_t pages_max, bool fingerprinted, bool is_native) {
  fuel = WasmEdge_ModuleInstanceFindGlobal(instance, wrap(instrument::fuel_export));
  globals = fingerprinted ? Globals(instance) : Globals();
  set_global(instance, instrument::memory_pages_export, pages_max);
  const GuestFaults guests(is_native ? first_byte(WasmEdge_ModuleInstanceFindMemory(instance, wrap(memory_name))) : nullptr);
  WasmEdge_Result result = WasmEdge_Result_Success;
  for (const auto name : {instrument::start_export, entry_point}) {
    const auto* function = WasmEdge_ModuleInstanceFindFunction(instance, wrap(name));
    if (function != nullptr && WasmEdge_ResultOK(result)) result = WasmEdge_ExecutorInvoke(executor.get(), function, nullptr, 0, nullptr, 0);
    if (host->ended()) break;
  }
  return result;
}

Lane::Lane() : handle_(std::make_unique<Handle>()) {}
Lane::~Lane() = default;

ItemEnd Lane::run(const Module& module, wasi::State& state, std::uint64_t memory_bytes_max, std::uint64_t fuel_max,
                  std::span<Fingerprint> fingerprints) {
  Handle& lane = *handle_;
  const std::uint64_t pages = std::min<std::uint64_t>(memory_bytes_max / page_bytes, 65536);
  if (module.memory_pages_min() > pages) return {OutcomeKind::memory_limit, 0};
  lane.set_pages(static_cast<std::uint32_t>(pages));
  ItemHost host(state, FuelMeter(fuel_max), fingerprints);
  lane.host = &host;
  lane.fuel = nullptr;
  WasmEdge_ModuleInstanceContext* raw = nullptr;
  auto result = lane.instantiate(module, state, raw);
  const Instance instance(raw);
  const bool fits = !WasmEdge_ResultOK(result) || offer_table_elements(instance.get(), memory_bytes_max);
  if (!fits) result = WasmEdge_Result_Fail;
  if (!lane.stack.is_there() || (WasmEdge_ResultOK(result) && !has_its_memory(instance.get()))) state.end(wasi::Ending::host_failed);
  else if (WasmEdge_ResultOK(result)) lane.stack.run([&] { result = lane.run(instance.get(), pages, !fingerprints.empty(), module.handle().is_native); });
  const ItemEnd end = fits ? host.end(trap_of(result), lane.balance()) : ItemEnd{OutcomeKind::memory_limit, 0};
  lane.host = nullptr;
  lane.fuel = nullptr;
  return end;
}

}  // namespace starling::execution
