// The settings page: what the operator wants of every writer, published by the engine as one small
// file in the ring directory and read by a writer whenever it makes a ring. The off switch works on
// rings that exist already through RingHeader::control, so that a write needs no second mapping.
#pragma once

#include <cstdint>
#include <string>

#include "shm/layout.h"

namespace sidecast::shm {

enum class SettingsRead : std::uint8_t {
  kRead,
  kAbsent,   // no page, or one that does not belong to the directory's owner
  kVersion,  // the engine does not read rings of our layout version
};

// Writer. `directory` is an open descriptor (O_PATH will do). Absent leaves `page` zeroed.
[[nodiscard]] SettingsRead read_settings(int directory, SettingsPage& page) noexcept;

// Engine. Leaves a page that says the same alone. False, with the reason in `error`, if the page
// could not be written.
[[nodiscard]] bool publish_settings(int directory, const SettingsPage& page, std::string& error);

}  // namespace sidecast::shm
