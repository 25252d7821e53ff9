// Records: what goes in through the C structs comes out of parse_record(), whole or shed, and bytes
// that no writer of ours made never get past it.
#include "shm/record.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "shm/encode.h"
#include "shm/layout.h"
#include "tests/unit/shm/ring_fixture.h"

namespace sidecast::shm {
namespace {

template <typename Source>
std::string encoded(const Source& source, Detail detail = Detail::kWhole) {
  const Measure measured = measure(source);
  EXPECT_TRUE(measured.is_valid);
  const std::uint64_t size =
      detail == Detail::kWhole ? measured.whole_bytes : shed_bytes(source, measured);
  std::string bytes(size, '\xee');
  encode(source, measured, detail, 41, bytes.data(), size);
  EXPECT_EQ(size % kRecordAlign, 0u);
  return bytes;
}

sidecast_generation full_generation() {
  sidecast_generation g = {};
  g.struct_size = sizeof g;
  g.flags = SIDECAST_WRITE_ABORTED;
  g.http_status = 502;
  g.generation_id = text("gen-1");
  g.account = text("acme");
  g.api_key_id = text("key-1");
  g.api_key_name = text("team a");
  g.user_id = text("user-1");
  g.session_id = text("session-1");
  g.trace_json = text(R"({"trace_name":"t"})");
  g.attributes_json = text(R"({"a":1})");
  g.operation = text("chat");
  g.provider = text("openai");
  g.model_requested = text("m-asked");
  g.model_served = text("m-served");
  g.endpoint = text("/v1/chat/completions");
  g.region = text("eu");
  g.start_ns = 1000;
  g.first_token_ns = 1500;
  g.end_ns = 2000;
  g.error_type = text("upstream");
  g.error_message = text("went away");
  g.usage_present = SIDECAST_USAGE_INPUT | SIDECAST_COST_TOTAL;
  g.usage_input_tokens = 12;
  g.cost_total_usd = 0.25;
  return g;
}

TEST(Record, EveryFieldOfAGenerationComesBack) {
  sidecast_generation g = full_generation();
  const std::string request = R"({"model":"m"})";
  const sidecast_slice request_slices[] = {
      {request.data(), 5}, {nullptr, 0}, {request.data() + 5, request.size() - 5}};
  const sidecast_slice response_slice = {"data: [DONE]\n\n", 14};
  g.request = {request_slices, 3};
  g.response = {&response_slice, 1};
  sidecast_attempt attempts[2] = {};
  for (sidecast_attempt& attempt : attempts) attempt.struct_size = sizeof attempt;
  attempts[0].provider = text("azure");
  attempts[0].start_ns = 1000;
  attempts[0].end_ns = 1100;
  attempts[0].http_status = 429;
  attempts[0].error_type = text("rate");
  attempts[0].error_message = text("slow down");
  attempts[1].provider = text("openai");
  attempts[1].model = text("m-served");
  attempts[1].endpoint = text("/x");
  g.attempts = attempts;
  g.attempt_count = 2;

  const std::string bytes = encoded(g);
  RecordView view;
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.kind, RecordKind::kGeneration);
  EXPECT_EQ(view.sequence, 41u);
  EXPECT_TRUE(view.aborted);
  EXPECT_FALSE(view.shed);
  EXPECT_FALSE(view.end_clamped);
  EXPECT_EQ(view.http_status, 502);
  EXPECT_EQ(view.generation_id, "gen-1");
  EXPECT_EQ(view.account, "acme");
  EXPECT_EQ(view.api_key_id, "key-1");
  EXPECT_EQ(view.api_key_name, "team a");
  EXPECT_EQ(view.user_id, "user-1");
  EXPECT_EQ(view.session_id, "session-1");
  EXPECT_EQ(view.trace_json, R"({"trace_name":"t"})");
  EXPECT_EQ(view.attributes_json, R"({"a":1})");
  EXPECT_EQ(view.operation, "chat");
  EXPECT_EQ(view.provider, "openai");
  EXPECT_EQ(view.model_requested, "m-asked");
  EXPECT_EQ(view.model_served, "m-served");
  EXPECT_EQ(view.endpoint, "/v1/chat/completions");
  EXPECT_EQ(view.region, "eu");
  EXPECT_EQ(view.start_ns, 1000);
  EXPECT_EQ(view.first_token_ns, 1500);
  EXPECT_EQ(view.end_ns, 2000);
  EXPECT_EQ(view.error_type, "upstream");
  EXPECT_EQ(view.error_message, "went away");
  EXPECT_EQ(view.usage_present, g.usage_present);
  EXPECT_EQ(view.usage_input_tokens, 12);
  EXPECT_EQ(view.usage_output_tokens, 0);
  EXPECT_EQ(view.cost_total_usd, 0.25);
  EXPECT_EQ(view.request, request);
  EXPECT_EQ(view.request_bytes, request.size());
  EXPECT_EQ(view.response, "data: [DONE]\n\n");
  ASSERT_EQ(view.attempts.size(), 2u);
  EXPECT_EQ(view.attempts[0].provider, "azure");
  EXPECT_EQ(view.attempts[0].http_status, 429);
  EXPECT_EQ(view.attempts[0].error_message, "slow down");
  EXPECT_EQ(view.attempts[1].model, "m-served");
  EXPECT_EQ(view.attempts[1].endpoint, "/x");
  EXPECT_EQ(view.attempts[1].error_type, "");
}

TEST(Record, EveryFieldOfASpanComesBack) {
  const sidecast_slice input = {"in", 2};
  const sidecast_slice output = {"out", 3};
  sidecast_span s = {};
  s.struct_size = sizeof s;
  s.kind = SIDECAST_SPAN_TOOL;
  s.span_id = text("s1");
  s.parent_id = text("p1");
  s.name = text("search");
  s.account = text("acme");
  s.input = {&input, 1};
  s.output = {&output, 1};
  s.start_ns = 5;
  s.end_ns = 6;
  s.error_type = text("timeout");
  const std::string bytes = encoded(s);
  RecordView view;
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.kind, RecordKind::kSpan);
  EXPECT_EQ(view.span_kind, SIDECAST_SPAN_TOOL);
  EXPECT_EQ(view.span_id, "s1");
  EXPECT_EQ(view.parent_id, "p1");
  EXPECT_EQ(view.name, "search");
  EXPECT_EQ(view.account, "acme");
  EXPECT_EQ(view.request, "in");
  EXPECT_EQ(view.response, "out");
  EXPECT_EQ(view.error_type, "timeout");
}

TEST(Record, AnEndBeforeTheStartIsClampedAndNoted) {
  SampleGeneration sample("g");
  sample.c.end_ns = sample.c.start_ns - 1;
  RecordView view;
  const std::string bytes = encoded(sample.c);
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.end_ns, view.start_ns);
  EXPECT_TRUE(view.end_clamped);
}

TEST(Record, ShedKeepsTheEndsOfTheResponseAndTheSizes) {
  std::string response;
  for (int i = 0; i < 20'000; ++i) response.push_back(static_cast<char>('a' + i % 26));
  // Uneven slices, so that head and tail each cross some.
  std::vector<sidecast_slice> slices;
  for (std::size_t at = 0; at < response.size(); at += 1500) {
    slices.push_back({response.data() + at, std::min<std::size_t>(1500, response.size() - at)});
  }
  SampleGeneration sample("g", std::string(5000, 'q'));
  sample.c.response = {slices.data(), slices.size()};
  sample.c.trace_json = text(R"({"k":1})");
  sample.c.usage_present = SIDECAST_USAGE_OUTPUT;
  sample.c.usage_output_tokens = 3;
  const std::string bytes = encoded(sample.c, Detail::kShed);
  EXPECT_LT(bytes.size(), 7000u);
  RecordView view;
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_TRUE(view.shed);
  EXPECT_EQ(view.generation_id, "g");
  EXPECT_EQ(view.request, "");
  EXPECT_EQ(view.response, "");
  EXPECT_EQ(view.request_bytes, 5000u);
  EXPECT_EQ(view.response_bytes, 20'000u);
  EXPECT_EQ(view.response_head, response.substr(0, 2048));
  EXPECT_EQ(view.response_tail, response.substr(20'000 - 4096));
  EXPECT_EQ(view.trace_json, R"({"k":1})");
  EXPECT_EQ(view.usage_output_tokens, 3);
}

TEST(Record, ShedDoesNotRepeatBytesOfAShortResponse) {
  for (const std::size_t size : {1u, 2048u, 2049u, 6143u, 6144u}) {
    const std::string response(size, 'r');
    const SampleGeneration sample("g", "", response);
    const std::string bytes = encoded(sample.c, Detail::kShed);
    RecordView view;
    ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
    EXPECT_EQ(view.response_head.size() + view.response_tail.size(), size);
  }
}

TEST(Record, ShedKeepsTraceAndAttributesWithinTheirBudget) {
  const std::string six(6 << 10, 't');
  const std::string three(3 << 10, 'a');
  SampleGeneration sample("g", "x");
  sample.c.trace_json = text(six);
  sample.c.attributes_json = text(three);
  std::string bytes = encoded(sample.c, Detail::kShed);
  RecordView view;
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.trace_json, six);
  EXPECT_EQ(view.attributes_json, "");  // together they would pass 8 KiB; half a JSON text is none
  sample.c.trace_json = text(three);
  bytes = encoded(sample.c, Detail::kShed);
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.trace_json, three);
  EXPECT_EQ(view.attributes_json, three);
}

TEST(Record, AttemptsOfAnOlderOrNewerHeaderAreRead) {
  struct NewerAttempt {
    sidecast_attempt known;
    std::int64_t later_field;
  };
  NewerAttempt newer[2] = {};
  for (NewerAttempt& attempt : newer) attempt.known.struct_size = sizeof attempt;
  newer[1].known.provider = text("second");
  newer[1].later_field = -1;
  SampleGeneration sample("g");
  sample.c.attempts = &newer[0].known;
  sample.c.attempt_count = 2;
  std::string bytes = encoded(sample.c);
  RecordView view;
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  ASSERT_EQ(view.attempts.size(), 2u);
  EXPECT_EQ(view.attempts[1].provider, "second");

  constexpr std::size_t kOlder = offsetof(sidecast_attempt, error_type);
  alignas(sidecast_attempt) char older[2 * kOlder] = {};
  for (int i = 0; i < 2; ++i) {
    sidecast_attempt attempt = {};
    attempt.struct_size = kOlder;
    attempt.http_status = 500 + i;
    std::memcpy(older + static_cast<std::size_t>(i) * kOlder, &attempt, kOlder);
  }
  sample.c.attempts = reinterpret_cast<const sidecast_attempt*>(older);
  bytes = encoded(sample.c);
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  ASSERT_EQ(view.attempts.size(), 2u);
  EXPECT_EQ(view.attempts[1].http_status, 501);
  EXPECT_EQ(view.attempts[1].error_type, "");
}

TEST(Record, ArgumentsThatCannotBeTrueAreRefused) {
  const auto is_valid = [](auto change) {
    SampleGeneration sample("g");
    change(sample.c);
    return measure(sample.c).is_valid;
  };
  static const sidecast_slice null_slice = {nullptr, 5};
  static const sidecast_slice huge_slice = {"x", SIZE_MAX};
  static const sidecast_attempt no_size = {};
  EXPECT_TRUE(is_valid([](auto&) {}));
  EXPECT_FALSE(is_valid([](auto& g) { g.start_ns = 0; }));
  EXPECT_FALSE(is_valid([](auto& g) { g.account = {nullptr, 1}; }));
  EXPECT_FALSE(is_valid([](auto& g) { g.account = {"x", SIZE_MAX}; }));
  EXPECT_FALSE(is_valid([](auto& g) { g.request = {nullptr, 1}; }));
  EXPECT_FALSE(is_valid([](auto& g) { g.request = {&null_slice, 1}; }));
  EXPECT_FALSE(is_valid([](auto& g) { g.request = {&huge_slice, 1}; }));
  EXPECT_FALSE(is_valid([](auto& g) { g.request = {&null_slice, SIZE_MAX}; }));
  EXPECT_FALSE(is_valid([](auto& g) { g.attempt_count = 1; }));
  EXPECT_FALSE(is_valid([](auto& g) {
    g.attempts = &no_size;
    g.attempt_count = 1;
  }));
  EXPECT_FALSE(is_valid([](auto& g) { g.attempt_count = UINT32_MAX; }));
}

// ---- Bytes from a hostile writer
// -----------------------------------------------------------------------

TEST(Record, UnknownTagsAreSkippedAndAGrownHeaderIsRead) {
  SampleGeneration sample("g");
  std::string bytes = encoded(sample.c);
  const std::uint16_t later_tag = 999;
  std::memcpy(bytes.data() + sizeof(RecordHeader), &later_tag, sizeof later_tag);
  RecordView view;
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.generation_id, "");

  bytes = encoded(sample.c);
  bytes.insert(sizeof(RecordHeader), 8, '\x7f');  // what a later version might append
  RecordHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.header_bytes += 8;
  header.size_bytes += 8;
  std::memcpy(bytes.data(), &header, sizeof header);
  ASSERT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.generation_id, "g");
}

TEST(Record, HostileHeadersAreRefused) {
  const SampleGeneration sample("g", "request", "response");
  const std::string sound = encoded(sample.c);
  const auto parsed = [&](auto change) {
    std::string bytes = sound;
    RecordHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    change(header);
    std::memcpy(bytes.data(), &header, sizeof header);
    RecordView view;
    return parse_record(bytes, view);
  };
  EXPECT_EQ(parsed([](auto&) {}), RecordError::kNone);
  EXPECT_EQ(parsed([](auto& h) { h.size_bytes += 8; }), RecordError::kTooShort);
  EXPECT_EQ(parsed([](auto& h) { h.field_bytes = UINT32_MAX; }), RecordError::kTooShort);
  EXPECT_EQ(parsed([](auto& h) { h.header_bytes = UINT16_MAX; }), RecordError::kTooShort);
  EXPECT_EQ(parsed([](auto& h) { h.header_bytes = 0; }), RecordError::kTooShort);
  EXPECT_EQ(parsed([](auto& h) { h.kind = 0; }), RecordError::kBadKind);
  EXPECT_EQ(parsed([](auto& h) { h.kind = 77; }), RecordError::kBadKind);
  EXPECT_EQ(parsed([](auto& h) { h.start_ns = -1; }), RecordError::kBadTimes);
  EXPECT_EQ(parsed([](auto& h) { h.end_ns = h.start_ns - 1; }), RecordError::kBadTimes);
  EXPECT_EQ(parsed([](auto& h) { h.field_bytes -= 1; }), RecordError::kFieldOverrun);
}

TEST(Record, HostileLengthsNeverLeadOutside) {
  const SampleGeneration sample("g", "request", "response");
  const std::string sound = encoded(sample.c);
  for (std::size_t size = 0; size < sound.size(); ++size) {
    RecordView view;
    // A copy of its own, so that the address sanitizer sees any byte read beyond it.
    const std::vector<char> cut(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(parse_record({cut.data(), cut.size()}, view), RecordError::kNone);
  }
}

TEST(Record, HostileNumberOfAttemptsIsBounded) {
  std::vector<sidecast_attempt> attempts(kAttemptsMax);
  for (sidecast_attempt& attempt : attempts) attempt.struct_size = sizeof attempt;
  SampleGeneration sample("");
  sample.c.attempts = attempts.data();
  sample.c.attempt_count = kAttemptsMax;
  std::string bytes = encoded(sample.c);
  RecordView view;
  EXPECT_EQ(parse_record(bytes, view), RecordError::kNone);
  EXPECT_EQ(view.attempts.size(), kAttemptsMax);
  // One more, in front of the others.
  const std::string one =
      bytes.substr(sizeof(RecordHeader), sizeof(FieldHeader) + sizeof(AttemptField));
  bytes.insert(sizeof(RecordHeader), one);
  RecordHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.size_bytes += static_cast<std::uint32_t>(one.size());
  header.field_bytes += static_cast<std::uint32_t>(one.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  EXPECT_EQ(parse_record(bytes, view), RecordError::kTooManyAttempts);
}

}  // namespace
}  // namespace sidecast::shm
