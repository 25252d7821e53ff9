#include "tools/sidecast/record_text.h"

#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "engine/base/arena.h"
#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"
#include "shm/include/sidecast.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

constexpr std::size_t kNameColumnBytes = 26;

struct Redacted {
  std::size_t size_bytes = 0;
};
using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool, Redacted>;
struct Field {
  std::string_view name;
  Value value;
};

// The fields of one object in the order in which they are shown; absent ones are left out.
class FieldList {
 public:
  explicit FieldList(bool show_content) : show_content_(show_content) {}

  void text(std::string_view name, std::string_view value) {
    if (!value.empty()) fields_.push_back({name, value});
  }
  void content(std::string_view name, std::string_view value) {
    if (show_content_) return text(name, value);
    if (!value.empty()) fields_.push_back({name, Redacted{value.size()}});
  }
  // Zero means absent.
  void integer(std::string_view name, std::int64_t value) {
    if (value != 0) fields_.push_back({name, value});
  }
  void always(std::string_view name, Value value) { fields_.push_back({name, value}); }
  void flag(std::string_view name, bool value) {
    if (value) fields_.push_back({name, true});
  }

  [[nodiscard]] const std::vector<Field>& get() const noexcept { return fields_; }

 private:
  bool show_content_;
  std::vector<Field> fields_;
};

void add_usage(const shm::RecordView& view, FieldList& fields) {
  const auto add = [&](std::uint32_t bit, std::string_view name, Value value) {
    if ((view.usage_present & bit) != 0) fields.always(name, value);
  };
  add(SIDECAST_USAGE_INPUT, "usage_input_tokens", view.usage_input_tokens);
  add(SIDECAST_USAGE_OUTPUT, "usage_output_tokens", view.usage_output_tokens);
  add(SIDECAST_USAGE_TOTAL, "usage_total_tokens", view.usage_total_tokens);
  add(SIDECAST_USAGE_CACHE_READ, "usage_cache_read_tokens", view.usage_cache_read_tokens);
  add(SIDECAST_USAGE_CACHE_WRITE, "usage_cache_write_tokens", view.usage_cache_write_tokens);
  add(SIDECAST_USAGE_REASONING, "usage_reasoning_tokens", view.usage_reasoning_tokens);
  add(SIDECAST_COST_TOTAL, "cost_total_usd", view.cost_total_usd);
  add(SIDECAST_COST_INPUT, "cost_input_usd", view.cost_input_usd);
  add(SIDECAST_COST_OUTPUT, "cost_output_usd", view.cost_output_usd);
}

FieldList fields_of(const RecordPlace& place, const shm::RecordView& view, bool show_content) {
  const bool is_span = view.kind == shm::RecordKind::kSpan;
  FieldList fields(show_content);
  fields.text("ring", place.ring);
  fields.always("lane", std::uint64_t{place.lane});
  fields.always("record", place.record);
  fields.always("size_bytes", std::uint64_t{place.size_bytes});
  fields.always("sequence", view.sequence);
  fields.text("kind", is_span ? "span" : "generation");
  fields.flag("aborted", view.aborted);
  fields.flag("shed", view.shed);
  fields.flag("end_clamped", view.end_clamped);
  fields.text("generation_id", view.generation_id);
  fields.text("span_id", view.span_id);
  fields.text("parent_id", view.parent_id);
  fields.text("name", view.name);
  if (is_span) fields.always("span_kind", std::int64_t{view.span_kind});
  fields.text("account", view.account);
  fields.text("api_key_id", view.api_key_id);
  fields.text("api_key_name", view.api_key_name);
  fields.text("user_id", view.user_id);
  fields.text("session_id", view.session_id);
  fields.text("operation", view.operation);
  fields.text("provider", view.provider);
  fields.text("model_requested", view.model_requested);
  fields.text("model_served", view.model_served);
  fields.text("endpoint", view.endpoint);
  fields.text("region", view.region);
  fields.always("start_ns", view.start_ns);
  fields.integer("first_token_ns", view.first_token_ns);
  fields.always("end_ns", view.end_ns);
  fields.integer("http_status", view.http_status);
  fields.text("error_type", view.error_type);
  fields.content("error_message", view.error_message);
  add_usage(view, fields);
  fields.text("trace_json", view.trace_json);
  fields.content("attributes_json", view.attributes_json);
  fields.always("request_bytes", view.request_bytes);
  fields.always("response_bytes", view.response_bytes);
  fields.content(is_span ? "input" : "request", view.request);
  fields.content(is_span ? "output" : "response", view.response);
  fields.content("response_head", view.response_head);
  fields.content("response_tail", view.response_tail);
  return fields;
}

FieldList fields_of(const shm::AttemptView& attempt, bool show_content) {
  FieldList fields(show_content);
  fields.text("provider", attempt.provider);
  fields.text("model", attempt.model);
  fields.text("endpoint", attempt.endpoint);
  fields.always("start_ns", attempt.start_ns);
  fields.always("end_ns", attempt.end_ns);
  fields.integer("http_status", attempt.http_status);
  fields.text("error_type", attempt.error_type);
  fields.content("error_message", attempt.error_message);
  return fields;
}

void write_fields(JsonWriter& json, const FieldList& fields, Arena& arena) {
  for (const Field& field : fields.get()) {
    json.key(field.name);
    std::visit(
        [&](const auto& value) {
          using Type = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Type, std::string_view>) {
            json.string(to_valid_utf8(value, arena));
          } else if constexpr (std::is_same_v<Type, std::int64_t>) {
            json.integer(value);
          } else if constexpr (std::is_same_v<Type, std::uint64_t>) {
            json.unsigned_integer(value);
          } else if constexpr (std::is_same_v<Type, double>) {
            json.number(value);
          } else if constexpr (std::is_same_v<Type, bool>) {
            json.boolean(value);
          } else {
            json.begin_object().key("redacted_bytes").unsigned_integer(value.size_bytes);
            json.end_object();
          }
        },
        field.value);
  }
}

std::string shown(const Value& value, const Style& style) {
  return std::visit(
      [&](const auto& held) -> std::string {
        using Type = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Type, std::string_view>) {
          return printable(held, held.size());
        } else if constexpr (std::is_same_v<Type, bool>) {
          return held ? "yes" : "no";
        } else if constexpr (std::is_same_v<Type, Redacted>) {
          return style.dim(fmt::format("({}, not shown)", human_bytes(held.size_bytes)));
        } else {
          return fmt::format("{}", held);
        }
      },
      value);
}

void append_lines(std::string& out, std::string_view indent, const FieldList& fields,
                  const Style& style) {
  for (const Field& field : fields.get()) {
    out += fmt::format("{}{:<{}}{}\n", indent, field.name, kNameColumnBytes - indent.size(),
                       shown(field.value, style));
  }
}

}  // namespace

std::string record_json(const RecordPlace& place, const shm::RecordView& view, bool show_content) {
  Arena arena;
  ByteBuffer buffer;
  JsonWriter json(buffer);
  json.begin_object();
  write_fields(json, fields_of(place, view, show_content), arena);
  if (!view.attempts.empty()) {
    json.key("attempts").begin_array();
    for (const shm::AttemptView& attempt : view.attempts) {
      json.begin_object();
      write_fields(json, fields_of(attempt, show_content), arena);
      json.end_object();
    }
    json.end_array();
  }
  json.end_object();
  return std::string(buffer.view());
}

std::string record_lines(const RecordPlace& place, const shm::RecordView& view, bool show_content,
                         const Style& style) {
  std::string out;
  append_lines(out, "", fields_of(place, view, show_content), style);
  for (std::size_t i = 0; i < view.attempts.size(); ++i) {
    out += style.bold(fmt::format("attempt {} of {}", i + 1, view.attempts.size())) + "\n";
    append_lines(out, "  ", fields_of(view.attempts[i], show_content), style);
  }
  return out;
}

}  // namespace sidecast
