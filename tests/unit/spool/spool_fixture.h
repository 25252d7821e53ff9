// Frames of a few records, and a spool with a ledger of its own.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/spool/spool.h"
#include "exporters/compress/compress.h"
#include "tests/support/temp_dir.h"

namespace sidecast::spool {

inline constexpr std::size_t kRecords = 3;

// What a frame's views point to.
struct Sample {
  explicit Sample(Compression codec = Compression::kGzip, std::size_t padding = 0) {
    for (std::size_t i = 0; i < kRecords; ++i) {
      encoded[i] = fmt::format("{{\"record\":{}{}}}", i, std::string(padding, ' '));
      ids[i] = fmt::format("gen-{}", i);
      FrameRecord record{.encoded_bytes = static_cast<std::uint32_t>(encoded[i].size()),
                         .fields = {}};
      record.fields.span_count = 2;
      record.fields.start_ns = 7;
      record.fields.sequence = i;
      record.fields.is_shrunk = i == 1;
      record.fields.generation_id = ids[i];
      record.fields.account = "acme";
      frame.records.push_back(record);
    }
    const std::vector<Bytes> pieces = {"[", encoded[0], ",", encoded[1], ",", encoded[2], "]}"};
    body = Compressor().compress(codec, pieces);
    frame.body = body;
    frame.form = {.frozen = true,
                  .compression = codec,
                  .prefix_bytes = 1,
                  .separator_bytes = 1,
                  .suffix_bytes = 2,
                  .encoder = "otlp_json",
                  .dialect = "generic",
                  .privacy = 0};
    frame.sealed_ns = unix_ns(wall_now());
  }
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;

  void for_destinations(std::size_t count) {
    frame.destinations.clear();
    for (std::size_t i = 0; i < count; ++i) {
      frame.destinations.push_back(destination_name(std::string(32, static_cast<char>('a' + i)),
                                                    fmt::format("d{}", i), "otlp"));
    }
  }

  std::array<std::string, kRecords> encoded;
  std::array<std::string, kRecords> ids;
  std::string body;
  NewFrame frame;
};

// One engine's view of a spool. A second one on the same directories is the next start.
class World {
 public:
  enum class Stage { kEmpty, kHoldsWhatWasReadBack };
  explicit World(const std::string& directory, const std::string& disk,
                 std::uint64_t limit_bytes = 64U << 20U, Stage stage = Stage::kEmpty)
      : ledger(open_ledger(directory)),
        redo(std::move(*stage::RedoLog::open(directory + "/redo", 1024))),
        spool({.directory = disk, .limit_bytes = limit_bytes}, directory + "/states", *ledger) {
    redo->recover({.ledger = ledger.get(),
                   .segment = [](stage::SegmentKey) { return nullptr; },
                   .ring = [](const shm::RingUuid&) { return nullptr; },
                   .spool_segment = [this](std::uint64_t id) { return spool.state_of(id); }});
    const Status opened = spool.open();
    EXPECT_TRUE(opened) << opened.error().message();
    Spool::Slots slots;
    for (const DestinationName& name : spool.named_destinations()) {
      const auto slot =
          ledger->find_or_add_destination(identity_of(name), name_of(name), type_of(name));
      if (slot) slots.emplace(identity_of(name), *slot);
    }
    found = spool.recover(slots, *redo);
    if (stage == Stage::kEmpty) spool.settle_recovered();
  }

  // The slot of Sample's i-th destination.
  DestinationIndex slot(std::size_t i) {
    return *ledger->find_or_add_destination(std::string(32, static_cast<char>('a' + i)),
                                            fmt::format("d{}", i), "otlp");
  }
  Result<FrameRef> write(const Sample& sample,
                         Spool::AtLimit at_limit = Spool::AtLimit::kDropOldest) {
    std::vector<DestinationIndex> slots;
    for (std::size_t i = 0; i < sample.frame.destinations.size(); ++i) slots.push_back(slot(i));
    return spool.write(sample.frame, slots, at_limit, *redo, wall_now());
  }
  // As batch/settle.h does.
  void commit(FrameRef ref, std::size_t destinations) {
    for (std::size_t i = 0; i < destinations; ++i) {
      auto& in = ledger->destination(slot(i)).spooled_in;
      redo->set_counter(*ledger, in, in.load() + kRecords);
      auto& routed = ledger->destination(slot(i)).route[0].routed;
      redo->set_counter(*ledger, routed, routed.load() + kRecords);
    }
    redo->set_spooled(spool.state_of(ref), ref.ordinal, (std::uint64_t{1} << destinations) - 1);
    redo->commit();
    spool.committed(ref);
  }
  FrameRef put(Sample& sample, std::size_t destinations = 1) {
    sample.for_destinations(destinations);
    const auto ref = write(sample);
    EXPECT_TRUE(ref) << ref.error().message();
    if (!ref) return {};
    commit(*ref, destinations);
    return *ref;
  }
  // Into the stage.
  void leave(FrameRef ref, std::uint64_t bits) {
    spool.note_left(*redo, ref, bits);
    redo->commit();
    spool.left(ref, bits);
  }
  // And out of it again, as batch/settle.h does.
  void give_back(FrameRef ref, std::uint64_t bits) {
    spool.begin_giving_back(ref, bits);
    for (std::size_t i = 0; i < 64; ++i) {
      if ((bits >> i & 1U) == 0) continue;
      auto& in = ledger->destination(slot(i)).spooled_in;
      redo->set_counter(*ledger, in, in.load() + kRecords);
    }
    redo->set_spooled(spool.state_of(ref), ref.ordinal,
                      spool.state_of(ref).pending(ref.ordinal) | bits);
    redo->commit();
    spool.end_giving_back(ref, bits, true);
  }
  void deliver(FrameRef ref, std::uint64_t bits) {
    spool.note_left(*redo, ref, bits);
    for (std::size_t i = 0; i < 64; ++i) {
      if ((bits >> i & 1U) == 0) continue;
      auto& delivered = ledger->destination(slot(i)).delivered;
      redo->set_counter(*ledger, delivered, delivered.load() + kRecords);
    }
    redo->commit();
    spool.left(ref, bits);
    spool.settled(ref, bits);
  }
  std::uint64_t spooled(std::size_t i) {
    const auto& d = ledger->destination(slot(i));
    return d.spooled_in.load() - d.spooled_out.load();
  }
  std::uint64_t dropped(std::size_t i, ledger::DropReason reason) {
    return ledger->destination(slot(i)).spool_dropped[static_cast<std::size_t>(reason)].load();
  }
  // routed = delivered + dropped + spooled, and the spool holds what the counters say.
  void expect_sums() {
    std::uint64_t records = 0;
    for (std::size_t i = 0; i < ledger->destination_count(); ++i) {
      const auto& d = ledger->destination(static_cast<DestinationIndex>(i));
      std::uint64_t ended = d.delivered.load();
      for (const auto& counter : d.spool_dropped) ended += counter.load();
      const std::uint64_t waiting = d.spooled_in.load() - d.spooled_out.load();
      EXPECT_EQ(d.route[0].routed.load() + d.adopted.load(), ended + waiting) << d.name.data();
      records += waiting;
    }
    EXPECT_EQ(spool.figures().records, records);
    EXPECT_EQ(ledger->header().ledger_mismatches.load(), 0U);
  }

  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<stage::RedoLog> redo;
  Spool spool;
  Spool::Recovered found;

 private:
  static std::unique_ptr<Ledger> open_ledger(const std::string& directory) {
    std::filesystem::create_directories(directory + "/states");
    return std::move(*Ledger::open(directory + "/ledger"));
  }
};

inline std::vector<std::string> segments_in(const std::string& disk) {
  return *files_of(disk, ".spool");
}

}  // namespace sidecast::spool
