#include "tasks/dedoppler/cutout.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "tasks/dedoppler/filterbank.hpp"

namespace starling::dedoppler {

namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

constexpr std::string_view magic = "DDCUT001";
constexpr std::size_t head_bytes = 8 + 2 * 4 + 2 * 8 + 5 * 8;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
void take(std::string_view& in, T& value) {
  std::memcpy(&value, in.data(), sizeof(value));
  in.remove_prefix(sizeof(value));
}

bool plausible(const Cutout& cutout) {
  return cutout.spectra >= 1 && cutout.spectra <= spectra_max && cutout.channels >= 1 &&
         cutout.channels <= cutout_channels_max && cutout.first_channel < channels_max &&
         cutout.hit_channel < channels_max && std::fabs(cutout.channel_width_mhz) >= 1e-9 &&
         std::fabs(cutout.channel_width_mhz) <= 1e3 && cutout.spectrum_s >= 1e-9 && cutout.spectrum_s <= 1e6 &&
         std::fabs(cutout.drift_hz_s) <= 1e6;
}

}  // namespace

std::string cutout_name(std::uint64_t hit_channel) {
  return "cutout-" + std::to_string(hit_channel) + ".bin";
}

std::string encode_cutout(const Cutout& cutout) {
  std::string out(magic);
  put(out, cutout.spectra);
  put(out, cutout.channels);
  put(out, cutout.first_channel);
  put(out, cutout.hit_channel);
  put(out, cutout.first_channel_mhz);
  put(out, cutout.channel_width_mhz);
  put(out, cutout.spectrum_s);
  put(out, cutout.drift_hz_s);
  put(out, cutout.snr);
  out.append(reinterpret_cast<const char*>(cutout.power.data()), cutout.power.size() * sizeof(float));
  return out;
}

Result<Cutout> decode_cutout(std::string_view bytes) {
  const auto broken = std::unexpected<Error>("the bytes are no cut-out; use cut-outs written by this program");
  if (bytes.size() < head_bytes || !bytes.starts_with(magic)) return broken;
  bytes.remove_prefix(magic.size());
  Cutout cutout;
  take(bytes, cutout.spectra);
  take(bytes, cutout.channels);
  take(bytes, cutout.first_channel);
  take(bytes, cutout.hit_channel);
  take(bytes, cutout.first_channel_mhz);
  take(bytes, cutout.channel_width_mhz);
  take(bytes, cutout.spectrum_s);
  take(bytes, cutout.drift_hz_s);
  take(bytes, cutout.snr);
  if (!plausible(cutout)) return broken;
  const std::size_t samples = std::size_t{cutout.spectra} * cutout.channels;
  if (bytes.size() != samples * sizeof(float)) return broken;
  cutout.power.resize(samples);
  std::memcpy(cutout.power.data(), bytes.data(), bytes.size());
  return cutout;
}

}  // namespace starling::dedoppler
