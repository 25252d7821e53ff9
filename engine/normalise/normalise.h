// RecordView -> Trace: the only place that knows provider APIs. Never fails: a body that is not
// what it claims to be degrades to text, never to a lost record. One Normaliser per worker (it owns
// the JSON parsers); not thread-safe.
#pragma once

#include <memory>

#include "engine/model/trace.h"
#include "shm/reader.h"
#include "shm/record.h"

namespace sidecast {

struct NormaliseOptions {
  bool always_hash_trace_id = false;
  std::size_t id_characters_max = 128;  // of user and session ids
};

class Normaliser {
 public:
  Normaliser();
  ~Normaliser();
  Normaliser(const Normaliser&) = delete;
  Normaliser& operator=(const Normaliser&) = delete;

  // Views of the result live in `record`'s bytes, in `arena` and in this object: all valid until
  // the next call. `ring` and `lane` name a record that has no generation id.
  [[nodiscard]] Trace normalise(const shm::RecordView& record, const shm::RingUuid& ring,
                                std::uint32_t lane, const NormaliseOptions& options, Arena& arena);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sidecast
