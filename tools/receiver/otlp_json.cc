// OTLP's JSON mapping, read with nlohmann-json and written into the generated classes.
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/receiver/otlp_decode.h"

namespace sidecast::receiver {
namespace {

using Json = nlohmann::json;

// As protobuf's own parsers: a deeper message is refused.
constexpr std::size_t kNestingMax = 100;

constexpr int hex_digit(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

constexpr int base64_digit(char digit) noexcept {
  if (digit >= 'A' && digit <= 'Z') return digit - 'A';
  if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
  if (digit >= '0' && digit <= '9') return digit - '0' + 52;
  if (digit == '+' || digit == '-') return 62;  // protobuf's JSON takes both alphabets
  if (digit == '/' || digit == '_') return 63;
  return -1;
}

std::optional<std::string> from_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  std::uint32_t bits = 0;
  int bit_count = 0;
  for (const char digit : text) {
    const int value = base64_digit(digit);
    if (value < 0) return std::nullopt;
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes.push_back(static_cast<char>(bits >> static_cast<unsigned>(bit_count) & 0xFFU));
    }
  }
  return bytes;
}

// Walks one document. The first fault is kept with its path; what follows reads as absent, so the
// walk itself needs no error handling.
class Reader {
 public:
  void request(const Json& json, otlp::ExportTraceServiceRequest& out) {
    if (!expect_object(json)) return;
    each(json, "resourceSpans",
         [&](const Json& item) { resource_spans(item, *out.add_resource_spans()); });
  }
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

 private:
  struct Step {
    const char* name;
    std::size_t index;
  };
  static constexpr std::size_t kNoIndex = std::numeric_limits<std::size_t>::max();

  void fail(std::string_view what) {
    if (!fault_.empty()) return;
    for (const Step& step : path_) {
      if (!fault_.empty()) fault_ += '.';
      fault_ += step.name;
      if (step.index != kNoIndex) fault_ += '[' + std::to_string(step.index) + ']';
    }
    fault_ += fault_.empty() ? "" : ": ";
    fault_ += what;
  }

  bool expect_object(const Json& json) {
    if (json.is_object()) return true;
    fail("must be an object");
    return false;
  }

  // Calls `read(value)` when the member is there; null counts as absent, as protobuf's JSON says.
  template <typename Read>
  void member(const Json& object, const char* name, Read read) {
    if (!fault_.empty()) return;
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return;
    path_.push_back({name, kNoIndex});
    read(*found);
    path_.pop_back();
  }

  template <typename Read>
  void each(const Json& object, const char* name, Read read) {
    member(object, name, [&](const Json& list) {
      if (!list.is_array()) return fail("must be an array");
      for (std::size_t i = 0; i < list.size() && fault_.empty(); ++i) {
        path_.back().index = i;
        read(list[i]);
      }
    });
  }

  template <typename Message, typename Read>
  void message(const Json& object, const char* name, Message& out, Read read) {
    member(object, name, [&](const Json& json) {
      if (expect_object(json)) (this->*read)(json, out);
    });
  }

  void string(const Json& object, const char* name, std::string& out) {
    member(object, name, [&](const Json& json) {
      if (!json.is_string()) return fail("must be a string");
      out = json.get_ref<const std::string&>();
    });
  }

  void hex(const Json& object, const char* name, std::string& out) {
    member(object, name, [&](const Json& json) {
      const auto bytes =
          json.is_string() ? from_hex(json.get_ref<const std::string&>()) : std::nullopt;
      if (!bytes) return fail("must be a string of hex digits");
      out = *bytes;
    });
  }

  // Protobuf's JSON takes numbers and decimal strings for every integer, and whole floats.
  template <typename Integer>
  std::optional<Integer> integer(const Json& json) {
    Integer value{};
    if (json.is_string()) {
      const auto& text = json.get_ref<const std::string&>();
      const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (code == std::errc{} && end == text.data() + text.size()) return value;
    } else if (json.is_number_unsigned()) {
      const auto number = json.get<std::uint64_t>();
      if (std::in_range<Integer>(number)) return static_cast<Integer>(number);
    } else if (json.is_number_integer()) {
      const auto number = json.get<std::int64_t>();
      if (std::in_range<Integer>(number)) return static_cast<Integer>(number);
    } else if (json.is_number_float()) {
      const auto number = json.get<double>();
      constexpr double kExact = 9007199254740992.0;  // 2^53: above it a double skips integers
      if (number == std::floor(number) && std::abs(number) <= kExact &&
          std::in_range<Integer>(static_cast<std::int64_t>(number))) {
        return static_cast<Integer>(number);
      }
    }
    fail("must be an integer in the range of its type");
    return std::nullopt;
  }

  template <typename Integer, typename Set>
  void integer_member(const Json& object, const char* name, Set set) {
    member(object, name, [&](const Json& json) {
      if (const auto value = integer<Integer>(json)) set(*value);
    });
  }

  // OTLP takes enums as integers only, never by name.
  template <typename Set>
  void enumerator(const Json& object, const char* name, int last, Set set) {
    member(object, name, [&](const Json& json) {
      if (!json.is_number_integer()) return fail("must be an integer, not a name");
      const auto value = json.get<std::int64_t>();
      if (value < 0 || value > last) return fail("is not a value of this enum");
      set(static_cast<int>(value));
    });
  }

  void resource_spans(const Json& json, otlp::ResourceSpans& out) {
    if (!expect_object(json)) return;
    message(json, "resource", *out.mutable_resource(), &Reader::resource);
    each(json, "scopeSpans", [&](const Json& item) { scope_spans(item, *out.add_scope_spans()); });
    string(json, "schemaUrl", *out.mutable_schema_url());
  }

  void resource(const Json& json, otlp::Resource& out) { attributes(json, out); }

  void scope_spans(const Json& json, otlp::ScopeSpans& out) {
    if (!expect_object(json)) return;
    message(json, "scope", *out.mutable_scope(), &Reader::scope);
    each(json, "spans", [&](const Json& item) { span(item, *out.add_spans()); });
    string(json, "schemaUrl", *out.mutable_schema_url());
  }

  void scope(const Json& json, otlp::InstrumentationScope& out) {
    string(json, "name", *out.mutable_name());
    string(json, "version", *out.mutable_version());
    attributes(json, out);
  }

  void span(const Json& json, otlp::Span& out) {
    if (!expect_object(json)) return;
    hex(json, "traceId", *out.mutable_trace_id());
    hex(json, "spanId", *out.mutable_span_id());
    string(json, "traceState", *out.mutable_trace_state());
    hex(json, "parentSpanId", *out.mutable_parent_span_id());
    string(json, "name", *out.mutable_name());
    enumerator(json, "kind", otlp::Span::SpanKind_MAX,
               [&](int value) { out.set_kind(static_cast<otlp::Span::SpanKind>(value)); });
    integer_member<std::uint64_t>(json, "startTimeUnixNano",
                                  [&](auto value) { out.set_start_time_unix_nano(value); });
    integer_member<std::uint64_t>(json, "endTimeUnixNano",
                                  [&](auto value) { out.set_end_time_unix_nano(value); });
    attributes(json, out);
    each(json, "events", [&](const Json& item) { event(item, *out.add_events()); });
    integer_member<std::uint32_t>(json, "droppedEventsCount",
                                  [&](auto value) { out.set_dropped_events_count(value); });
    each(json, "links", [&](const Json& item) { link(item, *out.add_links()); });
    integer_member<std::uint32_t>(json, "droppedLinksCount",
                                  [&](auto value) { out.set_dropped_links_count(value); });
    member(json, "status", [&](const Json& item) {  // one that is not there stays away
      if (expect_object(item)) status(item, *out.mutable_status());
    });
    integer_member<std::uint32_t>(json, "flags", [&](auto value) { out.set_flags(value); });
  }

  void status(const Json& json, otlp::Status& out) {
    string(json, "message", *out.mutable_message());
    enumerator(json, "code", otlp::Status::StatusCode_MAX,
               [&](int value) { out.set_code(static_cast<otlp::Status::StatusCode>(value)); });
  }

  void event(const Json& json, otlp::Span::Event& out) {
    if (!expect_object(json)) return;
    integer_member<std::uint64_t>(json, "timeUnixNano",
                                  [&](auto value) { out.set_time_unix_nano(value); });
    string(json, "name", *out.mutable_name());
    attributes(json, out);
  }

  void link(const Json& json, otlp::Span::Link& out) {
    if (!expect_object(json)) return;
    hex(json, "traceId", *out.mutable_trace_id());
    hex(json, "spanId", *out.mutable_span_id());
    string(json, "traceState", *out.mutable_trace_state());
    attributes(json, out);
    integer_member<std::uint32_t>(json, "flags", [&](auto value) { out.set_flags(value); });
  }

  // `attributes` and their dropped count, which resource, scope, span, event and link share.
  template <typename Message>
  void attributes(const Json& json, Message& out) {
    each(json, "attributes", [&](const Json& item) { key_value(item, *out.add_attributes()); });
    integer_member<std::uint32_t>(json, "droppedAttributesCount",
                                  [&](auto value) { out.set_dropped_attributes_count(value); });
  }

  void key_value(const Json& json, otlp::KeyValue& out) {
    if (!expect_object(json)) return;
    string(json, "key", *out.mutable_key());
    message(json, "value", *out.mutable_value(), &Reader::any_value);
  }

  // At most one member; none is the empty value.
  void any_value(const Json& json, otlp::AnyValue& out) {
    if (path_.size() > kNestingMax) return fail("is nested too deep");
    const auto choose = [&](const char* name, auto read) {
      member(json, name, [&](const Json& value) {
        if (out.value_case() != otlp::AnyValue::VALUE_NOT_SET) return fail("is a second value");
        read(value);
      });
    };
    choose("stringValue", [&](const Json& value) {
      if (!value.is_string()) return fail("must be a string");
      out.set_string_value(value.get_ref<const std::string&>());
    });
    choose("boolValue", [&](const Json& value) {
      if (!value.is_boolean()) return fail("must be true or false");
      out.set_bool_value(value.get<bool>());
    });
    choose("intValue", [&](const Json& value) {
      if (const auto number = integer<std::int64_t>(value)) out.set_int_value(*number);
    });
    choose("doubleValue", [&](const Json& value) {
      if (const auto number = floating(value)) out.set_double_value(*number);
    });
    choose("arrayValue", [&](const Json& value) {
      if (!expect_object(value)) return;
      auto& array = *out.mutable_array_value();
      each(value, "values", [&](const Json& item) {
        if (expect_object(item)) any_value(item, *array.add_values());
      });
    });
    choose("kvlistValue", [&](const Json& value) {
      if (!expect_object(value)) return;
      auto& list = *out.mutable_kvlist_value();
      each(value, "values", [&](const Json& item) { key_value(item, *list.add_values()); });
    });
    choose("bytesValue", [&](const Json& value) {
      const auto bytes =
          value.is_string() ? from_base64(value.get_ref<const std::string&>()) : std::nullopt;
      if (!bytes) return fail("must be a base64 string");
      out.set_bytes_value(*bytes);
    });
  }

  std::optional<double> floating(const Json& json) {
    if (json.is_number()) return json.get<double>();
    if (json.is_string()) {
      const auto& text = json.get_ref<const std::string&>();
      if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
      if (text == "Infinity") return std::numeric_limits<double>::infinity();
      if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
      double value = 0;
      const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (!text.empty() && code == std::errc{} && end == text.data() + text.size()) return value;
    }
    fail("must be a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
    return std::nullopt;
  }

  std::vector<Step> path_;
  std::string fault_;
};

}  // namespace

Accepted<otlp::ExportTraceServiceRequest> parse_export_json(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return refuse(400, "the body is not JSON, or not UTF-8");
  Accepted<otlp::ExportTraceServiceRequest> request;
  Reader reader;
  reader.request(json, *request);
  if (!reader.fault().empty()) return refuse(400, reader.fault());
  return request;
}

}  // namespace sidecast::receiver
