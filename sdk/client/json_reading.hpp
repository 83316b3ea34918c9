// Reading values back from JSON: what is missing or foreign throws inside, and only inside, `reading`.
#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace starling::client {

template <class Read>
auto reading(Read read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

template <class Id>
Id id_at(const nlohmann::json& json, const char* key) {
  return Id::from_base32_text(json.at(key).template get<std::string>()).value();
}

// Nothing where null stands.
template <class Id>
std::optional<Id> optional_id_at(const nlohmann::json& json, const char* key) {
  return json.at(key).is_null() ? std::nullopt : std::optional(id_at<Id>(json, key));
}

// The one of `values` that has this name.
template <class Values>
auto named(const Values& values, std::string_view name) -> std::optional<typename Values::value_type> {
  for (const auto value : values)
    if (name == name_of(value)) return value;
  return std::nullopt;
}

}  // namespace starling::client
