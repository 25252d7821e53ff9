#include "engine/normalise/media.h"

#include <string>

#include <gtest/gtest.h>

namespace sidecast {
namespace {

// Base64 that is no hex.
std::string base64(std::size_t size) {
  std::string text;
  while (text.size() < size) text += "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB/8+Z";
  return text.substr(0, size);
}

std::string scrubbed(const std::string& text) {
  static Arena arena;
  arena.reset();
  return std::string(scrub_text(text, arena));
}

TEST(Media, TextWithoutMediaIsTheSameView) {
  Arena arena;
  const std::string text = R"({"content":"a few words; base64, and data: of no image"})";
  EXPECT_EQ(scrub_text(text, arena).data(), text.data());
}

TEST(Media, ADataUrlBecomesANoteOfTypeAndSize) {
  EXPECT_EQ(scrubbed(R"({"url":"data:image/png;base64,)" + base64(100) + R"(","x":1})"),
            R"({"url":"[image/png, 100 bytes left out]","x":1})");
}

TEST(Media, DataUrlsAreFoundInTextAndWithParameters) {
  EXPECT_EQ(scrubbed("see data:text/plain;charset=utf-8;base64,SGk= and more"),
            "see [text/plain, 4 bytes left out] and more");
  EXPECT_EQ(scrubbed("![x](data:image/gif;base64,R0lGOD)"), "![x]([image/gif, 6 bytes left out])");
}

TEST(Media, AMarkWithoutASchemeGoesToo) {
  EXPECT_EQ(scrubbed("f\"{mime};base64,{data}\""), "f\"{mime}[base64, 0 bytes left out]{data}\"");
}

TEST(Media, DataUrlsInEscapedJsonOfToolArgumentsAreFound) {
  EXPECT_EQ(scrubbed(R"({"arguments":"{\"image\":\"data:image\/png;base64,)" + base64(20) +
                     R"(\",\"n\":2}"})"),
            R"({"arguments":"{\"image\":\"[image, 20 bytes left out]\",\"n\":2}"})");
}

TEST(Media, Base64InTheFieldsOfTheApisGoes) {
  for (const std::string key : {"data", "bytes", "b64_json", "file_data", "result"}) {
    EXPECT_EQ(scrubbed("{\"" + key + "\" : \"" + base64(80) + "\"}"),
              "{\"" + key + "\" : \"[image/png, 80 bytes left out]\"}");
  }
}

TEST(Media, Base64FieldsAreFoundAtAnyDepthOfEscaping) {
  EXPECT_EQ(scrubbed(R"("{\"data\":\")" + base64(80) + R"(\"}")"),
            R"("{\"data\":\"[image/png, 80 bytes left out]\"}")");
  EXPECT_EQ(scrubbed(R"("{\\\"data\\\":\\\")" + base64(80) + R"(\\\"}")"),
            R"("{\\\"data\\\":\\\"[image/png, 80 bytes left out]\\\"}")");
}

TEST(Media, EveryImageOfAListGoes) {
  const std::string image = "\"" + base64(70) + "\"";
  EXPECT_EQ(scrubbed("{\"images\":[" + image + ", " + image + "," + image + "],\"n\":3}"),
            "{\"images\":[\"[image/png, 70 bytes left out]\", \"[image/png, 70 bytes left out]\","
            "\"[image/png, 70 bytes left out]\"],\"n\":3}");
}

TEST(Media, EscapedSlashesAndNewlinesAreOfTheBase64) {
  std::string run = base64(40) + "\\/" + base64(40) + "\\n" + base64(40);
  EXPECT_EQ(scrubbed("{\"data\":\"" + run + "\"}"),
            "{\"data\":\"[image/png, 124 bytes left out]\"}");
}

TEST(Media, WordsDigestsAndSignaturesStay) {
  for (const std::string& text :
       {"{\"content\":\"" + std::string(5000, 'a') + "\"}",
        "{\"thoughtSignature\":\"" + base64(500) + "\"}",
        "{\"encrypted_content\":\"" + base64(500) + "\"}",
        "{\"data\":\"" + std::string(64, 'f') + "\"}",  // a digest in hex
        "{\"data\":\"" + base64(63) + "\"}",            // too short to be any
        "{\"url\":\"https://example.com/" + std::string(300, 'x') + "\"}"}) {
    EXPECT_EQ(scrubbed(text), text);
  }
}

TEST(Media, APartIsScrubbedByWhatWasFoundInTheWhole) {
  Arena arena;
  const std::string text = "{\"a\":{\"data\":\"" + base64(80) + "\"},\"b\":{\"c\":1}}";
  MediaSpans spans;
  spans.find(text);
  const Text whole = text;
  EXPECT_EQ(spans.scrub(whole.substr(5, 91), arena),
            "{\"data\":\"[image/png, 80 bytes left out]\"}");
  const Text untouched = whole.substr(whole.find("{\"c\""), 7);
  EXPECT_EQ(spans.scrub(untouched, arena).data(), untouched.data());
}

TEST(Media, HostileRunsCostNoMoreThanTheirBytes) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += ";base64,";
  EXPECT_EQ(scrubbed(text).find(";base64,"), std::string::npos);
  EXPECT_EQ(scrubbed(std::string(8U << 20U, 'A')).size(), 8U << 20U);
  EXPECT_EQ(scrubbed(std::string(8U << 20U, '\\')).size(), 8U << 20U);
  EXPECT_EQ(scrubbed(std::string(8U << 20U, '"')).size(), 8U << 20U);
}

}  // namespace
}  // namespace sidecast
