#include "tasks/dedoppler/filterbank.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>

namespace starling::dedoppler {

namespace {

static_assert(std::endian::native == std::endian::little, "samples are copied as they lie in the file");

enum class FieldType { integer, real, text, byte };

struct Keyword {
  std::string_view name;
  FieldType type;
};

constexpr std::array keywords = std::to_array<Keyword>({
    {"telescope_id", FieldType::integer},
    {"machine_id", FieldType::integer},
    {"data_type", FieldType::integer},
    {"barycentric", FieldType::integer},
    {"pulsarcentric", FieldType::integer},
    {"nbits", FieldType::integer},
    {"nsamples", FieldType::integer},
    {"nchans", FieldType::integer},
    {"nifs", FieldType::integer},
    {"nbeams", FieldType::integer},
    {"ibeam", FieldType::integer},
    {"npuls", FieldType::integer},
    {"nbins", FieldType::integer},
    {"az_start", FieldType::real},
    {"za_start", FieldType::real},
    {"src_raj", FieldType::real},
    {"src_dej", FieldType::real},
    {"tstart", FieldType::real},
    {"tsamp", FieldType::real},
    {"fch1", FieldType::real},
    {"foff", FieldType::real},
    {"refdm", FieldType::real},
    {"period", FieldType::real},
    {"rawdatafile", FieldType::text},
    {"source_name", FieldType::text},
    {"signed", FieldType::byte},
});

constexpr std::int32_t text_bytes_max = 256;

// The fields as found; absent ones stay empty.
struct RawHeader {
  std::optional<std::int32_t> bits, channels, polarisations, samples, data_type;
  std::optional<double> first_channel_mhz, channel_width_mhz, spectrum_s;
  std::string source_name;
  std::uint64_t header_bytes = 0;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  std::optional<T> number() {
    if (bytes_.size() - at_ < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::optional<std::string> text() {
    const auto length = number<std::int32_t>();
    if (!length || *length < 0 || *length > text_bytes_max) return std::nullopt;
    if (bytes_.size() - at_ < static_cast<std::size_t>(*length)) return std::nullopt;
    std::string value(reinterpret_cast<const char*>(bytes_.data() + at_), static_cast<std::size_t>(*length));
    at_ += value.size();
    return value;
  }

  std::size_t position() const { return at_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

Error broken(const std::string& what) {
  return what + "; check that the file is a whole SIGPROC filterbank";
}

void keep_integer(RawHeader& header, std::string_view name, std::int32_t value) {
  if (name == "nbits") header.bits = value;
  if (name == "nchans") header.channels = value;
  if (name == "nifs") header.polarisations = value;
  if (name == "nsamples") header.samples = value;
  if (name == "data_type") header.data_type = value;
}

void keep_real(RawHeader& header, std::string_view name, double value) {
  if (name == "fch1") header.first_channel_mhz = value;
  if (name == "foff") header.channel_width_mhz = value;
  if (name == "tsamp") header.spectrum_s = value;
}

// Reads one value; false when the bytes end before it.
bool read_field(Reader& reader, const Keyword& keyword, RawHeader& header) {
  switch (keyword.type) {
    case FieldType::integer: {
      const auto value = reader.number<std::int32_t>();
      if (value) keep_integer(header, keyword.name, *value);
      return value.has_value();
    }
    case FieldType::real: {
      const auto value = reader.number<double>();
      if (value) keep_real(header, keyword.name, *value);
      return value.has_value();
    }
    case FieldType::text: {
      const auto value = reader.text();
      if (value && keyword.name == "source_name") header.source_name = *value;
      return value.has_value();
    }
    case FieldType::byte:
      return reader.number<std::int8_t>().has_value();
  }
  return false;
}

Result<RawHeader> read_fields(std::span<const std::byte> head) {
  Reader reader(head);
  if (reader.text() != "HEADER_START") return std::unexpected(broken("the file does not begin with HEADER_START"));
  RawHeader header;
  for (;;) {
    const auto name = reader.text();
    if (!name) return std::unexpected(broken("the header ends without HEADER_END"));
    if (*name == "HEADER_END") break;
    const auto keyword = std::ranges::find(keywords, *name, &Keyword::name);
    if (keyword == keywords.end())
      return std::unexpected(broken("the header has the unknown keyword '" + printable(*name) + "'"));
    if (!read_field(reader, *keyword, header))
      return std::unexpected(broken("the header ends inside " + std::string(keyword->name)));
  }
  header.header_bytes = reader.position();
  return header;
}

bool between(std::optional<double> value, double low, double high) {
  return value && std::isfinite(*value) && *value >= low && *value <= high;
}

// What the header says must be possible and be what this program reads.
std::optional<Error> objection(const RawHeader& header) {
  if (header.bits != 32)
    return "samples have " + (header.bits ? std::to_string(*header.bits) : "an unknown number of") +
           " bits, this program reads 32-bit floats; convert the file first";
  if (header.polarisations.value_or(1) != 1)
    return "the header says nifs " + std::to_string(*header.polarisations) +
           ", this program reads total power (nifs 1); convert the file first";
  if (header.data_type.value_or(1) > 1 || header.data_type.value_or(1) < 0)
    return "the header says data_type " + std::to_string(*header.data_type) +
           ", not a filterbank (1); pass a filterbank file";
  if (header.channels.value_or(0) < 1 || static_cast<std::uint64_t>(*header.channels) > channels_max)
    return broken("the header says nchans " + std::to_string(header.channels.value_or(0)) + ", expected 1 to " +
                  std::to_string(channels_max));
  if (!between(header.spectrum_s, 1e-9, 1e6))
    return broken("the header's tsamp is missing or not between 1e-9 and 1e6 seconds");
  if (!between(header.first_channel_mhz, 0, 1e9))
    return broken("the header's fch1 is missing or not between 0 and 1e9 MHz");
  if (!header.channel_width_mhz || !between(std::fabs(*header.channel_width_mhz), 1e-9, 1e3))
    return broken("the header's foff is missing or not between 1e-9 and 1e3 MHz in size");
  return std::nullopt;
}

}  // namespace

Result<Filterbank> parse_filterbank(std::span<const std::byte> head, std::uint64_t file_bytes) {
  const auto header = read_fields(head.first(std::min(head.size(), header_bytes_max)));
  if (!header) return std::unexpected(header.error());
  if (const auto error = objection(*header)) return std::unexpected(*error);

  Filterbank filterbank;
  filterbank.data_offset = header->header_bytes;
  filterbank.channels = static_cast<std::uint64_t>(*header->channels);
  filterbank.first_channel_mhz = *header->first_channel_mhz;
  filterbank.channel_width_mhz = *header->channel_width_mhz;
  filterbank.spectrum_s = *header->spectrum_s;
  filterbank.source_name = header->source_name;

  const std::uint64_t spectrum_bytes = filterbank.channels * sizeof(float);
  const std::uint64_t data_bytes = file_bytes - std::min(file_bytes, filterbank.data_offset);
  filterbank.spectra = data_bytes / spectrum_bytes;
  if (data_bytes == 0) return std::unexpected(broken("the file holds a header and no data"));
  if (data_bytes % spectrum_bytes != 0)
    return std::unexpected("the file ends inside spectrum " + std::to_string(filterbank.spectra) +
                           ", it is truncated; fetch it again");
  if (header->samples && *header->samples > 0 && static_cast<std::uint64_t>(*header->samples) > filterbank.spectra)
    return std::unexpected("the header promises " + std::to_string(*header->samples) + " spectra, the file holds " +
                           std::to_string(filterbank.spectra) + "; fetch it again");
  if (filterbank.spectra > spectra_max)
    return std::unexpected("the file holds " + std::to_string(filterbank.spectra) + " spectra, at most " +
                           std::to_string(spectra_max) + " are searched at once; cut it in time");
  return filterbank;
}

std::string encode_filterbank_header(const Filterbank& filterbank) {
  std::string header;
  const auto raw = [&](const auto& value) { header.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  const auto text = [&](std::string_view value) {
    raw(static_cast<std::int32_t>(value.size()));
    header += value;
  };
  const auto integer = [&](std::string_view name, std::int32_t value) { text(name), raw(value); };
  const auto real = [&](std::string_view name, double value) { text(name), raw(value); };
  text("HEADER_START");
  integer("machine_id", 20);
  integer("telescope_id", 6);  // Green Bank
  real("src_raj", 171003.984);
  real("src_dej", 121058.8);
  real("az_start", 0);
  real("za_start", 0);
  integer("data_type", 1);
  real("fch1", filterbank.first_channel_mhz);
  real("foff", filterbank.channel_width_mhz);
  integer("nchans", static_cast<std::int32_t>(filterbank.channels));
  integer("nbeams", 1);
  integer("ibeam", 1);
  integer("nbits", 32);
  real("tstart", 57650.78209490741);
  real("tsamp", filterbank.spectrum_s);
  integer("nifs", 1);
  text("source_name");
  text(filterbank.source_name);
  text("HEADER_END");
  return header;
}

Result<Observation> open_observation(const std::string& folder) {
  const auto names = list_folder(folder);
  if (!names) return std::unexpected(names.error());
  std::vector<std::string> found;
  std::ranges::copy_if(*names, std::back_inserter(found), [](const auto& name) { return name.ends_with(".fil"); });
  if (found.size() != 1)
    return std::unexpected("the job's inputs hold " + std::to_string(found.size()) +
                           " .fil files, expected one; submit with --input FILE.fil");
  auto file = InputFile::open(folder + "/" + found.front());
  if (!file) return std::unexpected(file.error());
  std::vector<std::byte> head(static_cast<std::size_t>(std::min<std::uint64_t>(file->size_bytes(), header_bytes_max)));
  if (const auto read = file->read_at(0, head); !read) return std::unexpected(read.error());
  auto filterbank = parse_filterbank(head, file->size_bytes());
  if (!filterbank) return std::unexpected(printable(found.front()) + ": " + filterbank.error());
  return Observation{std::move(*file), std::move(*filterbank)};
}

Result<void> read_channels(const Observation& observation, std::uint64_t spectrum, std::uint64_t first_channel,
                           std::span<float> into) {
  const auto& filterbank = observation.filterbank;
  const std::uint64_t sample = spectrum * filterbank.channels + first_channel;
  return observation.file.read_at(filterbank.data_offset + sample * sizeof(float), std::as_writable_bytes(into));
}

}  // namespace starling::dedoppler
