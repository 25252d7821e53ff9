// What the answers of channels (transport/) mean, for the destinations that have one.
#pragma once

#include "exporters/destinations/native.h"

namespace sidecast {

// judge_native(), but that what a channel says failed is said in its own words, not in HTTP's.
[[nodiscard]] Verdict judge_channel(const Request& request, const Response& response,
                                    Timestamp now);

// The options that files and streams share: dialect and service_name.
[[nodiscard]] Status read_dialect_by_name(const OptionValues& options, Format& format);
[[nodiscard]] Status read_service_name(const OptionValues& options, Format& format);

}  // namespace sidecast
