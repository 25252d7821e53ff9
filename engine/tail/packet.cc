// What is said of one record.
#include <algorithm>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"
#include "engine/tail/tap.h"
#include "exporters/registry.h"
#include "exporters/write.h"

namespace sidecast::tail {
namespace {

constexpr std::size_t kDestinationsMax = 32;
constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kAroundBytesMax = 24U << 10U;  // what stands around the record

Text fate_of(Decision decision) noexcept {
  switch (decision) {
    case Decision::kFiltered:
      return "filtered";
    case Decision::kSampledOut:
      return "sampled out";
    case Decision::kRouted:
      break;
  }
  return "routed";
}

void write_destinations(const Plan& plan, std::span<const Routed> routed, JsonWriter& out) {
  std::uint64_t left_out = 0;
  std::size_t written = 0;
  out.key("destinations").begin_array();
  for (const Routed& each : routed) {
    const PlannedGroup& group = *plan.groups[each.group_index];
    for (const PlannedMember& member : group.members) {
      const auto found = plan.enabled_by_slot.find(member.destination);
      if (written == kDestinationsMax || found == plan.enabled_by_slot.end()) {
        ++left_out;
        continue;
      }
      ++written;
      out.begin_object();
      out.key("name").string(
          utf8_prefix(plan.destinations[found->second].config->name, kNameBytesMax));
      out.key("fate").string(fate_of(each.decision));
      out.end_object();
    }
  }
  out.end_array();
  if (left_out > 0) out.key("destinations_left_out").unsigned_integer(left_out);
}

}  // namespace

void Pen::write(const View& view, const Plan& plan, std::span<const Routed> routed,
                const Trace& trace, const Origin& origin, Arena& arena) {
  // Any dialect: this encoder writes the trace itself.
  static const Format format{.dialect = find_dialect("generic"),
                             .encoder = find_encoder("trace_json")};
  Session& session = *view.session;
  // Privacy mode is stricter than who watches: content of what such a destination might get is
  // for nobody's eyes, sampled out or not, unless another destination is asked for.
  const bool is_private = std::any_of(routed.begin(), routed.end(), [&](const Routed& each) {
    return (!view.group || *view.group == each.group_index) &&
           plan.groups[each.group_index]->group.privacy_mode;
  });
  const bool is_asked = (session.wish().flags & kShowContent) != 0 && !is_private;
  const std::uint64_t content_bytes = trace.input_value.size() + trace.output_value.size();
  const bool is_shown = is_asked && session.may_show_content(content_bytes);

  record_.clear();
  write_record(trace, format, {.enabled = !is_shown}, arena, record_);
  Bytes record = record_.view();
  if (record.size() > kPacketBytesMax - kAroundBytesMax) {
    smaller_.clear();
    const bool is_smaller = format.encoder->shrink != nullptr &&
                            format.encoder->shrink(record, kPacketBytesMax / 2, smaller_);
    record = is_smaller && smaller_.size() <= kPacketBytesMax - kAroundBytesMax ? smaller_.view()
                                                                                : Bytes();
  }

  packet_.clear();
  JsonWriter out(packet_);
  out.begin_object();
  out.key("missed").unsigned_integer(session.missed());
  out.key("account").string(utf8_prefix(trace.identity.account, kNameBytesMax));
  out.key("process").string(to_valid_utf8(origin.process, arena));
  out.key("pid").integer(origin.pid);
  out.key("lane").unsigned_integer(origin.lane);
  out.key("sequence").unsigned_integer(origin.sequence);
  out.key("kind").string(trace.is_explicit_span ? "span" : "generation");
  out.key("http_status").integer(trace.outcome.http_status);
  out.key("failed").boolean(trace.outcome.failed);
  out.key("aborted").boolean(trace.outcome.aborted);
  out.key("shed").boolean(trace.shed.happened);
  out.key("content").string(is_shown ? "shown" : is_asked ? "left out" : "redacted");
  out.key("content_bytes").unsigned_integer(content_bytes);
  write_destinations(plan, routed, out);
  if (!record.empty()) out.key("record").raw(record);
  out.end_object();
  session.send(packet_.view());
  constexpr std::size_t kKeepBytes = 1U << 20U;
  record_.shrink(kKeepBytes);
  smaller_.shrink(kKeepBytes);
}

}  // namespace sidecast::tail
