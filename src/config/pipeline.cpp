#include "config/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "base/utf8.h"
#include "config/pipeline_reader.h"
#include "config/yaml_tree.h"
#include "contracts/text_place.h"

namespace tributary {

std::string SourceUrl::identity() const {
  bool local = host == "localhost" || host == "127.0.0.1" || host == "::1" || host.empty();
  return fmt::format("{}://{}:{}/{}", scheme, local ? "localhost" : host, port, database);
}

std::string Pipeline::source_name(const ClientId& client) const {
  // Client ids and pipeline names have at most 40 characters; PostgreSQL's names at most 63.
  return fmt::format("tributary_{}_{}", name, client).substr(0, 63);
}

std::map<std::string, LogicalType> Pipeline::attribute_types() const {
  std::map<std::string, LogicalType> types;
  for (const auto& [id, client] : clients) {
    for (const auto& [name, value] : client.attributes) {
      auto [known, fresh] = types.emplace(name, value.type);
      if (!fresh) known->second = widen(known->second, value.type).value_or(LogicalType{TypeId::kText});
    }
  }
  for (auto& [name, type] : types) {
    if (type.id == TypeId::kBigDecimal) type = {TypeId::kText};
  }
  return types;
}

TextPlace Pipeline::place_in_file(const ViewConfig& view, TextPlace in_sql) const {
  if (view.sql_offsets.empty()) return view.place;
  size_t offset = std::min(offset_at(view.sql, in_sql), view.sql_offsets.size() - 1);
  return place_at(*text, view.sql_offsets[offset]);
}

TextPlace Pipeline::place_of(const ViewConfig& view, const std::string& key) const {
  auto found = view.places.find(key);
  return found == view.places.end() ? view.place : found->second;
}

std::variant<Pipeline, std::vector<FileError>> load_pipeline(const std::string& path, const LoadOptions& options) {
  std::error_code unknown;
  if (std::filesystem::exists(path, unknown) && !std::filesystem::is_regular_file(path, unknown)) {
    // It is read more than once, and a pipe that nobody writes to would be waited for.
    return std::vector<FileError>{
        {path, {}, "this is no file; save the pipeline as one: its lock file will stand beside it"}};
  }
  std::ifstream file(path, std::ios::binary);
  std::string content(yaml_bytes_max + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  content.shrink_to_fit();
  if (!file.is_open() || file.bad() || (content.empty() && !file.eof())) {
    return std::vector<FileError>{
        {path, {}, "the file cannot be read; is the path right, and readable for this user?"}};
  }
  return parse_pipeline(path, std::move(content), options);
}

std::variant<Pipeline, std::vector<FileError>> parse_pipeline(const std::string& path, std::string text,
                                                              const LoadOptions& options) {
  auto document = std::make_shared<const std::string>(std::move(text));
  auto parsed = parse_yaml(path, *document);
  if (auto* errors = std::get_if<std::vector<FileError>>(&parsed)) return std::move(*errors);
  PipelineReader reader(path, document, options);
  reader.read(std::get<YamlNode>(parsed));
  if (!reader.errors.empty() && reader.names_known && options.further) {
    for (FileError& error : options.further(reader.pipeline)) reader.errors.push_back(std::move(error));
  }
  sort_errors(reader.errors);
  sort_errors(reader.pipeline.notes);
  if (!reader.errors.empty()) return std::move(reader.errors);
  return std::move(reader.pipeline);
}

std::vector<FileError> not_built_yet(const Pipeline& pipeline) {
  std::vector<FileError> errors;
  auto refuse = [&](TextPlace place, std::string message) {
    errors.push_back({pipeline.file, place, std::move(message)});
  };
  auto stage = [&](const StageTarget& target, std::string_view built, std::string_view key) {
    if (target.at == built) return;
    std::string_view kind = std::string_view(target.at).substr(0, target.at.find("://"));
    refuse(target.place, fmt::format("{}: {} is not built yet; write {}: {}", key, kind, key, built));
  };
  if (pipeline.log.target.at.starts_with("kafka://")) {
    if (pipeline.log.retention_bytes_max != 0) {
      refuse(pipeline.log.target.place,
             "log: Kafka keeps bytes by partition; take retention_bytes out, and set retention.bytes on the topics");
    }
  } else {
    stage(pipeline.log.target, "embedded", "log");
  }
  stage(pipeline.process.target, "native", "process");
  if (!pipeline.raw.target.at.starts_with("mongodb://")) stage(pipeline.raw.target, "embedded", "raw");
  if (pipeline.raw.ttl) refuse(pipeline.raw.target.place, "raw: ttl is not built yet; take it out");
  for (const auto& [id, client] : pipeline.clients) {
    if (client.source.scheme != "postgresql" && client.source.scheme != "debezium+kafka") {
      refuse(client.place,
             fmt::format(
                 "client {}: {} sources are not built yet; for now a source is postgresql://… or debezium+kafka://…",
                 id, client.source.scheme));
    }
  }
  sort_errors(errors);
  return errors;
}

std::vector<FileError> without_effect(const Pipeline& pipeline) {
  std::vector<FileError> notes;
  auto note = [&](bool given, TextPlace place, std::string message) {
    if (given) notes.push_back({pipeline.file, place, std::move(message)});
  };
  bool embedded_log = pipeline.log.target.at == "embedded";
  note(embedded_log && pipeline.log.topics != LogConfig{}.topics, pipeline.log.target.place,
       "log: topics has no effect with log: embedded, whose topics have no names for others");
  note(embedded_log && pipeline.log.schemas, pipeline.log.target.place,
       "log: schemas has no effect with log: embedded, whose events are not JSON");
  note(pipeline.process.memory_bytes_max != 0, pipeline.process.target.place,
       fmt::format("process: memory has no effect with process: {}", pipeline.process.target.at));
  bool of_engine = pipeline.analytics.memory_bytes_max != 0 || pipeline.analytics.threads != 0;
  note(of_engine && pipeline.analytics.target.at != "embedded", pipeline.analytics.target.place,
       "analytics: memory and threads have no effect with a server of its own");
  for (const auto& [name, domain] : pipeline.domains) {
    note(domain.history && !pipeline.views.empty(), domain.place,
         fmt::format("domain {}: history has no effect where there are views; write it at a view of the domain", name));
  }
  note(!pipeline.serve.host.empty(), pipeline.serve.place,
       "serve has no effect yet: the gateway comes with a later version; `tributary query` asks as a client");
  for (const auto& [id, client] : pipeline.clients) {
    const ClientLimits& limits = client.limits;
    bool of_gateway =
        limits.queries_at_once != 0 || limits.query_memory_bytes_max != 0 || limits.query_time_max.count() != 0;
    note(
        of_gateway, client.place,
        fmt::format("client {}: limits of queries have no effect yet: they are the gateway's, which comes with a later "
                    "version",
                    id));
  }
  sort_errors(notes);
  return notes;
}

void append_attribute(Column& column, const Attributes& attributes, const std::string& name) {
  auto found = attributes.find(name);
  if (found == attributes.end()) return column.append_null();
  const std::string& text = found->second.text;
  auto number = [&]<typename T>(T value) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    CHECK(error == std::errc{} && end == text.data() + text.size(), "attribute {}", name);
    column.append_fixed(value);
  };
  switch (column.type().id) {
    case TypeId::kBool: return column.append_fixed<uint8_t>(text == "true" ? 1 : 0);
    case TypeId::kInt64: return number(int64_t{0});
    case TypeId::kFloat64: return number(double{0});
    case TypeId::kDecimal: {
      auto value = parse_decimal(text, column.type().precision, column.type().scale);
      CHECK(value.has_value(), "attribute {}", name);
      return column.append_fixed<Int128>(*value);
    }
    default: return column.append_bytes(text);
  }
}

}  // namespace tributary
