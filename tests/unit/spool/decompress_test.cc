// What was compressed comes back, exactly; what is damaged, short or long does not.
#include "exporters/compress/decompress.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "exporters/compress/compress.h"

namespace sidecast {
namespace {

std::string sample() {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i * 7919 % 10'007);
  return text;
}

class Decompress : public ::testing::TestWithParam<Compression> {
 protected:
  static std::string packed(const std::string& text) {
    const std::vector<Bytes> pieces = {text};
    return Compressor().compress(GetParam(), pieces);
  }
};

TEST_P(Decompress, GivesBackWhatWasCompressed) {
  for (const std::string& text : {std::string("a"), sample()}) {
    const auto back = decompress(GetParam(), packed(text), text.size());
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, text);
  }
}

TEST_P(Decompress, HostileSizesAreRefused) {
  const std::string text = sample();
  EXPECT_FALSE(decompress(GetParam(), packed(text), text.size() - 1));
  EXPECT_FALSE(decompress(GetParam(), packed(text), text.size() + 1));
  EXPECT_FALSE(decompress(GetParam(), packed(text), 1ULL << 40U)) << "and costs no such memory";
}

TEST_P(Decompress, HostileCutsAreRefused) {
  const std::string text = "some text that is long enough to be cut at every byte of it";
  const std::string whole = packed(text);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decompress(GetParam(), Bytes(whole).substr(0, size), text.size())) << size;
  }
  EXPECT_FALSE(decompress(GetParam(), whole + "x", text.size()));
}

INSTANTIATE_TEST_SUITE_P(Codecs, Decompress,
                         ::testing::Values(Compression::kNone, Compression::kGzip,
                                           Compression::kZstd));

}  // namespace
}  // namespace sidecast
