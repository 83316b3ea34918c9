// An executor that has been taken over: the real protocol and the real cage, then the attempt that the order names.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "coordinator-less/base/limits.hpp"
#include "tests/hostile/attempts.hpp"
#include "worker/execution/archive.hpp"
#include "worker/execution/cage/cage.hpp"
#include "worker/execution/channel.hpp"
#include "worker/execution/executor/last_words.hpp"
#include "worker/execution/messages.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

std::string attempt(const UnitOrder& order, bool caged) {
  const auto& words = order.arguments;  // attempt, secret file, local socket, abstract name, port, cache
  if (words.size() != 6) return "succeeded: the trial is broken";
  const hostile::Target target{caged, words[1], words[2], words[3], std::atoi(words[4].c_str()), words[5]};
  for (const auto& one : hostile::attempts()) {
    if (words[0] != one.name) continue;
    const auto error = one.run(target);
    return error ? std::string("refused: ") + std::strerror(*error) : std::string("succeeded");
  }
  return "succeeded: no such attempt";
}

base::Bytes report_of(const std::string& text, std::size_t items) {
  Archive archive;
  archive.items.resize(items);
  for (auto& item : archive.items) item.standard_output = base::view(text);
  const auto bytes = write_archive(archive);
  return encode(UnitReport{1, 1, 1, "", bytes});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--engine") return ::write(1, "hostile 1\n", 10) == 10 ? 0 : 1;
  if (argc < 3 || std::string_view(argv[1]) != "--serve") return 2;
  bool caged = true;
  for (int i = 3; i < argc; ++i) caged = caged && std::string_view(argv[i]) != "--uncaged";
  const int socket = ::fcntl(0, F_DUPFD_CLOEXEC, 3);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {0, 1, 2}) ::dup2(null, stream);
  ::close(null);
  const auto plan = cage::executor_plan(socket, argv[2], true);
  if (caged) {
    cage::enter(plan);
    cage::lock(plan, last_words(socket));
  }
  const auto send = [&](const base::Bytes& frame) { return send_frame(socket, frame, {}, base::seconds(100)).has_value(); };
  FrameReader reader(limits::executor_frame_bytes_max, 16);
  if (!send(encode(Hello{executor_protocol_version, "hostile 1"}))) return 1;
  while (true) {
    const auto frame = reader.next();
    if (!frame) return 1;
    if (!*frame) {
      if (!reader.fill(socket, true)) return 0;
      continue;
    }
    reader.take_descriptors();
    const auto message = decode_from_host(**frame);
    if (!message) return 1;
    const auto* order = std::get_if<UnitOrder>(&*message);
    if (order == nullptr || !send(report_of(attempt(*order, caged), order->items.size()))) return 1;
  }
}
