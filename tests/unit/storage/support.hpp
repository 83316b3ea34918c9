// What the storage tests share: children that are killed or short of room, random bytes.
#pragma once

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/rng.hpp"
#include "tests/support/scratch.hpp"

namespace starling::storage {

inline base::Bytes random_bytes(base::Rng& rng, std::size_t count) {
  base::Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(rng.next());
  return bytes;
}

inline void write_file(const std::filesystem::path& path, base::ByteView bytes) {
  std::ofstream out(path, std::ios::binary);
  out << base::text(bytes);
}

inline base::Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  return base::copy(base::view(text));
}

// Runs `body` in a child process and gives the complaint it returned; "" is success.
inline std::string in_child(const std::function<std::string()>& body) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string complaint = body();
    const bool told = ::write(ends[1], complaint.data(), complaint.size()) == static_cast<ssize_t>(complaint.size());
    ::_exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  std::string complaint;
  char buffer[512];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    complaint.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) complaint += " (the child died)";
  return complaint;
}

// In a child only: no file may grow past this; more counts as a full disk.
inline void limit_file_bytes(rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

// In a child only: a real small disk at `folder`, where the rights allow one.
inline bool mount_small_disk(const std::filesystem::path& folder, const std::string& size) {
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
}

// Runs `work` in a child that reports finished steps through `report`, kills it with SIGKILL after `steps` reports, and
// gives all that it reported, including what was still under way to us.
inline std::vector<std::uint32_t> kill_after(
    std::size_t steps, const std::function<void(const std::function<void(std::uint32_t)>& report)>& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    work([&](std::uint32_t step) {
      if (::write(ends[1], &step, sizeof step) != sizeof step) ::_exit(1);
    });
    ::_exit(0);
  }
  ::close(ends[1]);
  std::vector<std::uint32_t> reported;
  std::uint32_t step = 0;
  while (::read(ends[0], &step, sizeof step) == sizeof step) {
    reported.push_back(step);
    if (reported.size() == steps) ::kill(child, SIGKILL);
  }
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return reported;
}

}  // namespace starling::storage
