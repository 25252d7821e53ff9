#include "exporters/destinations/channel_answer.h"

#include "engine/base/utf8.h"
#include "exporters/destinations/answer.h"
#include "exporters/registry.h"
#include "exporters/transport/places.h"

namespace sidecast {

Verdict judge_channel(const Request& request, const Response& response, Timestamp now) {
  // No room may be made again, so it is waited for.
  static constexpr int kRetried[] = {408, 425, 500, 507};
  Verdict verdict = judge_native(request, response, now, kRetried);
  const std::string_view error = header_value(response, kChannelError);
  if (response.failure != Response::Failure::kNone || error.empty()) return verdict;
  verdict.explanation = utf8_prefix(error, kExplanationBytesMax);
  if (response.status == 403) verdict.explanation += "; check its owner and permissions";
  if (response.status == 507) verdict.explanation += "; make room";
  return verdict;
}

Status read_dialect_by_name(const OptionValues& options, Format& format) {
  std::vector<std::string_view> names;
  for (const DialectEntry& entry : dialects()) names.push_back(entry.name);
  const auto dialect = parse_choice("dialect", options.get("dialect"), names);
  if (!dialect) return fail(dialect.error());
  format.dialect = find_dialect(*dialect);
  return {};
}

Status read_service_name(const OptionValues& options, Format& format) {
  const std::string_view name = trim_blanks(options.get("service_name"));
  if (!is_valid_utf8(name)) return fail("service_name is not UTF-8");
  if (!name.empty()) format.dialect_options.resource = {{"service.name", std::string(name)}};
  return {};
}

}  // namespace sidecast
