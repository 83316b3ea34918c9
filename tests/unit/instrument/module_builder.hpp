// Small modules from hand-made bytes.
#pragma once

#include <string>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "worker/execution/instrument/writer.hpp"

namespace starling::testing {

using Code = std::vector<std::uint8_t>;

struct ModuleBuilder {
  using Writer = execution::instrument::Writer;

  // () -> () unless `type` says otherwise ("60 ..." without the count); `locals` is the vector of declarations with its count.
  std::uint32_t add(const Code& code, const Code& locals = {0}, const Code& type = {0x60, 0, 0}) {
    types.push_back(type);
    Code body = locals;
    body.insert(body.end(), code.begin(), code.end());
    bodies.push_back(body);
    return static_cast<std::uint32_t>(bodies.size() - 1);
  }

  base::Bytes build() const {
    Writer out;
    out.raw(base::view(std::string_view("\0asm\1\0\0\0", 8)));
    const auto section = [&](std::uint8_t id, const Code& content) {
      if (content.empty()) return;
      out.byte(id);
      out.u32(content.size());
      for (const auto b : content) out.byte(b);
    };
    const auto vector = [](const std::vector<Code>& entries) {
      Writer w;
      w.u32(entries.size());
      for (const auto& entry : entries)
        for (const auto b : entry) w.byte(b);
      return code_of(w);
    };
    section(1, vector(types));
    section(2, imports);
    Writer functions;
    functions.u32(bodies.size());
    for (std::size_t i = 0; i < bodies.size(); ++i) functions.u32(i);
    section(3, code_of(functions));
    section(4, tables);
    section(5, memories);
    section(6, globals);
    section(7, exports);
    section(8, start);
    section(9, elements);
    section(12, data_count);
    Writer code;
    code.u32(bodies.size());
    for (const auto& body : bodies) {
      code.u32(body.size());
      for (const auto b : body) code.byte(b);
    }
    section(10, code_of(code));
    section(11, data);
    section(0, custom);
    return out.view().empty() ? base::Bytes{} : base::copy(out.view());
  }

  std::vector<Code> types, bodies;
  Code imports, tables, memories{1, 0, 1}, globals, exports, start, elements, data_count, data, custom;

 private:
  static Code code_of(const Writer& w) {
    Code out;
    for (const auto b : w.view()) out.push_back(std::to_integer<std::uint8_t>(b));
    return out;
  }
};

}  // namespace starling::testing
