#include "exporters/compress/decompress.h"

#include <algorithm>
#include <limits>
#include <memory>

#include <isa-l/igzip_lib.h>
#include <zstd.h>

namespace sidecast {
namespace {

// What a claim of size may cost before bytes have proved it.
constexpr std::size_t kFirstBytes = 1U << 20U;
constexpr std::string_view kDamaged = "the compressed bytes are damaged";

struct ZstdFree {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

// Room for more of `size` bytes, doubled as they come. False: there are as many already.
bool make_room(std::string& out, std::size_t used, std::size_t size) {
  if (used < out.size()) return true;
  if (out.size() == size) return false;
  out.resize(std::min(size, std::max(kFirstBytes, out.size() * 2)));
  return true;
}

Result<std::string> inflate(Bytes packed, std::size_t size) {
  if (packed.size() > std::numeric_limits<std::uint32_t>::max()) return fail("too large for gzip");
  const auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  state->next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(packed.data()));
  state->avail_in = static_cast<std::uint32_t>(packed.size());
  std::string out;
  std::size_t used = 0;
  char beyond = 0;  // where a byte too many would show
  while (state->block_state != ISAL_BLOCK_FINISH) {
    const bool fits = make_room(out, used, size);
    const std::size_t room = fits ? std::min<std::size_t>(out.size() - used, 1U << 30U) : 1;
    const std::uint32_t before = state->avail_in;
    state->next_out = reinterpret_cast<std::uint8_t*>(fits ? out.data() + used : &beyond);
    state->avail_out = static_cast<std::uint32_t>(room);
    if (isal_inflate(state.get()) != ISAL_DECOMP_OK) return fail(std::string(kDamaged));
    const std::size_t got = room - state->avail_out;
    if (got > 0 && !fits) return fail("the compressed bytes hold more than they should");
    used += got;
    const bool is_stuck = got == 0 && state->avail_in == before;
    if (is_stuck && state->block_state != ISAL_BLOCK_FINISH) return fail(std::string(kDamaged));
  }
  if (used != size || state->avail_in != 0) return fail(std::string(kDamaged));
  out.resize(size);
  return out;
}

Result<std::string> unzstd(Bytes packed, std::size_t size) {
  const std::unique_ptr<ZSTD_DCtx, ZstdFree> context(ZSTD_createDCtx());
  if (context == nullptr) return fail("no memory for zstd");
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::string out;
  std::size_t used = 0;
  char beyond = 0;
  for (std::size_t left = 1; left != 0;) {
    const bool fits = make_room(out, used, size);
    ZSTD_outBuffer to{fits ? out.data() + used : &beyond, fits ? out.size() - used : 1, 0};
    const std::size_t read_before = in.pos;
    left = ZSTD_decompressStream(context.get(), &to, &in);
    if (ZSTD_isError(left) != 0) return fail(std::string(kDamaged));
    if (to.pos > 0 && !fits) return fail("the compressed bytes hold more than they should");
    used += to.pos;
    if (left != 0 && to.pos == 0 && in.pos == read_before) return fail(std::string(kDamaged));
  }
  if (used != size || in.pos != in.size) return fail(std::string(kDamaged));
  out.resize(size);
  return out;
}

}  // namespace

Result<std::string> decompress(Compression codec, Bytes packed, std::size_t size) {
  switch (codec) {
    case Compression::kNone:
      if (packed.size() != size) return fail("the bytes are not as many as they should be");
      return std::string(packed);
    case Compression::kGzip:
      return inflate(packed, size);
    case Compression::kZstd:
      return unzstd(packed, size);
  }
  return fail("an unknown compression");
}

}  // namespace sidecast
