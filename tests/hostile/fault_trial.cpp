// Faults of native code under the real engine: which are the guest's trap, and which end the process (executor/guest_faults.hpp).
//   fault_trial FOLDER     compiles a small module into FOLDER, prints a line for each case; exit code 1 when one is not as it should be
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "tests/support/wasm_writer.hpp"
#include "worker/execution/executor/guest_faults.hpp"
#include "worker/execution/executor/wasmedge_handles.hpp"

using namespace starling;
using namespace starling::execution;
using namespace starling::execution::wasmedge;

namespace {

// Where the host function reads: relative to the guest's memory, or an address.
struct Place {
  bool in_memory = false;
  std::uint64_t offset = 0;
};
std::byte* memory = nullptr;
Place place;
bool as_guest = false;
bool divides = false;
volatile int zero = 0;

// Stands for native code gone wrong: it runs inside the guest's call, on the guest's thread.
WasmEdge_Result reads(void*, const WasmEdge_CallingFrameContext*, const WasmEdge_Value*, WasmEdge_Value*) {
  const std::optional<GuestFaults> ours = as_guest ? std::nullopt : std::optional<GuestFaults>(std::in_place, nullptr);
  if (divides) zero = 7 / zero;  // 1 / zero would be compared, not divided
  const auto at = reinterpret_cast<std::uintptr_t>(place.in_memory ? memory : nullptr) + place.offset;
  static_cast<void>(*reinterpret_cast<const volatile char*>(at));
  return WasmEdge_Result_Success;
}

base::Bytes module_bytes() {
  testing::WasmModule module;
  const auto type = module.type("", "");
  const auto host = module.import("host", "reads", type);
  module.memory({1, false, 0});
  module.export_as("memory", 2, 0);
  module.export_as("calls", 0, module.function(type, "", testing::Wasm().call(host)));
  module.export_as("loads", 0, module.function(type, "", testing::Wasm().i32(-16).op(0x28).u32(2).u32(0xFFFFFFF0).op(0x1A)));
  return module.finish();
}

// "trap", "fine", or the signal that ended the process.
std::string run(const std::string& file, const char* function) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const Configure conf(WasmEdge_ConfigureCreate());
    const Loader loader(WasmEdge_LoaderCreate(conf.get()));
    const Validator validator(WasmEdge_ValidatorCreate(conf.get()));
    const Executor executor(WasmEdge_ExecutorCreate(conf.get(), nullptr));
    const Store store(WasmEdge_StoreCreate());
    const Instance imports(WasmEdge_ModuleInstanceCreate(wrap("host")));
    const FunctionType type(WasmEdge_FunctionTypeCreate(nullptr, 0, nullptr, 0));
    WasmEdge_ModuleInstanceAddFunction(imports.get(), wrap("reads"), WasmEdge_FunctionInstanceCreate(type.get(), reads, nullptr, 0));
    WasmEdge_ASTModuleContext* raw = nullptr;
    WasmEdge_ModuleInstanceContext* instance = nullptr;
    if (!WasmEdge_ResultOK(WasmEdge_LoaderParseFromFile(loader.get(), &raw, file.c_str())) ||
        !WasmEdge_ResultOK(WasmEdge_ValidatorValidate(validator.get(), raw)) ||
        !WasmEdge_ResultOK(WasmEdge_ExecutorRegisterImport(executor.get(), store.get(), imports.get())) ||
        !WasmEdge_ResultOK(WasmEdge_ExecutorInstantiate(executor.get(), &instance, store.get(), raw)))
      ::_exit(2);
    memory = reinterpret_cast<std::byte*>(WasmEdge_MemoryInstanceGetPointer(WasmEdge_ModuleInstanceFindMemory(instance, wrap("memory")), 0, 1));
    const GuestFaults guests(memory);
    const auto result = WasmEdge_ExecutorInvoke(executor.get(), WasmEdge_ModuleInstanceFindFunction(instance, wrap(function)), nullptr, 0, nullptr, 0);
    ::_exit(WasmEdge_ResultOK(result) ? 0 : WasmEdge_ResultGetCode(result) == WasmEdge_ErrCode_MemoryOutOfBounds ? 1 : 2);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  switch (WEXITSTATUS(status)) {
    case 0: return "fine";
    case 1: return "trap";
    default: return "trial broken";
  }
}

int wrong = 0;
void expect(const char* what, const std::string& expected, const std::string& got) {
  std::printf("%s\t%s\n", what, got.c_str());
  if (got != expected) ++wrong, std::printf("  but it should be: %s\n", expected.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: fault_trial FOLDER\n", stderr), 2;
  WasmEdge_LogOff();
  const std::string file = std::string(argv[1]) + "/faults.so";
  const auto wasm = module_bytes();
  const Configure conf(WasmEdge_ConfigureCreate());
  const Compiler compiler(WasmEdge_CompilerCreate(conf.get()));
  const auto bytes = WasmEdge_BytesWrap(reinterpret_cast<const std::uint8_t*>(wasm.data()), static_cast<std::uint32_t>(wasm.size()));
  if (!WasmEdge_ResultOK(WasmEdge_CompilerCompileFromBytes(compiler.get(), bytes, file.c_str()))) return std::fputs("cannot compile\n", stderr), 2;

  const std::string dies = "signal " + std::to_string(SIGSEGV);
  const auto reading = [&](Place where, bool guest) {
    place = where;
    as_guest = guest;
    return run(file, "calls");
  };
  expect("a load as far away as a guest can reach", "trap", run(file, "loads"));
  expect("guest code reads its memory", "fine", reading({true, 0}, true));
  expect("guest code reads behind its memory", "trap", reading({true, 65536}, true));
  expect("guest code reads the end of what is reserved", "trap", reading({true, (1ULL << 33) - 1}, true));
  expect("guest code reads before its memory", dies, reading({true, std::uint64_t{0} - 4096}, true));
  expect("guest code reads address 8", dies, reading({false, 8}, true));
  expect("guest code reads an address that no process has", dies, reading({false, 0xDEADBEEF00000000}, true));
#ifdef __x86_64__  // others do not trap
  divides = true;
  expect("guest code divides by zero where its compiler had written no check", "signal " + std::to_string(SIGFPE), reading({true, 0}, true));
  divides = false;
#endif
  expect("our own code reads behind the guest's memory", dies, reading({true, 65536}, false));
  return wrong == 0 ? 0 : 1;
}
