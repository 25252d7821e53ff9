#include "tools/sidecast/starter_config.h"

#include <cctype>

#include <fmt/format.h>

namespace sidecast {
namespace {

constexpr std::string_view kEngine =
    R"(# Configuration of sidecast: where the traces of this machine's gateways go.
#
# Check it with `sidecast validate FILE`, run it with `sidecastd --config FILE`. A line that begins
# with # and no blank is a setting at its default. Any value may hold ${env:NAME} and ${file:PATH};
# write $${ for a literal ${, and quote such values inside {...} and [...].

# Directory of the rings, shared with every gateway process.
#ring_dir: /dev/shm/sidecast

# What the engine may hold in memory for all destinations together.
#memory_limit: 512MiB

# Threads that encode and compress; 0 = one per CPU but one, at least one.
#workers: 0

# A batch is sent when it is full or this old.
#batch_age_max: 1s

# After SIGTERM, what is not delivered by then waits for the next start: in the spool, if there is
# one, else in memory.
#shutdown_deadline: 10s

# A batch that could not be delivered for so long is dropped, and counted as expired. With a spool
# the default is 24h.
#give_up_after: 5m

# User and session ids are cut to so many characters; `sidecast stats --json` counts them as ids_cut.
#id_characters_max: 128

# What `sidecast explain` remembers of recent records, a part of memory_limit: 16MiB or a thirty-second
# part of memory_limit, whichever is less, unless said otherwise; 0 = nothing.
#explain:
#  size: 16MiB

# Keys of sealed secrets, which `sidecast seal` makes; else $SIDECAST_SEAL_KEY_FILE, or systemd's
# credential sidecast-seal-key.
#seal_key_file: /etc/sidecast/seal-key

# Whether the engine's memory, with credentials and content in it, may be dumped and traced.
#core_dumps: false

# Private addresses that tenants' destinations may reach as well.
#egress: {allow: [10.1.0.0/16]}

# What outlives memory_limit, what waits for a dead destination for longer than `after`, and what
# SIGTERM could not deliver goes to disk, up to `limit`; then the oldest is dropped and counted. It
# survives a reboot; `sync: interval` or `always` makes it survive a power cut, too.
#spool:
#  dir: /var/lib/sidecast/spool
#  limit: 10GiB
#  after: 30s
#  sync: never

# What gateways follow when they open a ring. Sizes and lanes are their own choice unless set here;
# `enabled: false` switches every writer off at once.
#writers:
#  enabled: true
#  ring_size: 16MiB
#  lanes: 8
#  record_size_max: 4MiB

# One file per tenant (NAME.yaml), added, changed and removed while the engine runs. Each states its
# `account` (or `accounts`) and lists `destinations` like those below, which get records of these
# accounts only, are called NAME/..., and may not reach private addresses.
#destinations_dir: /etc/sidecast/tenants.d

# Each destination receives every record that its accounts, keys and sampling let through. Besides
# the options of its type, each one may have these:
#
#     enabled: true
#     accounts: [acme]                  only records of these accounts; without it, of all
#     api_keys: {include: [team-a], exclude: [team-b]}      ids or names of gateway API keys
#     regions: [europe]                 where it was served: europe, us, global, a region's name
#     filter_rules: {groups: [{rules: [{field: model, operator: contains, value: gpt}]}]}
#     sampling_rate: 0.25               share of sessions, 0.0001 to 1; a session is never split
#     sampling_salt: other              keeps other sessions than destinations without it
#     privacy_mode: true                no content leaves: no prompts, answers or error texts
#     privacy_keep: [tier]              attributes that may leave all the same
#     headers: {X-Scope: blue}          sent with every request
#     timeout: 30s
#     connections: 4                    at most, at once
#     ca_file: /etc/ssl/own-ca.pem      instead of the system's certificates
#     client_cert_file: /etc/ssl/me.pem and client_key_file, for servers that ask who calls
#     proxy: http://proxy.example:3128  with no_proxy: [host] and proxy_credentials: user:password
destinations:
)";

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    c = std::isalnum(static_cast<unsigned char>(c)) != 0
            ? static_cast<char>(std::toupper(static_cast<unsigned char>(c)))
            : '_';
  }
  return result;
}

// A YAML scalar that reads back as `text`: plain where that is safe, else in single quotes.
std::string yaml_scalar(std::string_view text) {
  std::string escaped;
  bool is_plain = !text.empty();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_word = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/';
    const bool is_safe_inside = i > 0 && std::string_view("_.-").find(c) != std::string_view::npos;
    const bool is_url_colon = c == ':' && text.substr(i).starts_with("://");
    const bool is_port_colon = c == ':' && i + 1 < text.size() &&
                               std::isdigit(static_cast<unsigned char>(text[i + 1])) != 0;
    if (!is_word && !is_safe_inside && !is_url_colon && !is_port_colon) is_plain = false;
    if (c == '\'') escaped += '\'';
    if (text.substr(i).starts_with("${")) escaped += '$';
    escaped += c;
  }
  return is_plain ? escaped : fmt::format("'{}'", escaped);
}

void add_option(const StarterDestination& destination, const Option& option, std::string& text) {
  const auto given = destination.values.find(option.name);
  std::string value;
  if (option.secret) {
    value = fmt::format("${{env:{}_{}}}", upper(destination.type->name), upper(option.name));
  } else if (given != destination.values.end()) {
    value = yaml_scalar(given->second);
  } else {
    const bool is_unknown = option.required && option.fallback.empty();
    value = yaml_scalar(is_unknown ? kStarterPlaceholder : option.fallback);
  }
  const bool is_set = option.required || given != destination.values.end();
  text += fmt::format("    # {}\n", option.help);
  text += fmt::format("{}{}: {}\n", is_set ? "    " : "    #", option.name, value);
}

void add_destination(const StarterDestination& destination, std::string& text) {
  const Destination& type = *destination.type;
  text += fmt::format("  # {}\n", type.summary);
  text += fmt::format("  - name: {0}\n    type: {0}\n", type.name);
  // What must be set stands first, where it is seen.
  for (const bool wanted : {true, false}) {
    for (const Option& option : type.options) {
      const bool is_set = option.required || destination.values.contains(option.name);
      if (is_set == wanted) add_option(destination, option, text);
    }
  }
}

}  // namespace

std::string starter_config(std::span<const StarterDestination> destinations) {
  std::string text(kEngine);
  for (const StarterDestination& destination : destinations) {
    if (&destination != &destinations.front()) text += '\n';
    add_destination(destination, text);
  }
  return text;
}

}  // namespace sidecast
