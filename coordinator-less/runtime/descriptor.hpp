// An open file of the blob store, closed with its scope; and a whole blob's place in the file system.
#pragma once

#include <filesystem>
#include <utility>

#include "coordinator-less/storage/blob_store.hpp"

namespace starling::runtime {

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor();

  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

base::Expected<Descriptor> open_blob(const storage::BlobStore& blobs, const base::Digest& name);
// Of a whole blob; the file stays as long as nothing evicts it.
base::Expected<std::filesystem::path> blob_path(const storage::BlobStore& blobs, const base::Digest& name);

}  // namespace starling::runtime
