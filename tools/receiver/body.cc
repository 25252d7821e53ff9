#include "tools/receiver/body.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <zlib.h>
#include <zstd.h>

namespace sidecast::receiver {
namespace {

constexpr std::size_t kChunkBytes = 64U << 10U;
// RFC 9659: a zstd body sent over HTTP must not need a window above 8 MiB.
constexpr int kZstdWindowLogMax = 23;

tl::unexpected<Refusal> too_large(std::size_t bytes_max) {
  return refuse(413, "the decoded body is larger than " + std::to_string(bytes_max) + " bytes");
}

struct InflateEnd {
  void operator()(z_stream* stream) const noexcept {
    inflateEnd(stream);
    delete stream;
  }
};

Accepted<std::string> gunzip(std::string_view body, std::size_t bytes_max) {
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  std::unique_ptr<z_stream, InflateEnd> stream(new z_stream{});
  if (inflateInit2(stream.get(), kGzipOnly) != Z_OK) return refuse(503, "no memory for gzip");
  // zlib's input pointer is not const, but it does not write through it.
  stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  std::size_t unread = body.size();

  std::string decoded;
  std::array<char, kChunkBytes> chunk;
  bool member_ended = false;
  while (!member_ended || unread > 0) {
    if (member_ended) inflateReset(stream.get());
    const auto offered = static_cast<uInt>(std::min<std::size_t>(unread, 1U << 30U));
    stream->avail_in = offered;
    stream->next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream->avail_out = static_cast<uInt>(chunk.size());
    const int code = inflate(stream.get(), Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END) {
      return refuse(400, unread == 0 ? "the gzip body ends early" : "the gzip body is broken");
    }
    unread -= offered - stream->avail_in;
    decoded.append(chunk.data(), chunk.size() - stream->avail_out);
    if (decoded.size() > bytes_max) return too_large(bytes_max);
    member_ended = code == Z_STREAM_END;
  }
  return decoded;
}

struct FreeDStream {
  void operator()(ZSTD_DStream* stream) const noexcept { ZSTD_freeDStream(stream); }
};

Accepted<std::string> unzstd(std::string_view body, std::size_t bytes_max) {
  const std::unique_ptr<ZSTD_DStream, FreeDStream> stream(ZSTD_createDStream());
  if (stream == nullptr) return refuse(503, "no memory for zstd");
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);

  std::string decoded;
  std::array<char, kChunkBytes> chunk;
  ZSTD_inBuffer input{body.data(), body.size(), 0};
  std::size_t frame_wants = 1;  // 0 = a frame has just ended and all of it was handed out
  while (input.pos < input.size || frame_wants != 0) {
    ZSTD_outBuffer output{chunk.data(), chunk.size(), 0};
    const std::size_t consumed_before = input.pos;
    frame_wants = ZSTD_decompressStream(stream.get(), &output, &input);
    if (ZSTD_isError(frame_wants) != 0) {
      return refuse(400, std::string("the zstd body is broken: ") + ZSTD_getErrorName(frame_wants));
    }
    decoded.append(chunk.data(), output.pos);
    if (decoded.size() > bytes_max) return too_large(bytes_max);
    const bool stuck = input.pos == consumed_before && output.pos == 0;
    if (stuck && frame_wants != 0) return refuse(400, "the zstd body ends early");
  }
  return decoded;
}

}  // namespace

Accepted<std::string> decode_body(std::string_view content_encoding, std::string body,
                                  std::size_t bytes_max) {
  if (content_encoding == "gzip") return gunzip(body, bytes_max);
  if (content_encoding == "zstd") return unzstd(body, bytes_max);
  if (!content_encoding.empty() && content_encoding != "identity") {
    return refuse(415, "Content-Encoding '" + std::string(content_encoding) +
                           "' is not one of identity, gzip, zstd");
  }
  if (body.size() > bytes_max) return too_large(bytes_max);
  return body;
}

}  // namespace sidecast::receiver
