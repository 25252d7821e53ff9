#include "engine/fates/fate_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/fates/fate_log.h"

namespace sidecast::fates {
namespace {

template <typename T>
bool take(Bytes& from, T& to) {
  if (from.size() < sizeof to) return false;
  std::memcpy(&to, from.data(), sizeof to);
  from.remove_prefix(sizeof to);
  return true;
}

bool take(Bytes& from, std::size_t size, std::string& to) {
  if (from.size() < size) return false;
  to = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

template <typename T>
bool take(Bytes& from, std::size_t count, std::vector<T>& to) {
  if (from.size() / sizeof(T) < count) return false;
  to.resize(count);
  if (count > 0) std::memcpy(to.data(), from.data(), count * sizeof(T));
  from.remove_prefix(count * sizeof(T));
  return true;
}

// One section's events, from any offset that holds a whole one.
class SectionScan {
 public:
  SectionScan(Bytes section, std::uint64_t head, std::uint64_t seed)
      : section_(section), head_(head), seed_(seed) {}

  // Calls see(position, kind, body).
  template <typename See>
  void each(See see) const {
    for (std::size_t at = 0; at + sizeof(EventHeader) <= section_.size();) {
      EventHeader header{};
      std::memcpy(&header, section_.data() + at, sizeof header);
      const std::size_t size = std::size_t{header.words} * kAlignment;
      if (!is_event(header, at, size)) {
        at += kAlignment;
        continue;
      }
      see(header.position, header.kind, section_.substr(at + sizeof header, size - sizeof header));
      at += size;
    }
  }

 private:
  [[nodiscard]] bool is_event(const EventHeader& header, std::size_t at, std::size_t size) const {
    if (size < sizeof header || size > section_.size() - at) return false;
    if (header.position % section_.size() != at) return false;
    // Left over from an earlier lap, in the gap at the section's end.
    if (head_ > section_.size() && header.position < head_ - section_.size()) return false;
    const Bytes body = section_.substr(at + sizeof header, size - sizeof header);
    return header.checksum == checksum_of(header, body, seed_);
  }

  Bytes section_;
  std::uint64_t head_;
  std::uint64_t seed_;
};

bool parse_record(Bytes body, RecordEvent& event) {
  return take(body, event.body) && take(body, event.body.generation_bytes, event.generation_id) &&
         take(body, event.body.account_bytes, event.account) &&
         take(body, event.body.process_bytes, event.process) &&
         take(body, event.body.decisions, event.decisions);
}

template <typename Event>
std::int64_t time_of(const Event& event) {
  if constexpr (requires { event.body.read_ns; }) {
    return event.body.read_ns;
  } else if constexpr (requires { event.body.part; }) {
    return event.body.part.time_ns;
  } else if constexpr (requires { event.body; }) {
    return event.body.time_ns;
  } else {
    return event.part.time_ns;
  }
}

// Keeps what parses, and the time of it.
template <typename Event>
void keep(bool is_whole, Event event, std::vector<Event>& to, std::int64_t& oldest_ns) {
  if (!is_whole) return;
  const std::int64_t time_ns = time_of(event);
  if (oldest_ns == 0 || time_ns < oldest_ns) oldest_ns = time_ns;
  to.push_back(std::move(event));
}

template <typename Event>
void sort_by_time(std::vector<Event>& events) {
  std::stable_sort(events.begin(), events.end(),
                   [](const Event& a, const Event& b) { return time_of(a) < time_of(b); });
}

// Returns the time of its oldest event; 0 = it has none.
std::int64_t read_section(const SectionScan& section, History& history) {
  std::int64_t oldest_ns = 0;
  section.each([&](std::uint64_t, EventKind kind, Bytes body) {
    switch (kind) {
      case EventKind::kRecord: {
        RecordEvent event;
        const bool is_whole = parse_record(body, event);
        keep(is_whole, std::move(event), history.records, oldest_ns);
        break;
      }
      case EventKind::kBatch: {
        BatchEvent event;
        const bool is_whole = take(body, event.body) && take(body, event.body.count, event.keys);
        keep(is_whole, std::move(event), history.batches, oldest_ns);
        break;
      }
      case EventKind::kSent: {
        SentBody event{};
        const bool is_whole = take(body, event);
        keep(is_whole, event, history.sent, oldest_ns);
        break;
      }
      case EventKind::kAnswered: {
        AnsweredEvent event;
        const bool is_whole =
            take(body, event.body) && take(body, event.body.text_bytes, event.why);
        keep(is_whole, std::move(event), history.answered, oldest_ns);
        break;
      }
      case EventKind::kSettled: {
        SettledBody event{};
        const bool is_whole = take(body, event);
        keep(is_whole, event, history.settled, oldest_ns);
        break;
      }
    }
  });
  return oldest_ns;
}

Result<std::string> read_file(const std::string& path) {
  const auto error = [&path](std::string_view what) {
    return fail(fmt::format("{} {}: {}", what, path, std::generic_category().message(errno)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return error("open");
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<std::uint64_t>(info.st_size) > kFileBytesMax) {
    close(fd);
    return fail(path + " is no file of recent fates");
  }
  std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;  // cut short meanwhile
    done += static_cast<std::size_t>(count);
  }
  close(fd);
  bytes.resize(done);
  return bytes;
}

}  // namespace

Result<History> parse_fates(Bytes bytes) {
  struct Head {  // FatesHeader, without atomics
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t sections;
    std::uint64_t section_bytes;
    std::uint64_t ledger_epoch;
    std::uint64_t seed;
  } head{};
  static_assert(offsetof(FatesHeader, seed) == offsetof(Head, seed));
  Bytes rest = bytes;
  if (!take(rest, head) || head.magic != kMagic || head.version != kVersion) {
    return fail("it is no file of recent fates of this version");
  }
  const bool fits = head.sections >= 1 && head.sections <= kSectionsMax &&
                    head.section_bytes >= kSectionBytesMin && head.section_bytes <= kFileBytesMax &&
                    bytes.size() >= kSectionsAt + head.sections * head.section_bytes;
  if (!fits) return fail("the file of recent fates is damaged: its header does not fit its size");
  History history{.ledger_epoch = head.ledger_epoch, .seed = head.seed};
  for (std::uint32_t i = 0; i < head.sections; ++i) {
    std::uint64_t section_head = 0;
    std::memcpy(&section_head,
                bytes.data() + offsetof(FatesHeader, states) + i * sizeof(SectionState),
                sizeof section_head);
    const Bytes section = bytes.substr(kSectionsAt + i * head.section_bytes, head.section_bytes);
    const std::int64_t oldest_ns =
        read_section(SectionScan(section, section_head, head.seed), history);
    // A section that was never full reaches back to its beginning.
    const bool has_lost = section_head > head.section_bytes;
    if (has_lost) history.oldest_ns = std::max(history.oldest_ns, oldest_ns);
  }
  sort_by_time(history.records);
  sort_by_time(history.batches);
  sort_by_time(history.sent);
  sort_by_time(history.answered);
  sort_by_time(history.settled);
  return history;
}

Result<History> read_fates(const std::string& path) {
  auto bytes = read_file(path);
  if (!bytes) return fail(std::move(bytes.error()));
  return parse_fates(*bytes);
}

bool has_id(const RecordEvent& record, Text id, std::uint64_t seed) {
  const std::uint64_t hash = id_hash(id, seed);
  const RecordBody& body = record.body;
  if (hash != 0 && (body.generation == hash || body.session == hash || body.trace_text == hash)) {
    return true;
  }
  const auto as_sent = parse_trace_id(id);
  return (as_sent && as_sent->bytes == body.trace_id) || hash_trace_id(id).bytes == body.trace_id;
}

}  // namespace sidecast::fates
