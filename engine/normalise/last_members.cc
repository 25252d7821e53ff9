#include "engine/normalise/last_members.h"

namespace sidecast {

void LastMembers::set(const JsonMember& member, Reading& reading) {
  if (member.value.is_present()) {
    set(reading.text(member.key_value), reading.json(member.value));
  }
}

void LastMembers::set(Text key, Text json) {
  for (Entry& entry : members_) {
    if (entry.key != key) continue;
    entry.json = json;
    return;
  }
  if (members_.size() < kMax) members_.push_back({key, json});
}

void LastMembers::write(JsonWriter& out) const {
  for (const Entry& entry : members_) out.key(entry.key).raw(entry.json);
}

}  // namespace sidecast
