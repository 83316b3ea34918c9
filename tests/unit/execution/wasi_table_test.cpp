// Function x case -> errno: what the specification of preview 1 says, and where it is silent, what POSIX and Linux do.
// Each row runs on a fresh guest with the files of furnish().
#include <doctest/doctest.h>

#include "tests/support/wasi_guest.hpp"

using namespace starling;
using namespace starling::execution::wasi;
using Guest = starling::testing::WasiGuest;
using starling::testing::WasiArg;

namespace {

constexpr std::uint64_t out = 5, tmp = 6, file = 7, dir = 8, in_file = 9, bare = 10, bare_dir = 11, narrow = 12, none = 99;
constexpr std::uint64_t huge = 1ULL << 63;
constexpr std::uint64_t create = open_flags::create, directory = open_flags::directory, exclusive = open_flags::exclusive,
                        truncate = open_flags::truncate;
constexpr auto iov = Guest::iovec_at, size = Guest::size_at, fd_at = Guest::fd_at, at = Guest::out_at;
const std::string long_name(256, 'n');
const std::string long_path(5000, '/');
const std::string with_nul("file\0", 5);

// /out: file "hello", dir (empty), full/x, and the links l -> file, ld -> dir, lx -> full/x, loop -> loop, a <-> b, up -> ../tmp,
// up2 -> full/../../in/f, nothing -> missing, slash -> file/. Descriptors: see above; bare ones have no rights at all, narrow
// may open files below /out, but only for reading.
void furnish(Guest& guest) {
  const auto must = [](Errno error) { STARLING_ENSURE(error == Errno::success); };
  must(guest.open(out, "file", create, rights::file));
  must(guest.write(file, "hello"));
  for (const char* name : {"dir", "full"}) must(guest.call("path_create_directory", {out, name}));
  must(guest.open(out, "dir", directory));
  must(guest.open(4, "f", 0, rights::file & ~rights::writing));
  must(guest.open(out, "file", 0, 0));
  must(guest.call("path_open", {out, 0, "dir", directory, 0, 0, 0, fd_at}));
  const auto read_only = rights::path_open | rights::path_create_file;
  must(guest.call("path_open", {3, 0, "out", directory, read_only, rights::fd_read, 0, fd_at}));
  STARLING_ENSURE(guest.fd() == narrow);
  must(guest.open(out, "full/x", create, rights::fd_write));
  must(guest.call("fd_close", {guest.fd()}));
  const std::pair<const char*, const char*> links[] = {{"l", "file"}, {"ld", "dir"}, {"lx", "full/x"}, {"loop", "loop"}, {"a", "b"}, {"b", "a"},
                                                       {"up", "../tmp"}, {"up2", "full/../../in/f"}, {"nothing", "missing"}, {"slash", "file/"}};
  for (const auto& [name, target] : links) must(guest.call("path_symlink", {target, out, name}));
  guest.aim(at, 4);
}

struct Row {
  const char* function;
  std::vector<WasiArg> args;
  Errno errno_expected;
};

using enum Errno;
constexpr std::uint64_t R = rights::fd_read, W = rights::fd_write;

const Row rows[] = {
    {"clock_res_get", {3, at}, success}, {"clock_res_get", {4, at}, inval},
    {"clock_time_get", {0, 0, at}, success}, {"clock_time_get", {4, 0, at}, inval},
    {"random_get", {at, 0}, success}, {"sched_yield", {}, success}, {"proc_raise", {6}, nosys},
    {"poll_oneoff", {at, at, 0, size}, inval}, {"poll_oneoff", {at, at, 1U << 31, size}, inval},

    {"sock_accept", {1, 0, at}, notsock}, {"sock_accept", {none, 0, at}, badf},
    {"sock_recv", {file, iov, 1, 0, at, at}, notsock}, {"sock_recv", {none, iov, 1, 0, at, at}, badf},
    {"sock_send", {0, iov, 1, 0, at}, notsock}, {"sock_send", {none, iov, 1, 0, at}, badf},
    {"sock_shutdown", {1, 1}, notsock}, {"sock_shutdown", {none, 1}, badf},

    {"fd_advise", {file, 0, 0, 5}, success}, {"fd_advise", {file, 0, 0, 6}, inval}, {"fd_advise", {1, 0, 0, 0}, spipe},
    {"fd_advise", {none, 0, 0, 0}, badf}, {"fd_advise", {bare, 0, 0, 0}, notcapable}, {"fd_advise", {dir, 0, 0, 0}, success},
    {"fd_allocate", {file, 0, 100}, success}, {"fd_allocate", {file, 0, 0}, inval}, {"fd_allocate", {file, huge, 1}, fbig},
    {"fd_allocate", {file, ~0ULL, 2}, fbig}, {"fd_allocate", {file, huge - 1, 1}, fbig}, {"fd_allocate", {in_file, 0, 1}, notcapable},
    {"fd_allocate", {dir, 0, 1}, badf}, {"fd_allocate", {1, 0, 1}, spipe}, {"fd_allocate", {none, 0, 1}, badf},
    {"fd_allocate", {file, 0, 1ULL << 40}, nospc},
    {"fd_close", {file}, success}, {"fd_close", {3}, success}, {"fd_close", {none}, badf}, {"fd_close", {0xffffffff}, badf},
    {"fd_datasync", {file}, success}, {"fd_datasync", {1}, success}, {"fd_datasync", {bare}, notcapable}, {"fd_datasync", {none}, badf},
    {"fd_sync", {file}, success}, {"fd_sync", {dir}, success}, {"fd_sync", {bare}, notcapable}, {"fd_sync", {none}, badf},
    {"fd_fdstat_get", {0, at}, success}, {"fd_fdstat_get", {bare, at}, success}, {"fd_fdstat_get", {none, at}, badf},
    {"fd_fdstat_set_flags", {file, 1}, success}, {"fd_fdstat_set_flags", {file, 32}, inval}, {"fd_fdstat_set_flags", {bare, 1}, notcapable},
    {"fd_fdstat_set_rights", {file, R, 0}, success}, {"fd_fdstat_set_rights", {file, 0, 0}, success},
    {"fd_fdstat_set_rights", {file, rights::path_open, 0}, notcapable}, {"fd_fdstat_set_rights", {file, R, R}, notcapable},
    {"fd_fdstat_set_rights", {bare, R, 0}, notcapable}, {"fd_fdstat_set_rights", {file, ~0ULL, 0}, notcapable},
    {"fd_filestat_get", {0, at}, success}, {"fd_filestat_get", {dir, at}, success}, {"fd_filestat_get", {bare, at}, notcapable},
    {"fd_filestat_set_size", {file, 1000}, success}, {"fd_filestat_set_size", {file, 0}, success}, {"fd_filestat_set_size", {file, huge}, inval},
    {"fd_filestat_set_size", {in_file, 0}, notcapable}, {"fd_filestat_set_size", {dir, 0}, notcapable}, {"fd_filestat_set_size", {1, 0}, notcapable},
    {"fd_filestat_set_times", {file, 1, 2, 5}, success}, {"fd_filestat_set_times", {file, 0, 0, 10}, success},
    {"fd_filestat_set_times", {file, 0, 0, 3}, inval}, {"fd_filestat_set_times", {file, 0, 0, 12}, inval}, {"fd_filestat_set_times", {file, 0, 0, 16}, inval},
    {"fd_filestat_set_times", {in_file, 0, 0, 1}, rofs}, {"fd_filestat_set_times", {0, 0, 0, 1}, notcapable},
    {"fd_prestat_get", {out, at}, success}, {"fd_prestat_get", {file, at}, badf}, {"fd_prestat_get", {0, at}, badf}, {"fd_prestat_get", {none, at}, badf},
    {"fd_prestat_dir_name", {out, at, 4}, success}, {"fd_prestat_dir_name", {out, at, 3}, nametoolong}, {"fd_prestat_dir_name", {dir, at, 9}, badf},

    {"fd_read", {0, iov, 1, size}, success}, {"fd_read", {1, iov, 1, size}, notcapable}, {"fd_read", {dir, iov, 1, size}, isdir},
    {"fd_read", {bare, iov, 1, size}, notcapable}, {"fd_read", {none, iov, 1, size}, badf}, {"fd_read", {file, iov, 1025, size}, inval},
    {"fd_read", {file, iov, 0, size}, success}, {"fd_read", {file, iov, 0xffffffff, size}, inval},
    {"fd_pread", {file, iov, 1, 0, size}, success}, {"fd_pread", {file, iov, 1, huge, size}, inval}, {"fd_pread", {file, iov, 1, huge - 1, size}, success},
    {"fd_pread", {0, iov, 1, 0, size}, spipe}, {"fd_pread", {dir, iov, 1, 0, size}, isdir}, {"fd_pread", {bare, iov, 1, 0, size}, notcapable},
    {"fd_write", {1, iov, 1, size}, success}, {"fd_write", {0, iov, 1, size}, notcapable}, {"fd_write", {dir, iov, 1, size}, badf},
    {"fd_write", {in_file, iov, 1, size}, notcapable}, {"fd_write", {file, iov, 1, size}, success}, {"fd_write", {none, iov, 1, size}, badf},
    {"fd_pwrite", {file, iov, 1, 100, size}, success}, {"fd_pwrite", {file, iov, 1, huge, size}, inval},
    {"fd_pwrite", {file, iov, 1, huge - 1, size}, nospc}, {"fd_pwrite", {1, iov, 1, 0, size}, spipe}, {"fd_pwrite", {dir, iov, 1, 0, size}, badf},
    {"fd_seek", {file, 0, 0, at}, success}, {"fd_seek", {file, -1, 0, at}, inval}, {"fd_seek", {file, -6, 2, at}, inval},
    {"fd_seek", {file, -5, 2, at}, success}, {"fd_seek", {file, 1000, 2, at}, success}, {"fd_seek", {file, INT64_MAX, 1, at}, overflow},
    {"fd_seek", {file, INT64_MIN, 1, at}, inval}, {"fd_seek", {file, 0, 3, at}, inval}, {"fd_seek", {1, 0, 1, at}, spipe},
    {"fd_seek", {dir, 0, 0, at}, isdir}, {"fd_seek", {bare, 0, 0, at}, notcapable}, {"fd_seek", {bare, 0, 1, at}, notcapable},
    {"fd_tell", {file, at}, success}, {"fd_tell", {0, at}, spipe}, {"fd_tell", {dir, at}, isdir}, {"fd_tell", {bare, at}, notcapable},
    {"fd_renumber", {file, in_file}, success}, {"fd_renumber", {file, file}, success}, {"fd_renumber", {file, 3}, success},
    {"fd_renumber", {file, none}, badf}, {"fd_renumber", {none, file}, badf},
    {"fd_readdir", {dir, at, 100, 0, size}, success}, {"fd_readdir", {dir, at, 100, ~0ULL, size}, success}, {"fd_readdir", {file, at, 100, 0, size}, notdir},
    {"fd_readdir", {0, at, 100, 0, size}, notdir}, {"fd_readdir", {bare_dir, at, 100, 0, size}, notcapable}, {"fd_readdir", {none, at, 100, 0, size}, badf},

    {"path_create_directory", {out, "new"}, success}, {"path_create_directory", {out, "new/"}, success}, {"path_create_directory", {out, "dir"}, exist},
    {"path_create_directory", {out, "file"}, exist}, {"path_create_directory", {out, "l"}, exist}, {"path_create_directory", {out, "nothing"}, exist},
    {"path_create_directory", {out, "no/new"}, noent}, {"path_create_directory", {out, "file/new"}, notdir}, {"path_create_directory", {out, "."}, exist},
    {"path_create_directory", {out, "new/."}, noent}, {"path_create_directory", {4, "new"}, rofs}, {"path_create_directory", {3, "new"}, rofs},
    {"path_create_directory", {bare_dir, "new"}, notcapable}, {"path_create_directory", {file, "new"}, notdir}, {"path_create_directory", {0, "new"}, notdir},
    {"path_create_directory", {none, "new"}, badf}, {"path_create_directory", {out, ""}, noent}, {"path_create_directory", {out, "/new"}, notcapable},
    {"path_create_directory", {out, "../new"}, notcapable}, {"path_create_directory", {out, long_name}, nametoolong}, {"path_create_directory", {out, with_nul}, inval},
    {"path_create_directory", {out, "ld/new"}, success}, {"path_create_directory", {tmp, "new"}, success},

    {"path_filestat_get", {out, 0, "file", at}, success}, {"path_filestat_get", {out, 0, "no", at}, noent}, {"path_filestat_get", {out, 0, "file/", at}, notdir},
    {"path_filestat_get", {out, 0, "file/.", at}, notdir}, {"path_filestat_get", {out, 0, "dir/", at}, success}, {"path_filestat_get", {out, 0, "./dir/../file", at}, success},
    {"path_filestat_get", {out, 1, "nothing", at}, noent}, {"path_filestat_get", {out, 0, "nothing", at}, success}, {"path_filestat_get", {out, 1, "loop", at}, loop},
    {"path_filestat_get", {out, 0, "loop", at}, success}, {"path_filestat_get", {out, 1, "a", at}, loop}, {"path_filestat_get", {out, 0, "loop/x", at}, loop},
    {"path_filestat_get", {out, 1, "up", at}, notcapable}, {"path_filestat_get", {out, 1, "up2", at}, notcapable}, {"path_filestat_get", {3, 1, "out/up2", at}, success},
    {"path_filestat_get", {3, 1, "out/up", at}, success}, {"path_filestat_get", {out, 0, "ld/", at}, success}, {"path_filestat_get", {out, 0, "l/", at}, notdir},
    {"path_filestat_get", {out, 1, "slash", at}, notdir}, {"path_filestat_get", {out, 2, "file", at}, inval}, {"path_filestat_get", {bare_dir, 0, ".", at}, notcapable},
    {"path_filestat_get", {out, 0, "dir/../..", at}, notcapable}, {"path_filestat_get", {out, 0, long_path, at}, nametoolong}, {"path_filestat_get", {out, 0, ".", at}, success},

    {"path_filestat_set_times", {out, 0, "file", 1, 2, 5}, success}, {"path_filestat_set_times", {out, 0, "file", 1, 2, 3}, inval},
    {"path_filestat_set_times", {out, 4, "file", 1, 2, 5}, inval}, {"path_filestat_set_times", {out, 1, "nothing", 1, 2, 5}, noent},
    {"path_filestat_set_times", {out, 0, "nothing", 1, 2, 5}, success}, {"path_filestat_set_times", {4, 0, "f", 1, 2, 5}, rofs},

    {"path_link", {out, 0, "file", out, "second"}, success}, {"path_link", {out, 0, "no", out, "second"}, noent}, {"path_link", {out, 0, "file", out, "dir"}, exist},
    {"path_link", {out, 0, "file", out, "file"}, exist}, {"path_link", {out, 0, "dir", out, "second"}, perm}, {"path_link", {out, 0, "file", out, "second/"}, noent},
    {"path_link", {out, 0, "file/", out, "second"}, notdir}, {"path_link", {out, 0, "file", tmp, "second"}, xdev}, {"path_link", {4, 0, "f", out, "second"}, xdev},
    {"path_link", {out, 0, "file", 4, "second"}, rofs}, {"path_link", {out, 0, "nothing", out, "second"}, success}, {"path_link", {out, 1, "nothing", out, "second"}, noent},
    {"path_link", {out, 1, "l", out, "second"}, success}, {"path_link", {out, 2, "file", out, "second"}, inval}, {"path_link", {bare_dir, 0, "x", out, "y"}, notcapable},
    {"path_link", {out, 0, "file", bare_dir, "y"}, notcapable}, {"path_link", {out, 0, "file", out, "up/y"}, notcapable}, {"path_link", {out, 0, "file", out, "nothing"}, exist},

    {"path_open", {out, 0, "file", 0, R, 0, 0, fd_at}, success}, {"path_open", {out, 0, "no", 0, R, 0, 0, fd_at}, noent}, {"path_open", {out, 0, "file/", 0, R, 0, 0, fd_at}, notdir},
    {"path_open", {out, 0, "new", create, W, 0, 0, fd_at}, success}, {"path_open", {out, 0, "new/", create, W, 0, 0, fd_at}, isdir},
    {"path_open", {out, 0, "new", create | directory, W, 0, 0, fd_at}, inval}, {"path_open", {out, 0, "file", create | exclusive, W, 0, 0, fd_at}, exist},
    {"path_open", {out, 1, "nothing", create | exclusive, W, 0, 0, fd_at}, exist}, {"path_open", {out, 1, "nothing", create, W, 0, 0, fd_at}, success},
    {"path_open", {out, 0, "l", 0, R, 0, 0, fd_at}, loop}, {"path_open", {out, 1, "l", 0, R, 0, 0, fd_at}, success}, {"path_open", {out, 0, "l", directory, R, 0, 0, fd_at}, notdir},
    {"path_open", {out, 0, "ld", directory, 0, 0, 0, fd_at}, notdir}, {"path_open", {out, 1, "ld", directory, 0, 0, 0, fd_at}, success},
    {"path_open", {out, 1, "loop", 0, R, 0, 0, fd_at}, loop}, {"path_open", {out, 1, "up/x", create, W, 0, 0, fd_at}, notcapable}, {"path_open", {3, 1, "out/up/x", create, W, 0, 0, fd_at}, success},
    {"path_open", {out, 0, "file", directory, R, 0, 0, fd_at}, notdir}, {"path_open", {out, 0, "dir", 0, R, 0, 0, fd_at}, success}, {"path_open", {out, 0, "dir", 0, W, 0, 0, fd_at}, isdir},
    {"path_open", {out, 0, "dir", directory, rights::all, rights::all, 0, fd_at}, success}, {"path_open", {out, 0, "dir", truncate, R, 0, 0, fd_at}, isdir},
    {"path_open", {out, 0, "dir", create, R, 0, 0, fd_at}, isdir}, {"path_open", {4, 0, "f", 0, R, 0, 0, fd_at}, success}, {"path_open", {4, 0, "f", 0, R | W, 0, 0, fd_at}, rofs},
    {"path_open", {4, 0, "f", truncate, R, 0, 0, fd_at}, rofs}, {"path_open", {4, 0, "new", create, R, 0, 0, fd_at}, rofs}, {"path_open", {out, 0, "file", 16, R, 0, 0, fd_at}, inval},
    {"path_open", {out, 0, "file", 0, R, 0, 32, fd_at}, inval}, {"path_open", {out, 2, "file", 0, R, 0, 0, fd_at}, inval}, {"path_open", {file, 0, "x", 0, R, 0, 0, fd_at}, notdir},
    {"path_open", {0, 0, "x", 0, R, 0, 0, fd_at}, notdir}, {"path_open", {none, 0, "x", 0, R, 0, 0, fd_at}, badf}, {"path_open", {bare_dir, 0, "x", 0, 0, 0, 0, fd_at}, notcapable},
    {"path_open", {narrow, 0, "file", 0, R, 0, 0, fd_at}, success}, {"path_open", {narrow, 0, "file", 0, W, 0, 0, fd_at}, notcapable}, {"path_open", {narrow, 0, "file", 0, R, W, 0, fd_at}, notcapable},
    {"path_open", {narrow, 0, "file", truncate, R, 0, 0, fd_at}, notcapable}, {"path_open", {narrow, 0, "new", create, R, 0, 0, fd_at}, success},
    {"path_open", {narrow, 0, "file", 0, R, 0, fd_flags::dsync, fd_at}, notcapable}, {"path_open", {narrow, 0, "file", 0, R, 0, fd_flags::append, fd_at}, success},
    {"path_open", {out, 0, "file", 0, ~0ULL, 0, 0, fd_at}, notcapable}, {"path_open", {out, 0, "../in/f", 0, R, 0, 0, fd_at}, notcapable}, {"path_open", {3, 0, "..", 0, R, 0, 0, fd_at}, notcapable},

    {"path_readlink", {out, "l", at, 100, size}, success}, {"path_readlink", {out, "l", at, 0, size}, success}, {"path_readlink", {out, "file", at, 100, size}, inval},
    {"path_readlink", {out, "dir", at, 100, size}, inval}, {"path_readlink", {out, "no", at, 100, size}, noent}, {"path_readlink", {out, "loop", at, 100, size}, success},
    {"path_readlink", {out, "ld/", at, 100, size}, inval}, {"path_readlink", {bare_dir, "l", at, 100, size}, notcapable},

    {"path_remove_directory", {out, "dir"}, success}, {"path_remove_directory", {out, "dir/"}, success}, {"path_remove_directory", {out, "full"}, notempty},
    {"path_remove_directory", {out, "file"}, notdir}, {"path_remove_directory", {out, "ld"}, notdir}, {"path_remove_directory", {out, "ld/"}, notdir},
    {"path_remove_directory", {out, "no"}, noent}, {"path_remove_directory", {out, "."}, inval}, {"path_remove_directory", {out, "dir/."}, inval},
    {"path_remove_directory", {3, "out"}, rofs}, {"path_remove_directory", {bare_dir, "x"}, notcapable},
    {"path_unlink_file", {out, "file"}, success}, {"path_unlink_file", {out, "file/"}, notdir}, {"path_unlink_file", {out, "dir"}, isdir}, {"path_unlink_file", {out, "dir/"}, isdir},
    {"path_unlink_file", {out, "l"}, success}, {"path_unlink_file", {out, "l/"}, notdir}, {"path_unlink_file", {out, "nothing"}, success}, {"path_unlink_file", {out, "no"}, noent},
    {"path_unlink_file", {4, "f"}, rofs}, {"path_unlink_file", {out, "."}, isdir}, {"path_unlink_file", {bare_dir, "x"}, notcapable},

    {"path_rename", {out, "file", out, "new"}, success}, {"path_rename", {out, "file", out, "file"}, success}, {"path_rename", {out, "file", out, "dir"}, isdir},
    {"path_rename", {out, "dir", out, "file"}, notdir}, {"path_rename", {out, "dir", out, "full"}, notempty}, {"path_rename", {out, "full", out, "dir"}, success},
    {"path_rename", {out, "full", out, "full/y"}, inval}, {"path_rename", {out, "full", out, "full/x/y"}, notdir}, {"path_rename", {out, "no", out, "new"}, noent},
    {"path_rename", {out, "file", out, "new/"}, notdir}, {"path_rename", {out, "file/", out, "new"}, notdir}, {"path_rename", {out, "dir/", out, "new/"}, success},
    {"path_rename", {out, "file", tmp, "new"}, xdev}, {"path_rename", {out, "file", 4, "f"}, rofs}, {"path_rename", {4, "f", out, "new"}, rofs},
    {"path_rename", {out, ".", out, "new"}, busy}, {"path_rename", {out, "dir/.", out, "new"}, busy}, {"path_rename", {out, "file", out, "."}, busy},
    {"path_rename", {out, "l", out, "new"}, success}, {"path_rename", {out, "file", out, "l"}, success}, {"path_rename", {out, "ld", out, "dir"}, isdir},
    {"path_rename", {3, "out", 3, "in"}, rofs}, {"path_rename", {bare_dir, "x", out, "y"}, notcapable}, {"path_rename", {out, "file", bare_dir, "y"}, notcapable},
    {"path_rename", {out, "file", dir, "y"}, success}, {"path_rename", {out, "file", out, long_name}, nametoolong},

    {"path_symlink", {"anything", out, "new"}, success}, {"path_symlink", {"file", out, "dir"}, exist}, {"path_symlink", {"", out, "new"}, noent},
    {"path_symlink", {"/etc/passwd", out, "new"}, notcapable}, {"path_symlink", {"../../..", out, "new"}, success}, {"path_symlink", {with_nul, out, "new"}, inval},
    {"path_symlink", {"file", out, "new/"}, noent}, {"path_symlink", {"file", out, "file/"}, notdir}, {"path_symlink", {"file", 4, "new"}, rofs},
    {"path_symlink", {"file", bare_dir, "new"}, notcapable}, {"path_symlink", {"file", file, "new"}, notdir}, {"path_symlink", {"file", none, "new"}, badf},
};

std::string text_of(const Row& row) {
  std::string out_text = std::string(row.function) + "(";
  for (const auto& arg : row.args) out_text += (arg.is_text ? "\"" + std::string(arg.text) + "\"" : std::to_string(arg.number)) + ", ";
  return out_text + ")";
}

}  // namespace

TEST_CASE("wasi: every case of every function has its errno") {
  for (const auto& row : rows) {
    Guest guest;
    furnish(guest);
    CHECK_MESSAGE(static_cast<int>(guest.call(row.function, row.args)) == static_cast<int>(row.errno_expected), text_of(row));
  }
}

TEST_CASE("wasi: every function with an errno stands in the table") {
  for (const auto& function : functions()) {
    if (!function.returns_errno || function.name.starts_with("args_") || function.name.starts_with("environ_")) continue;
    CHECK_MESSAGE(std::ranges::any_of(rows, [&](const Row& row) { return row.function == function.name; }), function.name);
  }
}

TEST_CASE("wasi: descriptors that run out leave no file behind") {
  Guest guest;
  Errno last = success;
  std::string name;
  for (int i = 0; i < 2000 && last == success; ++i) {
    name = "f" + std::to_string(i);
    last = guest.open(out, name, create, W);
  }
  CHECK(last == mfile);
  CHECK(guest.call("path_filestat_get", {out, 0, name, at}) == noent);
}

TEST_CASE("wasi: hard links share bytes, count names, and are charged once for content") {
  Guest guest(2000);
  REQUIRE(guest.open(out, "one", create, rights::file) == success);
  REQUIRE(guest.write(guest.fd(), std::string(1000, 'x')) == success);
  REQUIRE(guest.call("path_link", {out, 0, "one", out, "two"}) == success);
  const auto names = [&](const char* name) {
    REQUIRE(guest.call("path_filestat_get", {out, 0, name, at}) == success);
    return guest.get<std::uint64_t>(at + 24);
  };
  CHECK(names("two") == 2);
  CHECK(guest.get<std::uint64_t>(at + 32) == 1000);
  CHECK(guest.call("path_rename", {out, "one", out, "two"}) == success);  // the same file: nothing happens
  CHECK(names("one") == 2);
  CHECK(guest.call("path_unlink_file", {out, "one"}) == success);
  CHECK(names("two") == 1);
  CHECK(guest.write(guest.fd(), "y") == success);
  CHECK(guest.call("path_filestat_get", {out, 0, "two", at}) == success);
  CHECK(guest.get<std::uint64_t>(at + 32) == 1001);
}

TEST_CASE("wasi: readlink gives the target, cut to the buffer") {
  Guest guest;
  furnish(guest);
  REQUIRE(guest.call("path_readlink", {out, "lx", at, 3, size}) == success);
  CHECK(guest.get<std::uint32_t>(size) == 3);
  CHECK(guest.text(at, 3) == "ful");
  REQUIRE(guest.call("path_readlink", {out, "lx", at, 100, size}) == success);
  CHECK(guest.text(at, guest.get<std::uint32_t>(size)) == "full/x");
}

TEST_CASE("wasi: links in the middle of a path are followed, each counts") {
  Guest guest;
  REQUIRE(guest.call("path_create_directory", {out, "d"}) == success);
  REQUIRE(guest.call("path_symlink", {"d", out, "l0"}) == success);
  for (int i = 1; i <= 40; ++i)
    REQUIRE(guest.call("path_symlink", {"l" + std::to_string(i - 1), out, "l" + std::to_string(i)}) == success);
  CHECK(guest.open(out, "l39/x", create, W) == success);  // 40 links
  CHECK(guest.open(out, "l40/y", create, W) == loop);
  CHECK(guest.open(out, "d/../l0/./x", 0, R) == success);
  CHECK(guest.call("path_symlink", {"../d/x", out, "d/back"}) == success);
  CHECK(guest.open(out, "l5/back", 0, R) == success);
  CHECK(guest.call("fd_close", {out}) == success);
  CHECK(guest.open(3, "out/d", directory) == success);
  CHECK(guest.fd() == out);
  CHECK(guest.open(out, "back", 0, R) == notcapable);  // below d, the link leads out of it
}

TEST_CASE("wasi: opened through a dangling link, the target is made") {
  Guest guest;
  furnish(guest);
  REQUIRE(guest.open(out, "nothing", create, W) == success);
  REQUIRE(guest.write(guest.fd(), "there") == success);
  REQUIRE(guest.open(out, "missing", 0, R) == success);
  CHECK(guest.read(guest.fd()) == "there");
}

TEST_CASE("wasi: a directory that was removed while open is a dead end") {
  Guest guest;
  furnish(guest);
  REQUIRE(guest.call("path_remove_directory", {out, "dir"}) == success);
  CHECK(guest.call("path_create_directory", {dir, "x"}) == noent);
  CHECK(guest.open(dir, "x", create, W) == noent);
  CHECK(guest.call("path_rename", {out, "file", dir, "x"}) == noent);
  CHECK(guest.call("path_link", {out, 0, "file", dir, "x"}) == noent);
  CHECK(guest.call("path_symlink", {"file", dir, "x"}) == noent);
  CHECK(guest.call("fd_filestat_get", {dir, at}) == success);
  CHECK(guest.get<std::uint64_t>(at + 24) == 0);
  CHECK(guest.call("fd_close", {dir}) == success);
}

TEST_CASE("wasi: appending, holes, reading at the end") {
  Guest guest;
  furnish(guest);
  REQUIRE(guest.open(out, "log", create, rights::file, 1, fd_flags::append) == success);
  const auto log = guest.fd();
  CHECK(guest.write(log, "one") == success);
  CHECK(guest.call("fd_seek", {log, 0, 0, at}) == success);
  CHECK(guest.write(log, "two") == success);
  CHECK(guest.call("fd_seek", {log, 0, 0, at}) == success);
  CHECK(guest.read(log) == "onetwo");
  CHECK(guest.read(log) == "");
  CHECK(guest.call("fd_seek", {file, 3, 2, at}) == success);
  CHECK(guest.get<std::uint64_t>(at) == 8);
  CHECK(guest.write(file, "!") == success);
  CHECK(guest.call("fd_seek", {file, 0, 0, at}) == success);
  CHECK(guest.read(file) == std::string("hello\0\0\0!", 9));
}

TEST_CASE("wasi: file times are the epoch until the guest sets them") {
  Guest guest;
  furnish(guest);
  const auto times = [&] {
    REQUIRE(guest.call("fd_filestat_get", {file, at}) == success);
    return std::pair(guest.get<std::uint64_t>(at + 40), guest.get<std::uint64_t>(at + 48));
  };
  constexpr auto epoch = static_cast<std::uint64_t>(epoch_ns);
  CHECK(times() == std::pair(epoch, epoch));
  REQUIRE(guest.call("fd_filestat_set_times", {file, 7, 8, 4}) == success);
  CHECK(times() == std::pair(epoch, std::uint64_t{8}));
  REQUIRE(guest.call("path_filestat_set_times", {out, 0, "l", 5, 6, 1}) == success);  // the link itself
  CHECK(times() == std::pair(epoch, std::uint64_t{8}));
  REQUIRE(guest.call("path_filestat_set_times", {out, 1, "l", 5, 6, 2}) == success);  // its file, now
  CHECK(times().first > epoch);
}

TEST_CASE("wasi: narrowed rights hold and do not come back") {
  Guest guest;
  furnish(guest);
  REQUIRE(guest.call("fd_fdstat_set_rights", {file, R, 0}) == success);
  CHECK(guest.write(file, "x") == notcapable);
  CHECK(guest.call("fd_fdstat_set_rights", {file, R | W, 0}) == notcapable);
  CHECK(guest.call("fd_fdstat_get", {file, at}) == success);
  CHECK(guest.get<std::uint64_t>(at + 8) == R);
  CHECK(guest.call("fd_tell", {file, at}) == notcapable);
}

TEST_CASE("wasi: each readdir entry may be cut, and the next call begins with it whole") {
  Guest guest;
  furnish(guest);
  std::string all;
  std::uint64_t cookie = 0;
  for (std::uint64_t room = 24 + 7;;) {
    REQUIRE(guest.call("fd_readdir", {out, at, room, cookie, size}) == success);
    const auto used = guest.get<std::uint32_t>(size);
    REQUIRE(used <= room);
    if (used == 0) break;
    const auto length = guest.get<std::uint32_t>(at + 16);
    if (used < 24 + length) {
      CHECK(used == room);
      room = 24 + length;
      continue;
    }
    all += guest.text(at + 24, length) + " ";
    cookie = guest.get<std::uint64_t>(at);
  }
  CHECK(all == ". .. a b dir file full l ld loop lx nothing slash up up2 ");
  REQUIRE(guest.call("fd_readdir", {out, at, 30, 6, size}) == success);  // back to an earlier place
  CHECK(guest.text(at + 24, 4) == "full");
  CHECK(guest.get<std::uint8_t>(at + 20) == static_cast<std::uint8_t>(FileType::directory));
}

TEST_CASE("wasi: listings of directories are charged, so they cannot fill the host") {
  Guest guest(1 << 20);
  furnish(guest);
  Errno last = success;
  for (int i = 0; i < 100 && last == success; ++i) {
    REQUIRE(guest.open(3, "out", directory) == success);
    last = guest.call("fd_readdir", {guest.fd(), at, 4096, 0, size});
  }
  CHECK(last == nomem);
}

TEST_CASE("wasi: poll knows absolute and relative time, errors of descriptors, and for ever") {
  Guest guest;
  const auto subscribe = [&](std::uint64_t index, std::uint8_t tag, std::uint32_t what, std::uint64_t timeout, std::uint16_t flags) {
    const std::uint64_t to = 2048 + index * 48;
    guest.set<std::uint64_t>(to, 100 + index);
    guest.set<std::uint8_t>(to + 8, tag);
    guest.set<std::uint32_t>(to + 16, what);
    guest.set<std::uint64_t>(to + 24, timeout);
    guest.set<std::uint16_t>(to + 40, flags);
  };
  const auto poll = [&](std::uint64_t count) {
    REQUIRE(guest.call("poll_oneoff", {2048, 4096, count, size}) == success);
    return guest.get<std::uint32_t>(size);
  };
  const auto now = [&](std::uint64_t clock) {
    REQUIRE(guest.call("clock_time_get", {clock, 0, at}) == success);
    return guest.get<std::uint64_t>(at);
  };
  subscribe(0, 0, 0, static_cast<std::uint64_t>(epoch_ns) + 3'000'000'000, 1);  // real time, absolute
  subscribe(1, 0, 1, 9'000'000'000, 0);
  CHECK(poll(2) == 1);
  CHECK(guest.get<std::uint64_t>(4096) == 100);
  CHECK(now(1) >= 3'000'000'000);
  CHECK(now(1) < 4'000'000'000);
  subscribe(0, 0, 1, 1, 1);  // long past
  CHECK(poll(2) == 1);
  subscribe(0, 1, 0, 0, 0);  // standard input has a line
  subscribe(1, 2, 99, 0, 0);
  CHECK(poll(2) == 2);
  CHECK(guest.get<std::uint64_t>(4096 + 16) == 5);
  CHECK(guest.get<std::uint16_t>(4096 + 32 + 8) == static_cast<std::uint16_t>(badf));
  subscribe(0, 0, 9, 5, 0);
  CHECK(poll(1) == 1);
  CHECK(guest.get<std::uint16_t>(4096 + 8) == static_cast<std::uint16_t>(inval));
  subscribe(0, 3, 0, 0, 0);
  CHECK(guest.call("poll_oneoff", {2048, 4096, 1, size}) == inval);
  for (int i = 0; i < 3; ++i) {  // time that has no end stays in order
    subscribe(0, 0, 1, ~0ULL, 0);
    const auto before = now(0);
    CHECK(poll(1) == 1);
    CHECK(now(0) > before);
  }
}

TEST_CASE("wasi: each round of an item draws other random numbers, always the same ones") {
  const auto draw = [](std::uint32_t round) {
    Guest guest(1 << 20, 1, round);
    REQUIRE(guest.call("random_get", {at, 8}) == success);
    return guest.get<std::uint64_t>(at);
  };
  CHECK(draw(1) == draw(1));
  CHECK(draw(0) != draw(1));
  CHECK(draw(1) != draw(2));
}
