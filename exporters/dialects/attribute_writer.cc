#include "exporters/dialects/attribute_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

namespace sidecast {
namespace {

// Eight bytes a step: names are short and this runs for each attribute of a record with metadata.
// Its upper bits are the good ones: a multiplication carries upwards only.
std::uint64_t hash_of(Text key) noexcept {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;
  std::uint64_t hash = key.size();
  const auto mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 32U;
  };
  const auto word_at = [key](std::size_t at) {
    std::uint64_t word = 0;
    std::memcpy(&word, key.data() + at, sizeof word);
    return word;
  };
  if (key.size() < 8) {
    std::uint64_t word = 0;
    for (const char c : key) word = word << 8U | static_cast<unsigned char>(c);
    mix(word);
  } else {
    for (std::size_t at = 0; at + 8 < key.size(); at += 8) mix(word_at(at));
    mix(word_at(key.size() - 8));
  }
  return hash * kOdd;
}

constexpr std::size_t kTableSizeMin = 256;

}  // namespace

Text join(std::initializer_list<Text> parts, Arena& arena) {
  std::size_t size = 0;
  for (const Text part : parts) size += part.size();
  char* const start = arena.allocate(size);
  char* end = start;
  for (const Text part : parts) {
    if (!part.empty()) std::memcpy(end, part.data(), part.size());
    end += part.size();
  }
  return {start, size};
}

Text decimal(std::size_t index, Arena& arena) {
  static constexpr Text kDigits = "0123456789";
  if (index < 10) return kDigits.substr(index, 1);
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), index);
  return arena.copy({digits.data(), static_cast<std::size_t>(end.ptr - digits.data())});
}

bool AttributeWriter::has(Text key) const noexcept {
  return std::any_of(attributes_.begin(), attributes_.end(),
                     [key](const Attribute& attribute) { return attribute.key == key; });
}

// Where the key stands in the table, or the free place where it belongs.
std::uint32_t& AttributeWriter::place_of(Text key) noexcept {
  const auto unused_bits = 64U - static_cast<unsigned>(std::countr_zero(table_.size()));
  auto at = static_cast<std::size_t>(hash_of(key) >> unused_bits);
  while (table_[at] != 0 && attributes_[table_[at] - 1].key != key) {
    at = (at + 1) & (table_.size() - 1);
  }
  return table_[at];
}

void AttributeWriter::index_attributes() {
  if (table_.size() < 2 * (attributes_.size() + 1)) {
    const std::size_t size = std::max(kTableSizeMin, std::bit_ceil(4 * attributes_.size()));
    table_.assign(size, 0);
    in_table_ = 0;
  }
  for (; in_table_ < attributes_.size(); ++in_table_) {
    place_of(attributes_[in_table_].key) = static_cast<std::uint32_t>(in_table_ + 1);
  }
}

bool AttributeWriter::claim(Text key) {
  index_attributes();
  std::uint32_t& place = place_of(key);
  if (place != 0) return false;
  place = static_cast<std::uint32_t>(++in_table_);
  return true;
}

void AttributeWriter::add_outside(Text prefix, const Metadatum& metadatum) {
  if (metadatum.key.empty() || std::holds_alternative<std::monostate>(metadatum.value)) return;
  const Text key = prefix.empty() ? metadatum.key : join({prefix, metadatum.key}, arena_);
  if (!claim(key)) return;
  if (const auto* flag = std::get_if<bool>(&metadatum.value)) {
    attributes_.push_back({key, *flag});
  } else if (const auto* integer = std::get_if<std::int64_t>(&metadatum.value)) {
    attributes_.push_back({key, *integer});
  } else if (const auto* number = std::get_if<double>(&metadatum.value)) {
    attributes_.push_back({key, *number});
  } else {
    attributes_.push_back({key, std::get<Text>(metadatum.value)});
  }
}

void AttributeWriter::add_outside(Text prefix, std::span<const Metadatum> metadata) {
  for (const Metadatum& metadatum : metadata) add_outside(prefix, metadatum);
}

void write_json(JsonWriter& writer, const Metadatum& metadatum) {
  if (const auto* flag = std::get_if<bool>(&metadatum.value)) {
    writer.boolean(*flag);
  } else if (const auto* integer = std::get_if<std::int64_t>(&metadatum.value)) {
    writer.integer(*integer);
  } else if (const auto* number = std::get_if<double>(&metadatum.value)) {
    writer.number(*number);
  } else if (const auto* text = std::get_if<Text>(&metadatum.value)) {
    metadatum.is_json ? writer.raw(*text) : writer.string(*text);
  } else {
    writer.null();
  }
}

}  // namespace sidecast
