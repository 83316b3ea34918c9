#include "coordinator-less/runtime/descriptor.hpp"

#include <unistd.h>

#include "coordinator-less/base/check.hpp"

namespace starling::runtime {

Descriptor::~Descriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

base::Expected<Descriptor> open_blob(const storage::BlobStore& blobs, const base::Digest& name) {
  STARLING_TRY(const int descriptor, blobs.open_descriptor(name));
  return Descriptor(descriptor);
}

base::Expected<std::filesystem::path> blob_path(const storage::BlobStore& blobs, const base::Digest& name) {
  if (!blobs.has(name)) return base::fail(base::ErrorCode::not_found, "blob " + name.brief() + " is not whole here");
  STARLING_TRY(const Descriptor file, open_blob(blobs, name));
  // The store keeps its naming to itself; the kernel knows the path of what it opened.
  std::error_code error;
  auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file.get()), error);
  if (error) return base::fail(base::ErrorCode::internal, "blob " + name.brief() + " has no path", "check that /proc is mounted");
  return path;
}

}  // namespace starling::runtime
