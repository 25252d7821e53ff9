// Shedding keeps what matters most: on the recorded exchanges, an answer that says its usage still
// says the same when its bodies were left out, in at least 99 of 100.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/arena.h"
#include "engine/normalise/normalise.h"
#include "tests/unit/shm/ring_fixture.h"
#include "tools/replay/exchanges.h"

namespace sidecast {
namespace {

// One file, if it is there. Our own sample is too small to say anything about one in a hundred.
std::optional<std::string> recorded_exchanges() {
  const char* const data = std::getenv("SIDECAST_DATA");
  const std::filesystem::path folder =
      data != nullptr ? data : std::string(SIDECAST_SOURCE_DIR) + "/../shared/data";
  const auto file = folder / "exchanges.jsonl.gz";
  if (!std::filesystem::exists(file)) return std::nullopt;
  return file.string();
}

using Tokens = std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>>;

// Writes the exchange, with the given body sizes at most, and reads its usage as the engine would.
class Ladder {
 public:
  explicit Ladder(std::uint64_t ring_bytes)
      : writer_(scratch_.path(), ring_bytes, 1),
        directory_(shm::open_directory(scratch_.path())),
        ring_(directory_->discover().at(0)) {}

  // `filler` goes before the request: bytes that nobody reads, to make the record too large.
  sidecast_status pass(const replay::Exchange& exchange, std::string_view filler, Tokens& tokens) {
    const sidecast_slice request[] = {{filler.data(), filler.size()},
                                      {exchange.request.data(), exchange.request.size()}};
    shm::SampleGeneration sample(exchange.id, exchange.request, exchange.response);
    sample.c.request = {request, 2};
    sample.c.http_status = exchange.http_status;
    sample.c.operation = shm::text(exchange.operation);
    sample.c.provider = shm::text(exchange.provider);
    sample.c.model_requested = shm::text(exchange.model);
    sample.c.endpoint = shm::text(exchange.url_path);
    const sidecast_status status = writer_.write(sample);
    const shm::Drained drained = shm::drain(*ring_);
    if (drained.records.size() != 1) return SIDECAST_INVALID;
    shm::RecordView view;
    EXPECT_EQ(shm::parse_record(drained.records[0], view), shm::RecordError::kNone);
    EXPECT_EQ(view.shed, status == SIDECAST_SHED);
    arena_.reset();
    const Trace trace = normaliser_.normalise(view, ring_->info().uuid, 0, {}, arena_);
    tokens = {trace.usage.input, trace.usage.output};
    return status;
  }

 private:
  shm::ScratchDirectory scratch_;
  shm::WriterHandle writer_;
  std::unique_ptr<shm::RingDirectory> directory_;
  std::shared_ptr<shm::Ring> ring_;
  Normaliser normaliser_;
  Arena arena_;
};

TEST(Shed, KeepsTheUsageOfAtLeast99AnswersInAHundred) {
  const auto file = recorded_exchanges();
  if (!file) {
    std::puts("!!!! no recorded exchanges: say where the data is with SIDECAST_DATA");
    GTEST_SKIP();
  }
  const auto exchanges = replay::Exchanges::load({*file});
  ASSERT_TRUE(exchanges) << exchanges.error().message();
  Ladder whole(64 << 20);
  Ladder tiny(256 << 10);
  const std::string filler(1 << 20, ' ');  // no room for it, whatever the exchange
  std::uint64_t with_usage = 0;
  std::uint64_t lost = 0;
  std::uint64_t shed_records = 0;
  for (std::size_t i = 0; i < exchanges->size(); ++i) {
    const replay::Exchange& exchange = (*exchanges)[i];
    Tokens before;
    Tokens after;
    ASSERT_EQ(whole.pass(exchange, {}, before), SIDECAST_OK) << exchange.id;
    ASSERT_EQ(tiny.pass(exchange, filler, after), SIDECAST_SHED) << exchange.id;
    ++shed_records;
    if (!before.first && !before.second) continue;
    ++with_usage;
    if (before != after) ++lost;
  }
  std::printf("%llu records shed, %llu of them with usage: %llu lost it (%.3f %%)\n",
              static_cast<unsigned long long>(shed_records),
              static_cast<unsigned long long>(with_usage), static_cast<unsigned long long>(lost),
              100.0 * static_cast<double>(lost) / static_cast<double>(with_usage));
  ASSERT_GT(with_usage, 0U);
  EXPECT_LT(lost * 100, with_usage);
}

}  // namespace
}  // namespace sidecast
