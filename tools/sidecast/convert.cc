// sidecast convert: what a destination would get for recorded exchanges. The same code as the
// engine's from the decoded record on, with nothing sent: for people who debug a mapping.
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "engine/base/utf8.h"
#include "engine/config/config.h"
#include "engine/normalise/normalise.h"
#include "exporters/destinations/options.h"
#include "exporters/registry.h"
#include "exporters/write.h"
#include "tools/receiver/span_lines.h"
#include "tools/replay/exchanges.h"
#include "tools/replay/player.h"
#include "tools/sidecast/commands.h"
#include "tools/sidecast/terminal.h"

namespace sidecast {
namespace {

struct ConvertOptions {
  std::vector<std::string> files;
  std::string dialect;
  std::string encoding;
  bool privacy = false;
  std::vector<std::string> privacy_keep;
  std::string type = "otlp";
  std::vector<std::string> set;  // option=value
  std::string config_file;
  std::string destination;
  std::string id;
  std::uint64_t limit = 0;  // 0 = all
  std::string trace_json;
  std::string attributes_json;
  std::string user;
  std::string session;
  std::int64_t end_ns = 0;  // 0 = now
  bool lines = false;
  bool raw = false;
};

// How the records are written, and what keeps that alive.
struct Form {
  std::shared_ptr<const Exporter> exporter;
  Format format;
  bool privacy = false;
  std::vector<std::string> privacy_keep;
};

// ---- Which form -------------------------------------------------------------------------------

Result<Form> form_of_config(const ConvertOptions& options) {
  Result<Config> config = load_config(options.config_file);
  if (!config) return fail(config.error());
  for (const DestinationConfig& destination : config->destinations) {
    if (destination.name != options.destination) continue;
    return Form{destination.exporter, destination.exporter->format(), destination.privacy_mode,
                destination.privacy_keep};
  }
  return fail("--destination: " + options.config_file + " has no destination named '" +
              options.destination + "'");
}

// A destination of that type with the options given, and harmless words where it needs more.
Result<Form> form_of_type(const ConvertOptions& options) {
  const Destination* const type = find_destination_type(options.type);
  if (type == nullptr) {
    std::vector<std::string_view> names;
    for (const Destination* known : destination_types()) names.push_back(known->name);
    return fail("--type: '" + options.type + "' is no destination type" +
                did_you_mean(options.type, names));
  }
  OptionValues values;
  std::vector<std::string_view> names;
  for (const Option& option : type->options) {
    names.push_back(option.name);
    if (option.secret) continue;
    std::string value(option.fallback);
    if (option.required && value.empty()) {
      value = option.name == "endpoint" ? "http://localhost" : "example";
    }
    values.values[std::string(option.name)] = std::move(value);
  }
  for (const std::string& pair : options.set) {
    const std::size_t equals = pair.find('=');
    const std::string name = pair.substr(0, equals);
    const auto found = values.values.find(name);
    if (equals == std::string::npos) return fail("--set: '" + pair + "' is not option=value");
    if (found == values.values.end()) {
      return fail("--set: " + std::string(type->name) + " has no option '" + name + "'" +
                  did_you_mean(name, names));
    }
    found->second = pair.substr(equals + 1);
  }
  Result<std::unique_ptr<const Exporter>> exporter = type->make(values);
  if (!exporter) return fail(exporter.error());
  Form form;
  form.exporter = std::move(*exporter);
  form.format = form.exporter->format();
  return form;
}

template <typename Entry>
Result<const Entry*> choose(const char* option, const std::string& name,
                            std::span<const Entry> known) {
  std::vector<std::string_view> names;
  for (const Entry& entry : known) {
    if (entry.name == name) return &entry;
    names.push_back(entry.name);
  }
  std::string all;
  for (const std::string_view each : names) all += (all.empty() ? "" : ", ") + std::string(each);
  return fail(fmt::format("{}: '{}' is none of {}{}", option, name, all,
                          did_you_mean(name, std::span<const std::string_view>(names))));
}

Result<Form> choose_form(const ConvertOptions& options) {
  Result<Form> form = options.config_file.empty() ? form_of_type(options) : form_of_config(options);
  if (!form) return form;
  if (!options.dialect.empty()) {
    const auto dialect = choose("--dialect", options.dialect, dialects());
    if (!dialect) return fail(dialect.error());
    form->format.dialect = *dialect;
  }
  if (!options.encoding.empty()) {
    const auto encoder = choose("--encoding", options.encoding, encoders());
    if (!encoder) return fail(encoder.error());
    form->format.encoder = *encoder;
  }
  if (options.privacy) form->privacy = true;
  form->privacy_keep.insert(form->privacy_keep.end(), options.privacy_keep.begin(),
                            options.privacy_keep.end());
  return form;
}

// ---- Records ------------------------------------------------------------------------------------

// As `sidecast replay` would write it, but with the exchange's id as it stands in the file.
shm::RecordView record_of(const replay::Exchange& exchange, const ConvertOptions& options) {
  const auto either = [](const std::string& given, std::string_view recorded) {
    return given.empty() ? recorded : std::string_view(given);
  };
  shm::RecordView record;
  record.generation_id = exchange.id;
  record.session_id = either(options.session, exchange.session);
  record.user_id = options.user;
  record.trace_json = options.trace_json;
  record.attributes_json = options.attributes_json;
  record.operation = exchange.operation;
  record.provider = exchange.provider;
  record.model_requested = exchange.model;
  record.endpoint = exchange.url_path;
  record.http_status = exchange.http_status;
  record.request = exchange.request;
  record.response = exchange.response;
  const std::int64_t duration_ns = replay::duration_of(exchange).count();
  record.end_ns = options.end_ns != 0 ? options.end_ns : unix_ns(wall_now());
  record.start_ns = record.end_ns - duration_ns;
  if (exchange.is_stream) record.first_token_ns = record.start_ns + duration_ns / 5;
  return record;
}

// ---- Output -------------------------------------------------------------------------------------

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_pretty(std::string_view json) {
  const auto value = nlohmann::ordered_json::parse(json, nullptr, false);
  if (value.is_discarded()) {  // lines for people, or what gets its head when it is sent
    print(json);
    print("\n");
    return;
  }
  // Texts were checked before: the replacement is for bytes that a hostile input got past us.
  print(value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

// The body of a request that holds this record alone.
std::string body_of(const Encoder& encoder, Bytes record) {
  return std::string(encoder.prefix) + std::string(record) + std::string(encoder.suffix);
}

// One record as a person or a script wants it; --raw is written by convert() itself.
Status show(const Encoder& encoder, Bytes record, bool lines) {
  const std::string body = body_of(encoder, record);
  const bool is_protobuf = encoder.content_type == "application/x-protobuf";
  if (!lines && !is_protobuf) {
    print_pretty(body);
    return {};
  }
  if (encoder.name == "trace_json") {
    print(body + "\n");
    return {};
  }
  const auto request = receiver::decode_export_request(
      is_protobuf ? receiver::Encoding::kProtobuf : receiver::Encoding::kJson, body);
  if (!request) return fail("read back what was written: " + request.error().message);
  ByteBuffer out;
  receiver::append_span_lines(*request, {}, receiver::count_spans(*request), out);
  if (lines) {
    print(out.view());
    return {};
  }
  Text rest = out.view();
  for (std::size_t end = 0; (end = rest.find('\n')) != Text::npos; rest.remove_prefix(end + 1)) {
    print_pretty(rest.substr(0, end));
  }
  return {};
}

Status convert(const replay::Exchanges& exchanges, const Form& form,
               const ConvertOptions& options) {
  const Encoder& encoder = *form.format.encoder;
  Normaliser normaliser;
  Arena arena;
  ByteBuffer bytes;
  std::uint64_t shown = 0;
  for (std::size_t i = 0; i < exchanges.size(); ++i) {
    if (!options.id.empty() && exchanges[i].id != options.id) continue;
    arena.reset();
    bytes.clear();
    const shm::RecordView record = record_of(exchanges[i], options);
    const Trace trace = normaliser.normalise(record, {}, 0, NormaliseOptions{}, arena);
    write_record(trace, form.format, {.enabled = form.privacy, .keep = &form.privacy_keep}, arena,
                 bytes);
    if (options.raw) {
      print(shown == 0 ? encoder.prefix : encoder.separator);
      print(bytes.view());
    } else if (Status status = show(encoder, bytes.view(), options.lines); !status) {
      return fail(std::move(status.error()).with(std::string(exchanges[i].id)));
    }
    ++shown;
  }
  if (shown == 0)
    return fail(options.id.empty() ? "the files hold no exchange"
                                   : "no exchange has the id '" + options.id + "'");
  if (options.raw) print(encoder.suffix);
  return {};
}

int run_convert(const ConvertOptions& options) {
  const Result<Form> form = choose_form(options);
  if (!form) {
    print_error("convert: " + form.error().message());
    return kExitUsage;
  }
  const std::size_t limit =
      options.limit == 0 ? std::numeric_limits<std::size_t>::max() : options.limit;
  const Result<replay::Exchanges> exchanges = replay::Exchanges::load(options.files, limit);
  if (!exchanges) {
    print_error("convert: " + exchanges.error().message());
    return kExitFailed;
  }
  const Status done = convert(*exchanges, *form, options);
  if (!done) print_error("convert: " + done.error().message());
  return done ? kExitDone : kExitFailed;
}

}  // namespace

void add_convert(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App* const command = app.add_subcommand(
      "convert",
      "Print what a destination would get for recorded exchanges, and send nothing: readable "
      "JSON,\n"
      "protobuf as the spans a receiver reads from it. What is printed is content unless --privacy "
      "is\n"
      "given.");
  command
      ->add_option("FILE", options->files, "JSON Lines of exchanges, plain or .gz, as for replay")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--dialect", options->dialect, "Which attributes; else as the type says");
  command->add_option("--encoding", options->encoding,
                      "otlp_protobuf, otlp_json or trace_json; else as the type says");
  command->add_flag("--privacy", options->privacy, "As in privacy mode: without content");
  command
      ->add_option("--privacy-keep", options->privacy_keep, "An attribute that stays all the same")
      ->allow_extra_args(false);
  CLI::Option* const type =
      command
          ->add_option("--type", options->type, "A destination type, for its defaults and limits")
          ->capture_default_str();
  CLI::Option* const set = command
                               ->add_option("--set", options->set,
                                            "An option of the destination, e.g. tree=openrouter or "
                                            "attribute_bytes_max=4095")
                               ->allow_extra_args(false);
  CLI::Option* const config =
      command->add_option("--config", options->config_file, "The engine's config")
          ->check(CLI::ExistingFile)
          ->excludes(type)
          ->excludes(set);
  CLI::Option* const destination = command->add_option("--destination", options->destination,
                                                       "Exactly as this destination of --config");
  config->needs(destination);
  destination->needs(config);
  command->add_option("--id", options->id, "Only the exchange with this id");
  command->add_option("--limit", options->limit, "Only the first N exchanges")
      ->check(CLI::PositiveNumber);
  command->add_option("--trace", options->trace_json,
                      "A `trace` object that came with each request");
  command->add_option("--attributes", options->attributes_json,
                      "Attributes that the gateway wrote with each record: a JSON object");
  command->add_option("--user", options->user, "User of the requests");
  command->add_option("--session", options->session, "Session of the requests; else as recorded");
  command->add_option("--end-ns", options->end_ns,
                      "When the requests ended, unix nanoseconds; else now");
  CLI::Option* const lines = command->add_flag("--lines", options->lines,
                                               "One span a line, as 'sidecast sink' writes them");
  command
      ->add_flag("--raw", options->raw,
                 "The very bytes, all records in one request body, e.g. for curl")
      ->excludes(lines);
  command->callback([options, &exit_code] { exit_code = run_convert(*options); });
}

}  // namespace sidecast
