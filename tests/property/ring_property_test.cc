// Laws of records and rings over random runs. A failure prints the seed (RC_PARAMS="seed=...").
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "shm/encode.h"
#include "shm/layout.h"
#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {
namespace {

std::vector<sidecast_slice> slices_of(const std::vector<std::string>& pieces) {
  std::vector<sidecast_slice> slices;
  for (const std::string& piece : pieces) slices.push_back({piece.data(), piece.size()});
  return slices;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

RC_GTEST_PROP(RecordProperty, WhatIsEncodedIsParsedBack, ()) {
  const auto texts =
      *rc::gen::container<std::vector<std::string>>(16, rc::gen::arbitrary<std::string>());
  const auto request = *rc::gen::arbitrary<std::vector<std::string>>();
  const auto response = *rc::gen::arbitrary<std::vector<std::string>>();
  const auto errors = *rc::gen::arbitrary<std::vector<std::string>>();
  const auto start_ns = *rc::gen::inRange<std::int64_t>(1, INT64_MAX / 2);
  const auto end_ns = *rc::gen::arbitrary<std::int64_t>();
  const bool is_shed = *rc::gen::arbitrary<bool>();

  const std::vector<sidecast_slice> request_slices = slices_of(request);
  const std::vector<sidecast_slice> response_slices = slices_of(response);
  std::vector<sidecast_attempt> attempts(std::min<std::size_t>(errors.size(), kAttemptsMax));
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    attempts[i].struct_size = sizeof(sidecast_attempt);
    attempts[i].error_message = text(errors[i]);
    attempts[i].http_status = static_cast<std::int32_t>(i);
  }
  sidecast_generation g = {};
  g.struct_size = sizeof g;
  sidecast_text* const fields[] = {
      &g.generation_id, &g.account,    &g.api_key_id,      &g.api_key_name,
      &g.user_id,       &g.session_id, &g.trace_json,      &g.attributes_json,
      &g.operation,     &g.provider,   &g.model_requested, &g.model_served,
      &g.endpoint,      &g.region,     &g.error_type,      &g.error_message};
  for (std::size_t i = 0; i < texts.size(); ++i) *fields[i] = text(texts[i]);
  g.request = {request_slices.data(), request_slices.size()};
  g.response = {response_slices.data(), response_slices.size()};
  g.attempts = attempts.data();
  g.attempt_count = static_cast<std::uint32_t>(attempts.size());
  g.start_ns = start_ns;
  g.end_ns = end_ns;

  const Measure measured = measure(g);
  RC_ASSERT(measured.is_valid);
  RC_ASSERT(least_bytes(g) <= std::min(measured.whole_bytes, shed_bytes(g, measured)));
  const Detail detail = is_shed ? Detail::kShed : Detail::kWhole;
  const std::uint64_t size = is_shed ? shed_bytes(g, measured) : measured.whole_bytes;
  RC_ASSERT(size % kRecordAlign == 0u);
  // Guards before and behind: encode() stays inside what was measured.
  std::string bytes(size + 16, '\x5a');
  encode(g, measured, detail, 7, bytes.data() + 8, size);
  RC_ASSERT(bytes.substr(0, 8) == std::string(8, '\x5a'));
  RC_ASSERT(bytes.substr(size + 8 - sizeof(RecordTrailer)) ==
            std::string(8 + sizeof(RecordTrailer), '\x5a'));

  RecordView view;
  RC_ASSERT(parse_record(std::string_view(bytes).substr(8, size), view) == RecordError::kNone);
  const std::string_view parsed[] = {
      view.generation_id, view.account,    view.api_key_id,      view.api_key_name,
      view.user_id,       view.session_id, view.trace_json,      view.attributes_json,
      view.operation,     view.provider,   view.model_requested, view.model_served,
      view.endpoint,      view.region,     view.error_type,      view.error_message};
  for (std::size_t i = 0; i < texts.size(); ++i) RC_ASSERT(parsed[i] == texts[i]);
  RC_ASSERT(view.start_ns == start_ns);
  RC_ASSERT(view.end_ns == std::max(start_ns, end_ns));
  RC_ASSERT(view.end_clamped == (end_ns < start_ns));
  RC_ASSERT(view.attempts.size() == attempts.size());
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    RC_ASSERT(view.attempts[i].error_message == errors[i]);
  }
  RC_ASSERT(view.request_bytes == joined(request).size());
  RC_ASSERT(view.response_bytes == joined(response).size());
  if (is_shed) {
    RC_ASSERT(view.shed);
    RC_ASSERT(std::string(view.response_head) + std::string(view.response_tail) ==
              joined(response));  // all of these are shorter than what is kept
  } else {
    RC_ASSERT(view.request == joined(request));
    RC_ASSERT(view.response == joined(response));
  }
}

enum class Step : std::uint8_t { kWrite, kWriteFailed, kDrain, kPeekOnly, kRestartReader };

// calls = written + dropped; what is drained is what was written, whole or shed, in each lane in
// the order of writing, whatever the reader did in between.
RC_GTEST_PROP(RingProperty, EveryCallHasOneFateAndNoRecordIsLostOrRepeated, ()) {
  const auto steps = *rc::gen::container<std::vector<std::pair<Step, std::uint32_t>>>(
      rc::gen::pair(rc::gen::weightedElement<Step>({{40, Step::kWrite},
                                                    {5, Step::kWriteFailed},
                                                    {3, Step::kDrain},
                                                    {1, Step::kPeekOnly},
                                                    {1, Step::kRestartReader}}),
                    rc::gen::inRange<std::uint32_t>(0, 200'000)));
  const ScratchDirectory scratch;
  const WriterHandle writer(scratch.path(), 512 << 10, 4);
  auto directory = open_directory(scratch.path());
  auto ring = directory->discover().at(0);

  std::uint64_t calls = 0;
  std::map<std::string, sidecast_status> written;
  std::vector<std::string> drained;
  const auto take = [&] {
    for (std::string& record : drain(*ring).records) drained.push_back(std::move(record));
  };
  for (const auto& [step, size] : steps) {
    switch (step) {
      case Step::kWrite:
      case Step::kWriteFailed: {
        const std::string id = std::to_string(calls++);
        const std::string body(size, static_cast<char>('a' + calls % 26));
        SampleGeneration sample(id, body);
        if (step == Step::kWriteFailed) sample.c.http_status = 500;
        const sidecast_status status = writer.write(sample);
        if (status == SIDECAST_OK || status == SIDECAST_SHED) written[id] = status;
        break;
      }
      case Step::kDrain:
        take();
        break;
      case Step::kPeekOnly:
        static_cast<void>(drain(*ring, false));
        break;
      case Step::kRestartReader:
        ring.reset();
        directory = open_directory(scratch.path());
        ring = directory->discover().at(0);
        break;
    }
  }
  take();

  const sidecast_counters counters = writer.counters();
  RC_ASSERT(counters.written + counters.dropped_full + counters.dropped_busy +
                counters.dropped_too_large ==
            calls);
  RC_ASSERT(counters.written == written.size());
  RC_ASSERT(drained.size() == written.size());
  RC_ASSERT(ring->counters().written == counters.written);
  RC_ASSERT(ring->counters().shed == counters.shed);
  RC_ASSERT(ring->counters().used_bytes == 0u);
  std::uint64_t shed = 0;
  for (const std::string& record : drained) {
    RecordView view;
    RC_ASSERT(parse_record(record, view) == RecordError::kNone);
    const auto found = written.find(std::string(view.generation_id));
    RC_ASSERT(found != written.end());
    RC_ASSERT(view.shed == (found->second == SIDECAST_SHED));
    shed += view.shed ? 1 : 0;
    if (!view.shed) RC_ASSERT(view.request.size() == view.request_bytes);
    written.erase(found);
  }
  RC_ASSERT(shed == counters.shed);
  RC_ASSERT(written.empty());
}

}  // namespace
}  // namespace sidecast::shm
