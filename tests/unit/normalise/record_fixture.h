// A record to be normalised, and the arena and Normaliser that its Trace lives in.
#pragma once

#include <list>
#include <string>

#include "engine/normalise/normalise.h"

namespace sidecast {

class RecordFixture {
 public:
  // The Trace's texts are valid until the next call, itself for a few calls more.
  [[nodiscard]] Trace normalise() {
    constexpr std::size_t kTracesKept = 8;
    if (arenas_.size() == kTracesKept) arenas_.pop_front();
    return normaliser.normalise(record, ring, 3, options, arenas_.emplace_back(64U * 1024U));
  }
  [[nodiscard]] Trace normalise(Text request, Text response, Text operation = "chat") {
    record.request = request;
    record.response = response;
    record.operation = operation;
    return normalise();
  }

  shm::RecordView record;
  shm::RingUuid ring{0xAB, 0xCD};
  NormaliseOptions options;
  Normaliser normaliser;

 private:
  std::list<Arena> arenas_;
};

// All text of a message, part after part, each with the letter of its kind.
inline std::string show(const Message& message) {
  static constexpr char kLetters[] = "trxcRiavfo";
  std::string shown(message.role);
  for (const Part& part : message.parts) {
    shown += " ";
    shown += kLetters[static_cast<int>(part.kind)];
    if (!part.id.empty()) shown += "#" + std::string(part.id);
    if (!part.name.empty()) shown += " " + std::string(part.name);
    shown += "<" + std::string(part.text) + ">";
  }
  return shown;
}

}  // namespace sidecast
