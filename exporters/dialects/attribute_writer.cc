#include "exporters/dialects/attribute_writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace sidecast {
namespace {

// Length, first and last eight bytes: names differ in one of them nearly always, and where they do
// not, the comparison decides.
std::size_t filter_bit(Text key, std::size_t bits) noexcept {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  const std::size_t size = std::min<std::size_t>(key.size(), 8);
  std::memcpy(&first, key.data(), size);
  std::memcpy(&last, key.data() + key.size() - size, size);
  const std::uint64_t mixed =
      (first ^ (last * 0x9E3779B97F4A7C15U) ^ key.size()) * 0xD6E8FEB86659FD93U;
  return static_cast<std::size_t>(mixed >> 40U) & (bits - 1);
}

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

bool AttributeWriter::is_new(Text key) {
  const auto word = [this](std::size_t bit) -> std::uint64_t& { return filter_[bit / 64]; };
  for (; filtered_ < attributes_.size(); ++filtered_) {
    const std::size_t bit = filter_bit(attributes_[filtered_].key, kFilterBits);
    word(bit) |= std::uint64_t{1} << (bit % 64);
  }
  const std::size_t bit = filter_bit(key, kFilterBits);
  return (word(bit) >> (bit % 64) & 1U) == 0 || !has(key);
}

void AttributeWriter::add_outside(Text prefix, const Metadatum& metadatum) {
  if (metadatum.key.empty() || std::holds_alternative<std::monostate>(metadatum.value)) return;
  const Text key = prefix.empty() ? metadatum.key : join({prefix, metadatum.key}, arena_);
  if (!is_new(key)) return;
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
