#include "tasks/dedoppler/taylor_tree.hpp"

#include <algorithm>

namespace starling::dedoppler {

namespace {

void add(const float* __restrict first, const float* __restrict second, float* __restrict out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = first[i] + second[i];
}

}  // namespace

std::size_t track_offset(std::size_t rows, std::size_t track, std::size_t row) {
  std::size_t offset = 0;
  for (std::size_t half = rows / 2; half > 0; half /= 2) {
    if (row >= half) {
      offset += (track + 1) / 2;
      row -= half;
    }
    track /= 2;
  }
  return offset;
}

TaylorTree::TaylorTree(std::size_t rows, std::size_t channels_max)
    : rows_(rows), stride_(channels_max + rows), front_(rows * stride_), back_(rows * stride_) {}

void TaylorTree::transform(std::span<const float* const> row_starts, std::size_t channels) {
  channels_ = channels;
  if (rows_ == 1) {
    std::copy_n(row_starts[0], channels, front_.data());
    return;
  }
  // Level one reads the caller's rows, later levels swap two buffers. Each level needs fewer channels to the right.
  for (std::size_t pair = 0; pair < rows_; pair += 2)
    for (std::size_t j = 0; j < 2; ++j)
      add(row_starts[pair], row_starts[pair + 1] + j, front_.data() + (pair + j) * stride_, channels + rows_ - 2);
  for (std::size_t group = 2; group < rows_; group *= 2) {
    const std::size_t width = channels + rows_ - 2 * group;
    for (std::size_t base = 0; base < rows_; base += 2 * group)
      for (std::size_t j = 0; j < 2 * group; ++j) {
        const float* first = front_.data() + (base + j / 2) * stride_;
        const float* second = front_.data() + (base + group + j / 2) * stride_ + (j + 1) / 2;
        add(first, second, back_.data() + (base + j) * stride_, width);
      }
    front_.swap(back_);
  }
}

std::span<const float> TaylorTree::track(std::size_t index) const {
  return std::span(front_).subspan(index * stride_, channels_);
}

}  // namespace starling::dedoppler
