// Tokens and money as the providers report them, in the one meaning of engine/model/usage.h: input
// including cached tokens, output including reasoning. The names tell what a provider means, so
// there is one reader for all of them.
#pragma once

#include "engine/normalise/reading.h"

namespace sidecast {

// The counts of one answer before they are brought into one meaning. A stream may report them in
// several events: later ones replace earlier ones, each by itself.
struct ReportedUsage {
  Usage counts;
  Usage native;  // by the model's own tokenizer, where a router counts with one of its own as well
  Cost cost;
  std::optional<std::int64_t> tool_prompt;  // Gemini: prompt of its own tools, beside the prompt
  std::optional<double> upstream_cost;
  bool is_byok = false;  // then `cost` is only the router's fee
  bool input_leaves_cached_out = false;
  bool output_leaves_reasoning_out = false;
};

// Reads one usage object of any API. `reported` keeps what the object does not say.
void read_usage(JsonValue usage, ReportedUsage& reported, Reading& reading);

// The same, and the objects that some APIs keep within it.
void read_usage_with_parts(JsonValue usage, ReportedUsage& reported, Reading& reading);

// Reads the usage of a whole answer or event, wherever its API puts it.
void find_usage(JsonValue body, ReportedUsage& reported, Reading& reading);

// Brings the counts into one meaning and fills what the Trace does not know better.
void settle_usage(const ReportedUsage& reported, Trace& trace);

}  // namespace sidecast
