#include "exporters/compress/compress.h"

#include <algorithm>
#include <array>

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

// Codec/* in bench/exporters: level 0 is hardly faster and 5 to 7 % larger, 2 costs 6 % more time
// for 2 to 3 % fewer bytes, 3 nearly twice the time.
constexpr std::uint32_t kGzipLevel = 1;
// Level 3 saves 16 % of the bytes for 1.7 times the time. Level 1 has a window of at most 512 KiB;
// receivers over HTTP must cope with 8 MiB (RFC 9659). See
// Compressor.ZstdWindowIsWhatHttpReceiversMustAccept.
constexpr int kZstdLevel = 1;
constexpr std::size_t kGzipLevelBytes = ISAL_DEF_LVL1_LARGE;
// Buffers above this go back after use: one huge batch must not stay resident for ever.
constexpr std::size_t kBytesKept = 8U << 20U;

// ISA-L counts in 32 bits: more than this goes in parts.
constexpr std::size_t kGzipPartMax = 1U << 30U;

std::size_t total_bytes(std::span<const Bytes> pieces) noexcept {
  std::size_t total = 0;
  for (const Bytes piece : pieces) total += piece.size();
  return total;
}

// All pieces as one. Both codecs copy short pieces themselves, into windows of their own and with
// more bookkeeping than this memcpy costs: see Compress/* against Codec/* in bench/exporters.
Bytes glue(std::span<const Bytes> pieces, ByteBuffer& room) {
  if (pieces.size() == 1) return pieces.front();
  room.clear();
  room.reserve(total_bytes(pieces));
  for (const Bytes piece : pieces) room.append(piece);
  return room.view();
}

struct ZstdFree {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

}  // namespace

// The codecs' working memory, made when first used: about 350 KiB for gzip, 1 MiB for zstd.
struct Compressor::Contexts {
  struct Gzip {
    isal_zstream stream;
    std::array<std::uint8_t, kGzipLevelBytes> level_buffer;
  };
  std::unique_ptr<Gzip> gzip;
  std::unique_ptr<ZSTD_CCtx, ZstdFree> zstd;
  ByteBuffer input;  // pieces glued
  ByteBuffer output;
};

namespace {

// One member: header once, one deflate stream over everything, one trailer.
void compress_gzip(isal_zstream& stream, std::uint8_t* level_buffer, Bytes whole, ByteBuffer& out) {
  isal_deflate_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.level = kGzipLevel;
  stream.level_buf = level_buffer;
  stream.level_buf_size = kGzipLevelBytes;
  stream.flush = NO_FLUSH;
  do {
    const Bytes part = whole.substr(0, kGzipPartMax);
    whole.remove_prefix(part.size());
    stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(part.data()));
    stream.avail_in = static_cast<std::uint32_t>(part.size());
    stream.end_of_stream = whole.empty() ? 1 : 0;
    const std::size_t chunk = std::max<std::size_t>(part.size() / 2, 4096);
    do {
      stream.next_out = reinterpret_cast<std::uint8_t*>(out.reserve(chunk));
      stream.avail_out = static_cast<std::uint32_t>(chunk);
      const int status = isal_deflate(&stream);
      SIDECAST_ASSERT(status == COMP_OK);
      out.advance(chunk - stream.avail_out);
    } while (stream.avail_out == 0 || stream.avail_in != 0);
  } while (!whole.empty());
  SIDECAST_ASSERT(stream.internal_state.state == ZSTATE_END);
}

// One frame with its content size.
void compress_zstd(ZSTD_CCtx* context, Bytes whole, ByteBuffer& out) {
  const std::size_t room = ZSTD_compressBound(whole.size());
  const std::size_t size =
      ZSTD_compress2(context, out.reserve(room), room, whole.data(), whole.size());
  SIDECAST_ASSERT(!ZSTD_isError(size));
  out.advance(size);
}

}  // namespace

Compressor::Compressor() : contexts_(std::make_unique<Contexts>()) {}
Compressor::~Compressor() = default;

std::string Compressor::compress(Compression codec, std::span<const Bytes> pieces) {
  if (codec == Compression::kNone) {
    std::string copy;
    copy.reserve(total_bytes(pieces));
    for (const Bytes piece : pieces) copy.append(piece);
    return copy;
  }
  const Bytes whole = glue(pieces, contexts_->input);
  ByteBuffer& out = contexts_->output;
  out.clear();
  if (codec == Compression::kGzip) {
    if (!contexts_->gzip) contexts_->gzip = std::make_unique<Contexts::Gzip>();
    compress_gzip(contexts_->gzip->stream, contexts_->gzip->level_buffer.data(), whole, out);
  } else {
    if (!contexts_->zstd) {
      contexts_->zstd.reset(ZSTD_createCCtx());
      ZSTD_CCtx_setParameter(contexts_->zstd.get(), ZSTD_c_compressionLevel, kZstdLevel);
    }
    compress_zstd(contexts_->zstd.get(), whole, out);
  }
  std::string body(out.view());
  out.shrink(kBytesKept);
  contexts_->input.shrink(kBytesKept);
  return body;
}

std::string_view content_encoding(Compression codec) noexcept {
  switch (codec) {
    case Compression::kNone:
      return "";
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
  }
  return "";
}

}  // namespace sidecast
