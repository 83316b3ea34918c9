// The engine's handles, each released when its owner goes.
#pragma once

#include <wasmedge/wasmedge.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace starling::execution::wasmedge {

template <auto destroy>
struct Deleter {
  template <class T>
  void operator()(T* context) const { destroy(context); }
};
using Configure = std::unique_ptr<WasmEdge_ConfigureContext, Deleter<WasmEdge_ConfigureDelete>>;
using Ast = std::unique_ptr<WasmEdge_ASTModuleContext, Deleter<WasmEdge_ASTModuleDelete>>;
using Loader = std::unique_ptr<WasmEdge_LoaderContext, Deleter<WasmEdge_LoaderDelete>>;
using Validator = std::unique_ptr<WasmEdge_ValidatorContext, Deleter<WasmEdge_ValidatorDelete>>;
using Compiler = std::unique_ptr<WasmEdge_CompilerContext, Deleter<WasmEdge_CompilerDelete>>;
using Executor = std::unique_ptr<WasmEdge_ExecutorContext, Deleter<WasmEdge_ExecutorDelete>>;
using Store = std::unique_ptr<WasmEdge_StoreContext, Deleter<WasmEdge_StoreDelete>>;
using Instance = std::unique_ptr<WasmEdge_ModuleInstanceContext, Deleter<WasmEdge_ModuleInstanceDelete>>;
using MemoryType = std::unique_ptr<WasmEdge_MemoryTypeContext, Deleter<WasmEdge_MemoryTypeDelete>>;
using Memory = std::unique_ptr<WasmEdge_MemoryInstanceContext, Deleter<WasmEdge_MemoryInstanceDelete>>;
using FunctionType = std::unique_ptr<WasmEdge_FunctionTypeContext, Deleter<WasmEdge_FunctionTypeDelete>>;

inline WasmEdge_String wrap(std::string_view text) { return WasmEdge_StringWrap(text.data(), static_cast<std::uint32_t>(text.size())); }

}  // namespace starling::execution::wasmedge
