// Multipart forms, and bodies that are no text: what they say is understood, their bytes leave.
#include <string>

#include <gtest/gtest.h>

#include "engine/normalise/binary.h"
#include "engine/normalise/multipart.h"
#include "tests/unit/normalise/record_fixture.h"

namespace sidecast {
namespace {

class Uploads : public testing::Test, public RecordFixture {};

std::string field(const std::string& headers, const std::string& content) {
  return "--b0\r\nContent-Disposition: form-data; " + headers + "\r\n\r\n" + content + "\r\n";
}

const std::string kSound =
    std::string("RIFF\x10\x00\x00\x00WAVEfmt ", 16) + "--b0 is no boundary here";

TEST_F(Uploads, AFormIsTheRequestThatItsFieldsMake) {
  const std::string body =
      field("name=\"model\"", "whisper-1") + field("name=\"temperature\"", "0.5") +
      field("name=\"prompt\"", "say \"hi\"\nü") +
      field("name=\"file\"; filename=\"a.wav\"\r\nContent-Type: application/octet-stream", kSound) +
      "--b0--\r\n";
  record.endpoint = "/v1/audio/transcriptions";
  const Trace trace = normalise(body, R"({"text":"hello"})", "audio");
  EXPECT_EQ(trace.operation, Operation::kAudio);
  EXPECT_EQ(trace.model_requested, "whisper-1");
  EXPECT_EQ(trace.parameters.temperature, 0.5);
  ASSERT_EQ(trace.input_messages.size(), 1U);
  const Message& message = trace.input_messages[0];
  EXPECT_EQ(show(message), "user t<say \"hi\"\nü> a a.wav<>");
  EXPECT_EQ(message.parts[1].mime_type, "audio/wav");
  EXPECT_EQ(message.parts[1].omitted_bytes, kSound.size());
  EXPECT_TRUE(trace.input_is_json);
  EXPECT_EQ(
      trace.input_value,
      R"({"multipart":[{"name":"model","value":"whisper-1"},{"name":"temperature","value":"0.5"},)"
      R"({"name":"prompt","value":"say \"hi\"\nü"},{"name":"file","filename":"a.wav","content_type":"audio/wav","bytes":40}]})");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<hello>");
}

TEST_F(Uploads, AParsedFormIsTheSameRequest) {
  const Trace trace = normalise(
      R"({"multipart":[{"name":"model","value":"dall-e-2"},{"name":"n","value":"2"},{"name":"prompt","value":"a cat"},)"
      R"({"name":"image[]","filename":"a.png","content_type":"image/png","bytes":5},{"name":"image[]","filename":"b.png","bytes":6}]})",
      R"({"data":[{"url":"https://example.com/1.png?sig=x"}]})", "image");
  EXPECT_EQ(trace.model_requested, "dall-e-2");
  EXPECT_EQ(trace.parameters.choice_count, 2);
  EXPECT_EQ(show(trace.input_messages.at(0)), "user t<a cat> i a.png<> i b.png<>");
  EXPECT_EQ(trace.input_messages[0].parts[1].omitted_bytes, 5U);
  EXPECT_EQ(trace.output_messages.at(0).parts.at(0).url, "https://example.com/1.png");
}

TEST_F(Uploads, HostileFormsAreReadAsFarAsTheyGo) {
  const std::string body =
      field("name=\"model\"", "m") + field("name=\"file\"; filename=\"a\"", kSound);
  for (std::size_t size = 0; size <= body.size(); ++size) {
    const std::string cut = body.substr(0, size);
    const Trace trace = normalise(cut, "", "audio");
    EXPECT_EQ(trace.input_value.empty(), cut.empty());
  }
  std::string many;
  for (int i = 0; i < 1000; ++i) many += field("name=\"a" + std::to_string(i % 300) + "\"", "v");
  EXPECT_TRUE(normalise(many, "", "audio").input_is_json);
}

TEST_F(Uploads, ABoundaryAloneIsNoForm) {
  EXPECT_FALSE(looks_like_multipart("--b0\r\n\r\ntext"));
  EXPECT_FALSE(looks_like_multipart("-- a list\n-- of remarks"));
  EXPECT_FALSE(looks_like_multipart("--"));
  EXPECT_TRUE(looks_like_multipart("--b\r\ncontent-type: text/plain\r\n\r\n"));
}

TEST_F(Uploads, SpeechLeavesANoteOfItsTypeAndSize) {
  const std::string speech =
      std::string("ID3\x04\x00\x00\x00\x00\x00\x23", 10) + std::string(90, '\x01');
  record.endpoint = "/v1/audio/speech";
  const Trace trace =
      normalise(R"({"model":"tts-1","input":"hello","voice":"alloy"})", speech, "audio");
  EXPECT_EQ(trace.output_value, "[audio/mpeg, 100 bytes left out]");
  EXPECT_FALSE(trace.output_is_json);
  EXPECT_EQ(show(trace.input_messages.at(0)), "user t<hello>");
  ASSERT_EQ(trace.output_messages.size(), 1U);
  EXPECT_EQ(trace.output_messages[0].parts.at(0).kind, PartKind::kAudio);
  EXPECT_EQ(trace.output_messages[0].parts[0].omitted_bytes, 100U);
  EXPECT_FALSE(trace.outcome.failed);
}

TEST_F(Uploads, SoundAsARequestIsAMessage) {
  record.endpoint = "/v1/listen";
  const Trace trace = normalise(
      kSound, R"({"results":{"channels":[{"alternatives":[{"transcript":"hello"}]}]}})", "audio");
  EXPECT_EQ(show(trace.input_messages.at(0)), "user a<>");
  EXPECT_EQ(show(trace.output_messages.at(0)), "assistant t<hello>");
}

TEST_F(Uploads, TextThatBeginsLikeAFileIsText) {
  EXPECT_FALSE(binary_type("ID3 tags are explained"));
  EXPECT_FALSE(binary_type("%PDF-1.7 is a version"));
  EXPECT_FALSE(binary_type("a\xFF\xFE text in some old encoding, broken here"));
  EXPECT_FALSE(binary_type(""));
  EXPECT_EQ(binary_type(Text("\x89PNG\r\n\x1A\n\x00\x00\x00\rIHDR", 16)), "image/png");
  EXPECT_EQ(binary_type(std::string(64, '\0')), "application/octet-stream");
}

}  // namespace
}  // namespace sidecast
