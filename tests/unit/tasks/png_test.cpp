#include "tasks/dedoppler/png.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "tasks/dedoppler/waterfall.hpp"

using namespace starling::dedoppler;

namespace {

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[static_cast<std::size_t>(i)]);
  return value;
}

// The model: a plain reader of fixed-Huffman deflate (RFC 1951), written from the standard and not from the writer.
class Inflater {
 public:
  explicit Inflater(std::string_view bytes) : bytes_(bytes) {}

  std::string run() {
    if (take(1) != 1 || take(2) != 1) throw std::runtime_error("not one last fixed-Huffman block");
    static constexpr int base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                   31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static constexpr int extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                    2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    std::string out;
    for (;;) {
      const int symbol = next_symbol();
      if (symbol == 256) return out;
      if (symbol < 256) {
        out.push_back(static_cast<char>(symbol));
        continue;
      }
      const int length = base[symbol - 257] + take(extra[symbol - 257]);
      if (take(5) != 0 || out.empty()) throw std::runtime_error("unexpected distance");
      out.append(static_cast<std::size_t>(length), out.back());
    }
  }

  std::size_t bytes_used() const { return (bit_ + 7) / 8; }

 private:
  int take(int count) {
    int value = 0;
    for (int i = 0; i < count; ++i, ++bit_)
      value |= (static_cast<std::uint8_t>(bytes_.at(bit_ / 8)) >> (bit_ % 8) & 1) << i;
    return value;
  }

  int next_symbol() {
    int code = 0;
    for (int length = 1; length <= 9; ++length) {
      code = code << 1 | take(1);
      if (length == 7 && code <= 0x17) return code + 256;
      if (length == 8 && code >= 0x30 && code <= 0xbf) return code - 0x30;
      if (length == 8 && code >= 0xc0 && code <= 0xc7) return code - 0xc0 + 280;
      if (length == 9 && code >= 0x190) return code - 0x190 + 144;
    }
    throw std::runtime_error("no such code");
  }

  std::string_view bytes_;
  std::size_t bit_ = 0;
};

std::string inflate(std::string_view stream) {
  REQUIRE(stream.size() > 6);
  CHECK(stream.substr(0, 2) == "\x78\x01");
  CHECK((0x78 * 256 + 0x01) % 31 == 0);
  Inflater inflater(stream.substr(2, stream.size() - 6));
  const auto bytes = inflater.run();
  CHECK(inflater.bytes_used() == stream.size() - 6);
  CHECK(big_endian(stream.substr(stream.size() - 4)) == adler32(bytes));
  return bytes;
}

struct Picture {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::vector<std::uint8_t> pixels;
};

Picture read_png(std::string_view png) {
  REQUIRE(png.starts_with("\x89PNG\r\n\x1a\n"));
  png.remove_prefix(8);
  Picture picture;
  std::string order;
  std::string rows;
  while (!png.empty()) {
    const auto size = big_endian(png);
    const auto type = std::string(png.substr(4, 4));
    const auto body = png.substr(8, size);
    CHECK(crc32(png.substr(4, 4 + size)) == big_endian(png.substr(8 + size)));
    if (type == "IHDR") {
      picture.width = big_endian(body);
      picture.height = big_endian(body.substr(4));
      CHECK(body.substr(8) == std::string_view("\x08\x03\0\0\0", 5));
    }
    if (type == "PLTE") CHECK(size == 768);
    if (type == "IDAT") rows = inflate(body);
    order += type + " ";
    png.remove_prefix(12 + size);
  }
  CHECK(order == "IHDR PLTE IDAT IEND ");
  REQUIRE(rows.size() == std::size_t{picture.height} * (picture.width + 1));
  for (std::size_t y = 0; y < picture.height; ++y) {
    const char filter = rows[y * (picture.width + 1)];
    for (std::size_t x = 0; x < picture.width; ++x) {
      auto value = static_cast<std::uint8_t>(rows[y * (picture.width + 1) + 1 + x]);
      if (filter == 2) value = static_cast<std::uint8_t>(value + picture.pixels[(y - 1) * picture.width + x]);
      picture.pixels.push_back(value);
    }
  }
  return picture;
}

}  // namespace

TEST_CASE("png: published check values") {
  CHECK(crc32("123456789") == 0xcbf43926U);
  CHECK(adler32("Wikipedia") == 0x11e60398U);
}

TEST_CASE("png: the stream inflates to its input, for runs of every length") {
  CHECK(inflate(zlib_compress("")).empty());
  std::string all_runs;
  for (std::size_t length = 1; length < 600; ++length) all_runs += std::string(length, static_cast<char>(length * 37));
  CHECK(inflate(zlib_compress(all_runs)) == all_runs);
  std::mt19937 random(9);
  for (int round = 0; round < 50; ++round) {
    std::string bytes;
    while (bytes.size() < 2000) bytes.append(1 + random() % 9, static_cast<char>(random()));
    CHECK(inflate(zlib_compress(bytes)) == bytes);
  }
}

TEST_CASE("png: pixels come back as they were drawn") {
  std::mt19937 random(10);
  std::vector<std::uint8_t> pixels(37 * 20);
  for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(random());
  std::copy_n(pixels.begin(), 37, pixels.begin() + 37);
  const auto picture = read_png(encode_png(37, 20, Palette{}, pixels));
  CHECK(picture.width == 37);
  CHECK(picture.height == 20);
  CHECK(picture.pixels == pixels);
}

TEST_CASE("waterfall: wide enough, frequency rising to the right, and broken samples harmless") {
  Cutout cutout{.spectra = 16,
                .channels = 256,
                .first_channel = 1000,
                .hit_channel = 1010,
                .first_channel_mhz = 8421,
                .channel_width_mhz = -2.79e-6,
                .spectrum_s = 18,
                .drift_hz_s = 0,
                .snr = 50,
                .power = std::vector<float>(16 * 256, 1.0F)};
  for (std::size_t i = 0; i < cutout.power.size(); ++i) cutout.power[i] += static_cast<float>(i % 7) / 10;
  for (std::size_t t = 0; t < 16; ++t) cutout.power[t * 256 + 10] = 9;
  cutout.power[3] = std::numeric_limits<float>::quiet_NaN();
  cutout.power[4] = std::numeric_limits<float>::infinity();
  const auto picture = read_png(draw_waterfall(cutout));
  CHECK(picture.width >= 512);
  const auto across = picture.width / 256;
  const auto middle = picture.pixels.begin() + static_cast<std::ptrdiff_t>(picture.height / 2 * picture.width);
  CHECK(middle[(255 - 10) * across] == 254);
  CHECK(middle[10 * across] < 200);
  cutout.power.assign(cutout.power.size(), std::numeric_limits<float>::quiet_NaN());
  CHECK(read_png(draw_waterfall(cutout)).width >= 512);
}

TEST_CASE("cutout: comes back as it was written, damaged bytes are refused") {
  const Cutout cutout{.spectra = 2,
                      .channels = 3,
                      .first_channel = 7,
                      .hit_channel = 8,
                      .first_channel_mhz = 8421,
                      .channel_width_mhz = -2.79e-6,
                      .spectrum_s = 18,
                      .drift_hz_s = -0.4,
                      .snr = 31,
                      .power = {1, 2, 3, 4, 5, 6}};
  const auto bytes = encode_cutout(cutout);
  CHECK(decode_cutout(bytes).value() == cutout);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(decode_cutout(bytes.substr(0, length)).has_value());
  std::mt19937 random(12);
  for (int round = 0; round < 2000; ++round) {
    auto damaged = bytes;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    if (const auto decoded = decode_cutout(damaged)) CHECK_FALSE(draw_waterfall(*decoded).empty());
  }
}
