// A minimal PNG writer: 8-bit palette images, one IDAT chunk.
// Sources: PNG (ISO/IEC 15948, third edition), zlib (RFC 1950), deflate (RFC 1951).
// Rule: compression is one fixed-Huffman block with runs (matches at distance 1) only, and a row equal to the one
// above uses the Up filter, so it becomes a run of zeros. Enlarged pictures shrink tenfold, and the code stays a page
// long.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace starling::dedoppler {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;
};
using Palette = std::array<Colour, 256>;

// `pixels` holds width x height palette indices, top row first.
std::string encode_png(std::uint32_t width, std::uint32_t height, const Palette& palette,
                       std::span<const std::uint8_t> pixels);

std::uint32_t crc32(std::string_view bytes);
std::uint32_t adler32(std::string_view bytes);

// A zlib stream that inflates to `bytes`.
std::string zlib_compress(std::string_view bytes);

}  // namespace starling::dedoppler
