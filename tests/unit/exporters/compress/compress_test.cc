// Our gzip, read by zlib; our zstd, read by libzstd. One member, one frame, whatever the pieces.
#include "exporters/compress/compress.h"

#include <numeric>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace sidecast {
namespace {

struct Decoded {
  bool ok = false;
  std::string bytes;
  std::size_t left_over = 0;  // compressed bytes after the first member or frame
};

Decoded gunzip_one_member(std::string body) {
  Decoded decoded;
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return decoded;  // 16: gzip only
  stream.next_in = reinterpret_cast<Bytef*>(body.data());
  stream.avail_in = static_cast<uInt>(body.size());
  int status = Z_OK;
  std::string room(1U << 16U, '\0');
  while (status == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(room.data());
    stream.avail_out = static_cast<uInt>(room.size());
    status = inflate(&stream, Z_NO_FLUSH);
    decoded.bytes.append(room.data(), room.size() - stream.avail_out);
  }
  decoded.ok = status == Z_STREAM_END;
  decoded.left_over = stream.avail_in;
  inflateEnd(&stream);
  return decoded;
}

Decoded unzstd_one_frame(const std::string& body) {
  Decoded decoded;
  const std::size_t frame = ZSTD_findFrameCompressedSize(body.data(), body.size());
  if (ZSTD_isError(frame)) return decoded;
  decoded.left_over = body.size() - frame;
  decoded.bytes.resize(ZSTD_getFrameContentSize(body.data(), body.size()));
  const std::size_t size =
      ZSTD_decompress(decoded.bytes.data(), decoded.bytes.size(), body.data(), frame);
  decoded.ok = !ZSTD_isError(size) && size == decoded.bytes.size();
  return decoded;
}

Decoded decode(Compression codec, const std::string& body) {
  if (codec == Compression::kGzip) return gunzip_one_member(body);
  if (codec == Compression::kZstd) return unzstd_one_frame(body);
  return {true, body, 0};
}

constexpr Compression kCodecs[] = {Compression::kNone, Compression::kGzip, Compression::kZstd};

std::string text_of_size(std::size_t size) {
  static const std::string kLines = [] {
    std::string lines;
    for (int i = 0; i < 20'000; ++i) lines += "line " + std::to_string(i * 7919 % 10'007) + "\n";
    return lines;
  }();
  std::string text;
  while (text.size() < size) text += kLines;
  text.resize(size);
  return text;
}

RC_GTEST_PROP(Compressor, IndependentDecodersReadTheConcatenationOfThePieces, ()) {
  Compressor compressor;
  // Several bodies on one compressor: its contexts carry nothing over.
  const auto bodies = *rc::gen::inRange(1, 4);
  for (int i = 0; i < bodies; ++i) {
    const auto texts = *rc::gen::container<std::vector<std::string>>(
        rc::gen::oneOf(rc::gen::arbitrary<std::string>(),
                       rc::gen::map(rc::gen::inRange<std::size_t>(0, 300'000), &text_of_size)));
    const std::vector<Bytes> pieces(texts.begin(), texts.end());
    const std::string whole = std::accumulate(texts.begin(), texts.end(), std::string());
    for (const Compression codec : kCodecs) {
      const Decoded decoded = decode(codec, compressor.compress(codec, pieces));
      RC_ASSERT(decoded.ok);
      RC_ASSERT(decoded.bytes == whole);
      RC_ASSERT(decoded.left_over == 0U);
    }
  }
}

TEST(Compressor, IncompressibleBytesComeThrough) {
  Compressor compressor;
  std::string noise(3'000'000, '\0');
  std::uint64_t state = 1;
  for (char& byte : noise) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<char>(state >> 56U);
  }
  for (const Compression codec : kCodecs) {
    const std::vector<Bytes> pieces = {noise};
    const std::string body = compressor.compress(codec, pieces);
    EXPECT_LT(body.size(), noise.size() + noise.size() / 100);
    const Decoded decoded = decode(codec, body);
    EXPECT_TRUE(decoded.ok);
    EXPECT_TRUE(decoded.bytes == noise);
  }
}

TEST(Compressor, TextShrinks) {
  Compressor compressor;
  const std::string text = text_of_size(1'000'000);
  const std::vector<Bytes> pieces = {text};
  EXPECT_LT(compressor.compress(Compression::kGzip, pieces).size(), text.size() / 2);
  EXPECT_LT(compressor.compress(Compression::kZstd, pieces).size(), text.size() / 2);
  EXPECT_EQ(compressor.compress(Compression::kNone, pieces), text);
}

// RFC 8878 §3.1.1.1.2: without the single-segment flag the frame header names the window; with it,
// the window is the content. zstd sets that flag only where the content fits into the window.
TEST(Compressor, ZstdWindowIsWhatHttpReceiversMustAccept) {
  Compressor compressor;
  const std::string text = text_of_size(40U << 20U);
  const std::vector<Bytes> pieces = {text};
  const std::string body = compressor.compress(Compression::kZstd, pieces);
  const auto descriptor = static_cast<unsigned char>(body[4]);
  ASSERT_EQ(descriptor & 0x20U, 0U) << "40 MiB in a single segment";
  const auto window = static_cast<unsigned char>(body[5]);
  const std::uint64_t base = std::uint64_t{1} << (10U + (window >> 3U));
  EXPECT_LE(base + base / 8 * (window & 7U), 8U << 20U);
}

TEST(Compressor, NamesItsContentEncodings) {
  EXPECT_EQ(content_encoding(Compression::kNone), "");
  EXPECT_EQ(content_encoding(Compression::kGzip), "gzip");
  EXPECT_EQ(content_encoding(Compression::kZstd), "zstd");
}

}  // namespace
}  // namespace sidecast
