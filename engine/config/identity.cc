#include "engine/config/identity.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "engine/base/assert.h"
#include "engine/base/bytes.h"
#include "engine/base/sha256.h"

namespace sidecast {
namespace {

// A canonical serialisation: every text with its length and every list with its count before it, so
// that no two different settings give the same bytes.
class Canonical {
 public:
  // Names the layout: a change of it must change every hash.
  explicit Canonical(Text layout) { add(layout); }

  void add(std::uint64_t value) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      bytes_.push_back(static_cast<char>(value >> shift & 0xFFU));
    }
  }
  void add(Text text) {
    add(std::uint64_t{text.size()});
    bytes_ += text;
  }
  void add(const std::vector<std::string>& texts) {
    add(std::uint64_t{texts.size()});
    for (const std::string& text : texts) add(Text(text));
  }
  template <typename Pairs>
  void add_pairs(const Pairs& pairs) {
    add(std::uint64_t{pairs.size()});
    for (const auto& [name, value] : pairs) {
      add(Text(name));
      add(Text(value));
    }
  }

  [[nodiscard]] std::string hash() const {
    constexpr std::size_t kHashBytes = 16;
    return to_hex(as_bytes(sha256(bytes_)).substr(0, kHashBytes));
  }

 private:
  std::string bytes_;
};

void add_privacy(Canonical& canonical, const DestinationConfig& destination) {
  canonical.add(std::uint64_t{destination.privacy_mode});
  // Without privacy mode the list does nothing and keeps nobody apart.
  canonical.add(destination.privacy_mode ? destination.privacy_keep : std::vector<std::string>());
}

void add_dialect_options(Canonical& canonical, const DialectOptions& options) {
  canonical.add_pairs(options.resource);
  canonical.add(std::uint64_t{options.always_hash_trace_id});
  canonical.add(std::uint64_t{options.shared_roots});
  canonical.add(static_cast<std::uint64_t>(options.tree));
  canonical.add(static_cast<std::uint64_t>(options.gen_ai_names));
  canonical.add(std::uint64_t{options.flat_metadata});
  canonical.add(std::uint64_t{options.generation_metadata});
  canonical.add(std::uint64_t{options.caps.name_bytes_max});
  canonical.add(std::uint64_t{options.caps.value_bytes_max});
  canonical.add(std::uint64_t{options.caps.list_values_max});
  canonical.add(std::uint64_t{options.caps.count_max});
}

void add_filter(Canonical& canonical, const FilterRules& filter) {
  canonical.add(static_cast<std::uint64_t>(filter.logic));
  canonical.add(std::uint64_t{filter.groups.size()});
  for (const FilterGroup& group : filter.groups) {
    canonical.add(static_cast<std::uint64_t>(group.logic));
    canonical.add(std::uint64_t{group.rules.size()});
    for (const FilterRule& rule : group.rules) {
      canonical.add(static_cast<std::uint64_t>(rule.field));
      canonical.add(static_cast<std::uint64_t>(rule.compare));
      canonical.add(Text(rule.text));
      canonical.add(std::bit_cast<std::uint64_t>(rule.number));
    }
  }
}

}  // namespace

std::string group_hash(const DestinationConfig& destination) {
  SIDECAST_ASSERT(destination.exporter != nullptr);
  const Format& format = destination.exporter->format();
  SIDECAST_ASSERT(format.dialect != nullptr);
  SIDECAST_ASSERT(format.encoder != nullptr);
  Canonical canonical("group 3");
  canonical.add(destination.accounts);
  canonical.add(destination.api_keys_include);
  canonical.add(destination.api_keys_exclude);
  canonical.add(destination.regions);
  add_filter(canonical, destination.filter_rules);
  canonical.add(std::bit_cast<std::uint64_t>(destination.sampling_rate));
  canonical.add(Text(destination.sampling_rate < 1.0 ? Text(destination.sampling_salt) : Text()));
  add_privacy(canonical, destination);
  canonical.add(format.dialect->name);
  canonical.add(format.encoder->name);
  add_dialect_options(canonical, format.dialect_options);
  canonical.add(static_cast<std::uint64_t>(format.compression));
  canonical.add(std::uint64_t{format.whole_batch});
  canonical.add(std::uint64_t{format.hash_records});
  canonical.add(std::uint64_t{format.hash_body});
  canonical.add(format.prefix());
  canonical.add(format.suffix());
  canonical.add(std::uint64_t{format.limits.batch_records_max});
  canonical.add(std::uint64_t{format.limits.batch_spans_max});
  canonical.add(format.limits.batch_bytes_max);
  return canonical.hash();
}

std::string identity_hash(const DestinationConfig& destination,
                          std::span<const std::string> secret_headers) {
  SIDECAST_ASSERT(destination.type != nullptr);
  Canonical canonical("identity 3");
  canonical.add(Text(destination.name));
  canonical.add(destination.type->name);
  canonical.add(destination.accounts);
  add_privacy(canonical, destination);
  const auto& options = destination.type->options;
  for (const auto& [name, value] : destination.options.values) {
    const auto option = std::find_if(options.begin(), options.end(),
                                     [&key = name](const Option& one) { return one.name == key; });
    if (option != options.end() && option->tuning) continue;
    canonical.add(Text(name));
    canonical.add(Text(value));
  }
  canonical.add(Text());  // the options' end: none has an empty name
  canonical.add(std::uint64_t{destination.secret_headers.size()});
  for (const auto& [name, value] : destination.secret_headers) canonical.add(Text(name));
  canonical.add(std::uint64_t{destination.options.headers.size()});
  for (const auto& [name, value] : destination.options.headers) {
    const bool is_secret =
        std::find(secret_headers.begin(), secret_headers.end(), name) != secret_headers.end();
    canonical.add(Text(name));
    canonical.add(std::uint64_t{is_secret});
    canonical.add(is_secret ? Text() : Text(value));
  }
  return canonical.hash();
}

}  // namespace sidecast
