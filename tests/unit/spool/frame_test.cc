// A frame is read as it was written, or not at all.
#include "engine/spool/frame.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/spool/spool_fixture.h"

namespace sidecast::spool {
namespace {

constexpr FramePlace kPlace{.segment_id = 42, .offset = 64, .ordinal = 5};

std::string bytes_of(const NewFrame& frame) {
  std::string bytes = write_frame(frame, kPlace);
  bytes += frame.body;
  bytes.resize(frame_bytes(frame));
  return bytes;
}

TEST(Frame, ComesBackAsItWasWritten) {
  for (const Compression codec : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    Sample sample(codec);
    sample.for_destinations(2);
    const std::string bytes = bytes_of(sample.frame);
    const auto frame = parse_frame(bytes, kPlace.segment_id, kPlace.offset);
    ASSERT_TRUE(frame) << frame.error().message();
    EXPECT_EQ(frame->head.ordinal, kPlace.ordinal);
    EXPECT_EQ(frame->head.sealed_ns, sample.frame.sealed_ns);
    EXPECT_EQ(frame->head.form, sample.frame.form);
    ASSERT_EQ(frame->head.destinations.size(), 2U);
    EXPECT_EQ(name_of(frame->head.destinations[1]), "d1");
    EXPECT_EQ(identity_of(frame->head.destinations[1]), std::string(32, 'b'));
    std::string plain;
    const auto records = cut_body(*frame, plain);
    ASSERT_TRUE(records) << records.error().message();
    ASSERT_EQ(records->size(), kRecords);
    for (std::size_t i = 0; i < kRecords; ++i) {
      EXPECT_EQ((*records)[i], sample.encoded[i]);
      EXPECT_EQ(frame->records[i].fields.generation_id, sample.ids[i]);
      EXPECT_EQ(frame->records[i].fields.account, "acme");
      EXPECT_EQ(frame->records[i].fields.sequence, i);
      EXPECT_EQ(frame->records[i].fields.is_shrunk, i == 1);
    }
  }
}

TEST(Frame, HostileBytesAnywhereAreRefused) {
  Sample sample;
  sample.for_destinations(1);
  const std::string sound = bytes_of(sample.frame);
  const std::size_t checked = write_frame(sample.frame, kPlace).size() + sample.body.size();
  for (std::size_t i = 0; i < checked; ++i) {
    std::string bytes = sound;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x40);
    EXPECT_FALSE(parse_frame(bytes, kPlace.segment_id, kPlace.offset)) << i;
  }
}

TEST(Frame, HostileCutsAreRefused) {
  Sample sample;
  sample.for_destinations(1);
  const std::string sound = bytes_of(sample.frame);
  for (std::size_t size = 0; size < sound.size(); ++size) {
    EXPECT_FALSE(parse_frame(Bytes(sound).substr(0, size), kPlace.segment_id, kPlace.offset))
        << size;
  }
}

TEST(Frame, HoldsInItsPlaceOnly) {
  Sample sample;
  sample.for_destinations(1);
  const std::string sound = bytes_of(sample.frame);
  EXPECT_FALSE(parse_frame(sound, kPlace.segment_id + 1, kPlace.offset));
  EXPECT_FALSE(parse_frame(sound, kPlace.segment_id, kPlace.offset + 8));
}

TEST(Frame, PrivacyMarksTellWhatIsKept) {
  const std::vector<std::string> tier = {"tier"};
  EXPECT_EQ(privacy_mark(false, tier), 0U);
  EXPECT_NE(privacy_mark(true, {}), 0U);
  EXPECT_NE(privacy_mark(true, tier), privacy_mark(true, {}));
}

}  // namespace
}  // namespace sidecast::spool
