// Numbers of WASI preview 1 (wasi_snapshot_preview1), as its witx files fix them.
#pragma once

#include <cstdint>

namespace starling::execution::wasi {

enum class Errno : std::uint16_t {
  success = 0, access = 2, again = 6, badf = 8, busy = 10, exist = 20, fault = 21, fbig = 22, inval = 28, io = 29,
  isdir = 31, loop = 32, mfile = 33, mlink = 34, nametoolong = 37, noent = 44, nomem = 48, nospc = 51, nosys = 52, notdir = 54,
  notempty = 55, notsock = 57, notsup = 58, overflow = 61, perm = 63, range = 68, rofs = 69, spipe = 70, xdev = 75,
  notcapable = 76,
};

enum class FileType : std::uint8_t { unknown = 0, directory = 3, regular_file = 4, symbolic_link = 7 };

namespace rights {
inline constexpr std::uint64_t fd_datasync = 1ULL << 0, fd_read = 1ULL << 1, fd_seek = 1ULL << 2,
    fd_fdstat_set_flags = 1ULL << 3, fd_sync = 1ULL << 4, fd_tell = 1ULL << 5, fd_write = 1ULL << 6,
    fd_advise = 1ULL << 7, fd_allocate = 1ULL << 8, path_create_directory = 1ULL << 9, path_create_file = 1ULL << 10,
    path_link_source = 1ULL << 11, path_link_target = 1ULL << 12, path_open = 1ULL << 13, fd_readdir = 1ULL << 14,
    path_readlink = 1ULL << 15, path_rename_source = 1ULL << 16, path_rename_target = 1ULL << 17,
    path_filestat_get = 1ULL << 18, path_filestat_set_size = 1ULL << 19, path_filestat_set_times = 1ULL << 20,
    fd_filestat_get = 1ULL << 21, fd_filestat_set_size = 1ULL << 22, fd_filestat_set_times = 1ULL << 23,
    path_symlink = 1ULL << 24, path_remove_directory = 1ULL << 25, path_unlink_file = 1ULL << 26,
    poll_fd_readwrite = 1ULL << 27;
inline constexpr std::uint64_t any_file = fd_datasync | fd_seek | fd_fdstat_set_flags | fd_sync | fd_tell | fd_advise |
    fd_filestat_get | fd_filestat_set_times | poll_fd_readwrite;
inline constexpr std::uint64_t writing = fd_write | fd_allocate | fd_filestat_set_size;
inline constexpr std::uint64_t file = any_file | fd_read | writing;
inline constexpr std::uint64_t directory = fd_fdstat_set_flags | fd_sync | fd_advise | path_create_directory |
    path_create_file | path_link_source | path_link_target | path_open | fd_readdir | path_readlink | path_rename_source |
    path_rename_target | path_filestat_get | path_filestat_set_size | path_filestat_set_times | fd_filestat_get |
    fd_filestat_set_times | path_symlink | path_remove_directory | path_unlink_file | poll_fd_readwrite;
inline constexpr std::uint64_t all = file | directory;
inline constexpr std::uint64_t stream = fd_read | fd_write | fd_datasync | fd_sync | fd_fdstat_set_flags | fd_filestat_get |
    poll_fd_readwrite;
}  // namespace rights

namespace open_flags {
inline constexpr std::uint64_t create = 1, directory = 2, exclusive = 4, truncate = 8;
}
namespace fd_flags {
inline constexpr std::uint16_t append = 1, dsync = 2, nonblock = 4, rsync = 8, sync = 16, all = 31;
}
namespace lookup_flags {
inline constexpr std::uint64_t follow = 1;
}
namespace time_flags {  // access and modification; "now" and a given time exclude each other
inline constexpr std::uint64_t access = 1, access_now = 2, modification = 4, modification_now = 8, all = 15;
}

inline constexpr std::int64_t epoch_ns = 1'577'836'800'000'000'000;  // 2020-01-01: every time stamp, and when clocks start
inline constexpr std::uint64_t clock_step_ns = 1;                    // the clocks' resolution: one unit of fuel

}  // namespace starling::execution::wasi
