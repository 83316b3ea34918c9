// Bounded reading and deterministic writing of one Cap'n Proto message. Internal to wire/: the only header that sees capnp.
//
// Reading hostile bytes: standard framing of exactly one segment whose length says exactly what came; copied once into
// aligned words; traversal limit max(2 x message, 64 Ki words), so aliased pointers copy at most twice a message (or 512 KiB);
// nesting 16. A walk copies into plain structs; what it refuses, and what Cap'n Proto refuses, is thrown inside this folder
// and caught here, once per message. Lists are asked for their count before any memory is set aside.
// Writing: one segment, filled in the same order for equal structs, so equal structs give equal bytes.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::wire {

// ---------------------------------------------------------------- reading

struct Malformed {
  std::string what;
};

inline void require(bool condition, const char* what) {
  if (!condition) throw Malformed{what};
}

// The framed words, aligned; throws Malformed when framing and length disagree.
kj::Array<capnp::word> aligned_segment(base::ByteView raw, std::size_t bytes_max);
capnp::ReaderOptions bounded_options(std::size_t words);

// walk: Root::Reader -> T; may throw Malformed.
template <class Root, class Walk>
auto read_message(base::ByteView raw, std::size_t bytes_max, Walk walk)
    -> base::Expected<std::invoke_result_t<Walk, typename Root::Reader>> {
  try {
    const kj::Array<capnp::word> words = aligned_segment(raw, bytes_max);
    const kj::ArrayPtr<const capnp::word> segments[] = {words.asPtr()};
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments, 1), bounded_options(words.size()));
    return walk(reader.getRoot<Root>());
  } catch (const Malformed& refused) {
    return base::fail(base::ErrorCode::malformed, refused.what);
  } catch (const kj::Exception& refused) {
    return base::fail(base::ErrorCode::malformed, refused.getDescription().cStr());
  } catch (const std::exception& refused) {
    return base::fail(base::ErrorCode::malformed, refused.what());
  }
}

template <class List>
List counted(List list, std::size_t count_max, const char* what) {
  require(list.size() <= count_max, what);
  return list;
}

template <class T>
std::vector<T> copied(typename capnp::List<T>::Reader list) {
  std::vector<T> out(list.size());
  for (kj::uint i = 0; i < list.size(); ++i) out[i] = list[i];
  return out;
}

template <std::size_t size>
std::array<std::byte, size> read_array(capnp::Data::Reader data, const char* what) {
  require(data.size() == size, what);
  std::array<std::byte, size> out;
  std::memcpy(out.data(), data.begin(), size);
  return out;
}

template <class Id>
Id read_id(capnp::Data::Reader data) {
  return Id{read_array<Id::size>(data, "an id is not 32 bytes long")};
}

template <class Id>
std::vector<Id> read_ids(capnp::Data::Reader data, std::size_t count_max) {
  require(data.size() % Id::size == 0, "a list of ids does not end with a whole id");
  require(data.size() / Id::size <= count_max, "too many ids");
  std::vector<Id> ids(data.size() / Id::size);
  for (std::size_t i = 0; i < ids.size(); ++i) std::memcpy(ids[i].bytes.data(), data.begin() + i * Id::size, Id::size);
  return ids;
}

inline base::ByteView bytes_of(capnp::Data::Reader data) { return std::as_bytes(std::span(data.begin(), data.size())); }

// Any text without NUL, at most name_bytes_max.
std::string read_text(capnp::Text::Reader text);
// For people: UTF-8 without control characters, so that no terminal obeys it.
std::string read_label(capnp::Text::Reader text);
// "host:port"; whether the host is numeric is the dialler's question.
std::string read_address(capnp::Text::Reader text);
std::vector<std::string> read_addresses(capnp::List<capnp::Text>::Reader list);

template <class To, class From>
To read_enum(From value, To last) {
  const auto number = static_cast<unsigned>(value);
  require(number <= static_cast<unsigned>(last), "unknown enum value");
  return static_cast<To>(number);
}

template <class Range, class Less>
bool strictly_ascending(const Range& range, Less less) {
  return std::ranges::adjacent_find(range, [&](const auto& a, const auto& b) { return !less(a, b); }) == std::ranges::end(range);
}

template <class Range>
bool strictly_ascending(const Range& range) {
  return strictly_ascending(range, std::ranges::less{});
}

// ---------------------------------------------------------------- writing

base::Bytes framed(capnp::MessageBuilder& builder);

// fill: Root::Builder -> void. words: what the message will need; a low guess costs a copy, nothing else.
template <class Root, class Fill>
base::Bytes write_message(std::size_t words, Fill fill) {
  capnp::MallocMessageBuilder builder(static_cast<kj::uint>(words));
  fill(builder.initRoot<Root>());
  if (builder.getSegmentsForOutput().size() == 1) return framed(builder);
  const auto root = builder.getRoot<Root>().asReader();
  capnp::MallocMessageBuilder whole(static_cast<kj::uint>(root.totalSize().wordCount + 1));
  whole.setRoot(root);
  return framed(whole);
}

inline capnp::Data::Reader data_of(base::ByteView bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

inline capnp::Text::Reader text_of(const std::string& text) { return {text.data(), text.size()}; }

// Words that a string or Data takes.
constexpr std::size_t words_of(std::size_t bytes) { return bytes / 8 + 2; }

template <class Id>
void write_ids(capnp::Data::Builder data, const std::vector<Id>& ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) std::memcpy(data.begin() + i * Id::size, ids[i].bytes.data(), Id::size);
}

template <class Builder>
void write_texts(Builder list, const std::vector<std::string>& texts) {
  for (kj::uint i = 0; i < list.size(); ++i) list.set(i, text_of(texts[i]));
}

constexpr kj::uint count_of(const auto& list) { return static_cast<kj::uint>(list.size()); }

// Lists that mean a set are written as one.
template <class T>
std::vector<T> as_set(std::vector<T> values) {
  std::ranges::sort(values);
  values.erase(std::ranges::unique(values).begin(), values.end());
  return values;
}

}  // namespace starling::wire
