// Who asked, and into which trace the answer belongs: the record's own fields first, then the
// request body's `user`, `session_id` and `trace`.
#pragma once

#include "engine/normalise/body.h"
#include "engine/normalise/normalise.h"

namespace sidecast {

// Bounds of what users may attach; what exceeds them, or is cut, counts in Trace::metadata_dropped.
inline constexpr std::size_t kMetadataMax = 128;             // keys
inline constexpr std::size_t kMetadataKeyMax = 256;          // bytes
inline constexpr std::size_t kMetadataValueMax = 8U << 10U;  // bytes

// Ids, account and texts of the record itself.
void read_record_identity(const shm::RecordView& record, const shm::RingUuid& ring,
                          std::uint32_t lane, Reading& reading);

// `user`, `session_id` and `metadata.user_id` of a request body.
void read_body_identity(JsonValue body, Reading& reading);

// Adds one value under a key, in place of an earlier one. False if it was over a bound: a value of
// too many bytes is cut (texts) or left out (JSON).
[[nodiscard]] bool add_metadatum(ArenaVector<Metadatum>& to, Text key, JsonValue value,
                                 Reading& reading);

// The request's `trace` object: settings by name, every other key becomes metadata.
void read_trace_object(JsonValue object, Reading& reading);

// The record's free-form attributes.
void read_attributes(JsonValue object, Reading& reading);

// `x-session-id` among the record's attributes, where a gateway passes its request's headers on:
// counts where neither record nor body names a session.
void read_session_header(Reading& reading);

// Last: cuts ids to their limit and makes the trace id.
void settle_identity(const NormaliseOptions& options, Reading& reading);

}  // namespace sidecast
