#include "tasks/dedoppler/png.hpp"

#include <algorithm>

namespace starling::dedoppler {

namespace {

void put_big_endian(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>((value >> shift) & 0xff));
}

void put_chunk(std::string& out, std::string_view type, std::string_view body) {
  put_big_endian(out, static_cast<std::uint32_t>(body.size()));
  std::string checked(type);
  checked += body;
  out += checked;
  put_big_endian(out, crc32(checked));
}

// Deflate packs bits from the lowest up; Huffman codes go in with their highest bit first.
class BitWriter {
 public:
  void bits(std::uint32_t value, int count) {
    held_ |= value << held_bits_;
    held_bits_ += count;
    while (held_bits_ >= 8) flush_byte();
  }

  void code(std::uint32_t value, int count) {
    std::uint32_t reversed = 0;
    for (int i = 0; i < count; ++i) reversed |= ((value >> i) & 1U) << (count - 1 - i);
    bits(reversed, count);
  }

  std::string finish() {
    if (held_bits_ > 0) flush_byte();
    return std::move(out_);
  }

 private:
  void flush_byte() {
    out_.push_back(static_cast<char>(held_ & 0xff));
    held_ >>= 8;
    held_bits_ = std::max(0, held_bits_ - 8);
  }

  std::string out_;
  std::uint32_t held_ = 0;
  int held_bits_ = 0;
};

// RFC 1951, section 3.2.6.
void put_symbol(BitWriter& out, std::uint32_t symbol) {
  if (symbol < 144) {
    out.code(0x30 + symbol, 8);
  } else if (symbol < 256) {
    out.code(0x190 + symbol - 144, 9);
  } else if (symbol < 280) {
    out.code(symbol - 256, 7);
  } else {
    out.code(0xc0 + symbol - 280, 8);
  }
}

// A match of 3 to 258 bytes at distance 1 (RFC 1951, section 3.2.5).
void put_run(BitWriter& out, std::uint32_t length) {
  if (length == 258) {
    put_symbol(out, 285);
  } else {
    const std::uint32_t over = length - 3;
    int extra_bits = 0;
    while (over >> (extra_bits + 3) != 0) ++extra_bits;
    const std::uint32_t step = over >> extra_bits;
    put_symbol(out, 257 + 4 * static_cast<std::uint32_t>(extra_bits) + step);
    out.bits(over - (step << extra_bits), extra_bits);
  }
  out.code(0, 5);
}

}  // namespace

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
  }
  return ~crc;
}

std::uint32_t adler32(std::string_view bytes) {
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<std::uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return (b << 16) | a;
}

std::string zlib_compress(std::string_view bytes) {
  BitWriter out;
  out.bits(0x0178, 16);  // deflate, 32 KiB window, no dictionary
  out.bits(1, 1);        // last block
  out.bits(1, 2);        // fixed Huffman codes
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t run = 1;
    while (at + run < bytes.size() && bytes[at + run] == bytes[at]) ++run;
    put_symbol(out, static_cast<std::uint8_t>(bytes[at]));
    std::size_t left = run - 1;
    for (; left >= 3; left -= std::min<std::size_t>(left, 258))
      put_run(out, static_cast<std::uint32_t>(std::min<std::size_t>(left, 258)));
    for (; left > 0; --left) put_symbol(out, static_cast<std::uint8_t>(bytes[at]));
    at += run;
  }
  put_symbol(out, 256);
  std::string stream = out.finish();
  put_big_endian(stream, adler32(bytes));
  return stream;
}

std::string encode_png(std::uint32_t width, std::uint32_t height, const Palette& palette,
                       std::span<const std::uint8_t> pixels) {
  std::string header;
  put_big_endian(header, width);
  put_big_endian(header, height);
  header += std::string("\x08\x03\x00\x00\x00", 5);  // 8 bits, palette, deflate, adaptive filters, no interlace

  std::string colours;
  for (const Colour& colour : palette)
    for (const std::uint8_t part : {colour.red, colour.green, colour.blue}) colours.push_back(static_cast<char>(part));

  std::string rows;
  rows.reserve(std::size_t{height} * (width + 1));
  for (std::uint32_t y = 0; y < height; ++y) {
    const auto row = pixels.subspan(std::size_t{y} * width, width);
    if (y > 0 && std::ranges::equal(row, pixels.subspan(std::size_t{y - 1} * width, width))) {
      rows.push_back('\x02');
      rows.append(width, '\0');
    } else {
      rows.push_back('\0');
      rows.append(reinterpret_cast<const char*>(row.data()), row.size());
    }
  }

  std::string png = "\x89PNG\r\n\x1a\n";
  put_chunk(png, "IHDR", header);
  put_chunk(png, "PLTE", colours);
  put_chunk(png, "IDAT", zlib_compress(rows));
  put_chunk(png, "IEND", "");
  return png;
}

}  // namespace starling::dedoppler
