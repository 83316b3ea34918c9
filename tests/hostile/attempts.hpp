// What native code tries once it has broken out of the engine. Outside the cage the attempts are made without doing harm.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace starling::hostile {

struct Target {
  bool caged = true;          // false: be gentle
  std::string secret_file;    // the peer's identity
  std::string local_socket;   // the worker's UNIX socket
  std::string abstract_name;  // an abstract socket that listens
  int tcp_port = 0;           // something listens there
  std::string cache_folder;
};

struct Attempt {
  const char* name;
  // errno when it was refused, nullopt when it succeeded.
  std::function<std::optional<int>(const Target&)> run;
};
const std::vector<Attempt>& attempts();

}  // namespace starling::hostile
