#include "exporters/compress/compress.h"

#include <algorithm>
#include <array>

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "engine/base/assert.h"

namespace sidecast {
namespace {

// Measured in bench/exporters/compress_bench.cc: ISA-L's level 1 is the knee (level 0 saves little
// time for much more output, 2 and 3 cost more than the bytes they save); zstd's level 1 likewise.
constexpr std::uint32_t kGzipLevel = 1;
// Level 1 has a window of at most 512 KiB; receivers over HTTP must cope with 8 MiB (RFC 9659).
// See Compressor.ZstdWindowIsWhatHttpReceiversMustAccept.
constexpr int kZstdLevel = 1;
constexpr std::size_t kGzipLevelBytes = ISAL_DEF_LVL1_LARGE;
// Output buffers above this go back after use: one huge batch must not stay resident for ever.
constexpr std::size_t kOutputBytesKept = 1U << 20U;

std::size_t total_bytes(std::span<const Bytes> pieces) noexcept {
  std::size_t total = 0;
  for (const Bytes piece : pieces) total += piece.size();
  return total;
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
  ByteBuffer output;
};

namespace {

// One member: header once, one deflate stream over all pieces, one trailer.
void compress_gzip(isal_zstream& stream, std::uint8_t* level_buffer, std::span<const Bytes> pieces,
                   std::size_t chunk, ByteBuffer& out) {
  isal_deflate_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.level = kGzipLevel;
  stream.level_buf = level_buffer;
  stream.level_buf_size = kGzipLevelBytes;
  stream.flush = NO_FLUSH;
  const auto feed = [&](Bytes piece, bool last) {
    // ISA-L counts in 32 bits: a longer piece goes in parts.
    constexpr std::size_t kPartMax = 1U << 30U;
    do {
      const Bytes part = piece.substr(0, kPartMax);
      piece.remove_prefix(part.size());
      stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(part.data()));
      stream.avail_in = static_cast<std::uint32_t>(part.size());
      stream.end_of_stream = last && piece.empty() ? 1 : 0;
      do {
        stream.next_out = reinterpret_cast<std::uint8_t*>(out.reserve(chunk));
        stream.avail_out = static_cast<std::uint32_t>(chunk);
        const int status = isal_deflate(&stream);
        SIDECAST_ASSERT(status == COMP_OK);
        out.advance(chunk - stream.avail_out);
      } while (stream.avail_out == 0 || stream.avail_in != 0);
    } while (!piece.empty());
  };
  if (pieces.empty()) feed({}, true);
  for (std::size_t i = 0; i < pieces.size(); ++i) feed(pieces[i], i + 1 == pieces.size());
  SIDECAST_ASSERT(stream.internal_state.state == ZSTATE_END);
}

// One frame with its content size.
void compress_zstd(ZSTD_CCtx* context, std::span<const Bytes> pieces, std::size_t total,
                   std::size_t chunk, ByteBuffer& out) {
  ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
  SIDECAST_ASSERT(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, total)));
  const auto feed = [&](Bytes piece, ZSTD_EndDirective directive) {
    ZSTD_inBuffer input{piece.data(), piece.size(), 0};
    std::size_t left = 0;
    do {
      ZSTD_outBuffer output{out.reserve(chunk), chunk, 0};
      left = ZSTD_compressStream2(context, &output, &input, directive);
      SIDECAST_ASSERT(!ZSTD_isError(left));
      out.advance(output.pos);
    } while (directive == ZSTD_e_end ? left != 0 : input.pos != input.size);
  };
  if (pieces.empty()) feed({}, ZSTD_e_end);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    feed(pieces[i], i + 1 == pieces.size() ? ZSTD_e_end : ZSTD_e_continue);
  }
}

}  // namespace

Compressor::Compressor() : contexts_(std::make_unique<Contexts>()) {}
Compressor::~Compressor() = default;

std::string Compressor::compress(Compression codec, std::span<const Bytes> pieces) {
  const std::size_t total = total_bytes(pieces);
  ByteBuffer& out = contexts_->output;
  out.clear();
  // Text shrinks to a fifth or so; what does not fit comes in more chunks.
  const std::size_t chunk = std::clamp<std::size_t>(total / 2, 4096, 1U << 20U);
  switch (codec) {
    case Compression::kNone: {
      std::string copy;
      copy.reserve(total);
      for (const Bytes piece : pieces) copy.append(piece);
      return copy;
    }
    case Compression::kGzip: {
      if (!contexts_->gzip) contexts_->gzip = std::make_unique<Contexts::Gzip>();
      Contexts::Gzip& gzip = *contexts_->gzip;
      compress_gzip(gzip.stream, gzip.level_buffer.data(), pieces, chunk, out);
      break;
    }
    case Compression::kZstd: {
      if (!contexts_->zstd) {
        contexts_->zstd.reset(ZSTD_createCCtx());
        ZSTD_CCtx_setParameter(contexts_->zstd.get(), ZSTD_c_compressionLevel, kZstdLevel);
      }
      compress_zstd(contexts_->zstd.get(), pieces, total, chunk, out);
      break;
    }
  }
  std::string body(out.view());
  out.shrink(kOutputBytesKept);
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
