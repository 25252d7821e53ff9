// A destination type for tests of config and routing: one option of each sort, and a format that
// follows its options.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "exporters/exporter.h"

namespace sidecast::test {

inline constexpr std::array<Option, 5> kFakeOptions = {{
    {.name = "endpoint", .fallback = "", .help = "Where to send.", .required = true},
    {.name = "api_key",
     .fallback = "",
     .help = "Key of the project.",
     .secret = true,
     .required = true},
    {.name = "second_key", .fallback = "", .help = "Another key.", .secret = true},
    {.name = "project", .fallback = "default", .help = "Project name."},
    {.name = "compression", .fallback = "gzip", .help = "gzip or zstd."},
}};

class FakeExporter final : public Exporter {
 public:
  explicit FakeExporter(Compression compression) {
    static constexpr DialectEntry kDialect{"fake", nullptr};
    static constexpr Encoder kEncoder{.name = "fake_json",
                                      .content_type = "application/json",
                                      .write = nullptr,
                                      .shrink = nullptr,
                                      .prefix = "",
                                      .separator = "",
                                      .suffix = ""};
    format_.dialect = &kDialect;
    format_.encoder = &kEncoder;
    format_.compression = compression;
  }
  [[nodiscard]] const Format& format() const noexcept override { return format_; }
  [[nodiscard]] Result<std::vector<Request>> encode(std::shared_ptr<const Batch>) const override {
    return std::vector<Request>();
  }
  [[nodiscard]] Status authorise(Request&, const Secrets&, Timestamp) const override { return {}; }
  [[nodiscard]] Verdict judge(const Request&, const Response&, Timestamp) const override {
    return {};
  }
  [[nodiscard]] Request probe(Timestamp) const override { return {}; }

 private:
  Format format_;
};

inline Result<std::unique_ptr<const Exporter>> make_fake(const OptionValues& options) {
  if (!options.get("endpoint").starts_with("http")) {
    return fail("endpoint must be an http:// or https:// URL");
  }
  const Compression compression =
      options.get("compression") == "zstd" ? Compression::kZstd : Compression::kGzip;
  return std::make_unique<const FakeExporter>(compression);
}

inline constexpr Destination kFake{
    .name = "fake", .summary = "For tests.", .options = kFakeOptions, .make = &make_fake};
inline constexpr Destination kOther{
    .name = "other", .summary = "For tests, too.", .options = kFakeOptions, .make = &make_fake};
inline constexpr std::array<const Destination*, 2> kFakeTypes = {&kFake, &kOther};

}  // namespace sidecast::test
