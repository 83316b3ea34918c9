#include "sdk/client/owner_key.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "sdk/client/folders.hpp"

namespace starling::client {

namespace {

using base::ErrorCode;

base::Expected<crypto::Identity> make_key(const std::filesystem::path& file) {
  if (const auto made = make_private_folder(file.parent_path()); !made) return std::unexpected(made.error());
  auto key = crypto::Identity::generate();
  const std::string text = base::to_hex(key.seed()) + "\n";
  if (const auto written = write_file(file, base::view(text), 0600); !written) return std::unexpected(written.error());
  return key;
}

}  // namespace

base::Expected<crypto::Identity> load_owner_key(const std::filesystem::path& file) {
  struct stat about{};
  if (::stat(file.c_str(), &about) != 0 && errno == ENOENT) return make_key(file);
  if ((about.st_mode & 077) != 0)
    return base::fail(ErrorCode::refused, "others may read the owner key " + file.string(), "run: chmod 600 " + file.string());
  STARLING_TRY(const base::Bytes bytes, read_file(file, 4096));
  std::string_view digits = base::text(bytes);
  if (!digits.empty() && digits.back() == '\n') digits.remove_suffix(1);
  const auto raw = base::from_hex(digits);
  crypto::Seed seed{};
  if (!raw || raw->size() != seed.size())
    return base::fail(ErrorCode::bad_input, "the owner key " + file.string() + " is damaged", "restore it from a copy, or move it away to get a new one");
  std::ranges::copy(*raw, seed.begin());
  return crypto::Identity::from_seed(seed);
}

}  // namespace starling::client
