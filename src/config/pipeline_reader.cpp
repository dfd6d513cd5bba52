#include "config/pipeline_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/nearest_name.h"
#include "config/environment.h"
#include "config/scalars.h"
#include "contracts/text_place.h"

namespace tributary {
namespace {

constexpr size_t secret_bytes_max = 64 * 1024;
constexpr size_t errors_max = 1000;
constexpr std::chrono::minutes checkpoint_interval_max{10};
constexpr uint64_t engine_memory_bytes_min = 128 << 20;

}  // namespace

PipelineReader::PipelineReader(std::string file, std::shared_ptr<const std::string> text, const LoadOptions& options)
    : file_(std::move(file)), options_(options), document_(std::move(text)) {
  pipeline.file = file_;
  pipeline.text = document_;
  line_starts_.push_back(0);
  for (size_t i = 0; i < document_->size(); ++i) {
    if ((*document_)[i] == '\n') line_starts_.push_back(i + 1);
  }
}

TextPlace PipelineReader::place(size_t offset) const {
  offset = std::min(offset, document_->size());
  auto line = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset) - 1;
  TextPlace in_line = place_at(std::string_view(*document_).substr(*line, offset - *line), offset - *line);
  return {static_cast<size_t>(line - line_starts_.begin()) + 1, in_line.column};
}

void PipelineReader::fail(const YamlNode& node, std::string message) {
  if (errors.size() < errors_max) errors.push_back({file_, place(node), std::move(message)});
}

std::vector<std::pair<const YamlNode*, const YamlNode*>> PipelineReader::named(const YamlNode& node,
                                                                               std::string_view what) {
  std::vector<std::pair<const YamlNode*, const YamlNode*>> result;
  if (node.kind == YamlNode::Kind::kNull) return result;
  if (node.kind != YamlNode::Kind::kMap) {
    fail(node, fmt::format("{} must be a map; write \"name: value\" lines below it", what));
    return result;
  }
  std::map<std::string, const YamlNode*> seen;
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const YamlNode& key = node.keys[i];
    auto [first, fresh] = seen.emplace(key.text, &key);
    if (!fresh) {
      fail(key, fmt::format("{}: \"{}\" is given twice, first in line {}; take one out", what, shown(key.text),
                            place(*first->second).line));
      continue;
    }
    result.emplace_back(&key, &node.values[i]);
  }
  return result;
}

PipelineReader::Members PipelineReader::members(const YamlNode& node, std::string_view what,
                                                std::initializer_list<std::string_view> keys) {
  Members result;
  std::vector<std::string> names(keys.begin(), keys.end());
  for (const auto& [key, value] : named(node, what)) {
    if (std::find(names.begin(), names.end(), key->text) == names.end()) {
      auto nearest = nearest_name(key->text, names);
      fail(*key, fmt::format("{}: unknown key \"{}\"; {}", what, shown(key->text),
                             nearest ? fmt::format("did you mean \"{}\"?", *nearest)
                                     : fmt::format("there are: {}", fmt::join(names, ", "))));
      continue;
    }
    result.emplace(key->text, value);
  }
  return result;
}

std::optional<std::string> PipelineReader::text(const YamlNode& node, std::string_view what) {
  if (node.kind != YamlNode::Kind::kScalar) {
    std::string_view is = node.kind == YamlNode::Kind::kNull   ? "it is empty"
                          : node.kind == YamlNode::Kind::kList ? "it is a list"
                                                               : "it is a map";
    fail(node, fmt::format("{} must be a text; {}: write one value behind the colon", what, is));
    return std::nullopt;
  }
  return substituted(node);
}

// ${env:NAME} and ${file:/path}, anywhere in the scalar; $${ stands for ${ itself.
std::optional<std::string> PipelineReader::substituted(const YamlNode& node) {
  std::string out;
  std::string_view rest = node.text;
  while (true) {
    size_t dollar = rest.find("${");
    if (dollar == std::string_view::npos) return out + std::string(rest);
    if (dollar > 0 && rest[dollar - 1] == '$') {
      out += std::string(rest.substr(0, dollar - 1)) + "${";
      rest.remove_prefix(dollar + 2);
      continue;
    }
    out += rest.substr(0, dollar);
    size_t close = rest.find('}', dollar);
    size_t colon = rest.find(':', dollar);
    if (close == std::string_view::npos || colon == std::string_view::npos || colon > close) {
      fail(node, "${ begins ${env:NAME} or ${file:/path}; write $${ for the characters themselves");
      return std::nullopt;
    }
    auto value = secret(node, rest.substr(dollar + 2, colon - dollar - 2),
                        std::string(rest.substr(colon + 1, close - colon - 1)));
    if (!value) return std::nullopt;
    out += *value;
    rest.remove_prefix(close + 1);
  }
}

std::optional<std::string> PipelineReader::secret(const YamlNode& node, std::string_view kind,
                                                  const std::string& name) {
  if (optional_secrets_) {
    std::error_code none;
    bool missing =
        (kind == "env" && !(options_.environment ? options_.environment(name) : environment_variable(name))) ||
        (kind == "file" && !(std::filesystem::is_regular_file(name, none) && std::ifstream(name).is_open()));
    if (missing) return std::string();
  }
  if (kind == "env") {
    auto value = options_.environment ? options_.environment(name) : environment_variable(name);
    if (!value) {
      fail(node, fmt::format("the environment variable {} is not set; set it, or write ${{file:/path}}", shown(name)));
    }
    return value;
  }
  if (kind != "file") {
    fail(node, fmt::format("${{{}:…}} is not known; there are ${{env:NAME}} and ${{file:/path}}", shown(kind)));
    return std::nullopt;
  }
  std::error_code unknown;
  if (std::filesystem::exists(name, unknown) && !std::filesystem::is_regular_file(name, unknown)) {
    // A pipe that nobody writes to would be waited for.
    fail(node, fmt::format("{} is no file; write the secret into one", shown(name)));
    return std::nullopt;
  }
  std::ifstream file(name, std::ios::binary);
  std::string value(secret_bytes_max + 1, '\0');
  file.read(value.data(), static_cast<std::streamsize>(value.size()));
  value.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (!file.is_open() || file.bad() || (value.empty() && !file.eof())) {
    fail(node, fmt::format("the file {} cannot be read; make it, and readable for this user", shown(name)));
    return std::nullopt;
  }
  if (value.size() > secret_bytes_max) {
    fail(node, fmt::format("the file {} is larger than {} bytes, which no secret is", shown(name), secret_bytes_max));
    return std::nullopt;
  }
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  return value;
}

void PipelineReader::count(const Members& members, const char* key, uint64_t& into) {
  value(members, key, into, parse_count, "a whole number like 20000");
}

void PipelineReader::count(const Members& members, const char* key, uint32_t& into, uint32_t max) {
  auto parse = [max](std::string_view text) -> std::optional<uint32_t> {
    auto number = parse_count(text);
    if (!number || *number == 0 || *number > max) return std::nullopt;
    return static_cast<uint32_t>(*number);
  };
  value(members, key, into, parse, fmt::format("a whole number from 1 to {}", max));
}

void PipelineReader::size(const Members& members, const char* key, uint64_t& into) {
  value(members, key, into, parse_size, "a size like 20GiB, 512MiB or a number of bytes");
}

void PipelineReader::duration(const Members& members, const char* key, std::chrono::milliseconds& into) {
  value(members, key, into, parse_duration, "a duration like 500ms, 30s, 5m, 2h or 7d");
}

void PipelineReader::duration(const Members& members, const char* key, std::optional<std::chrono::milliseconds>& into) {
  value(members, key, into, parse_duration, "a duration like 500ms, 30s, 5m, 2h or 7d");
}

void PipelineReader::flag(const Members& members, const char* key, bool& into) {
  auto parse = [](std::string_view text) -> std::optional<bool> {
    if (text == "true") return true;
    if (text == "false") return false;
    return std::nullopt;
  };
  value(members, key, into, parse, "true or false");
}

void PipelineReader::read(const YamlNode& root) {
  if (root.kind != YamlNode::Kind::kMap) {
    return fail(root, "a pipeline file is a map that begins with \"pipeline: NAME\"; `tributary init` writes one");
  }
  Members top = members(root, "the pipeline",
                        {"pipeline", "clients", "client_defaults", "domains", "views", "tests", "log", "process", "raw",
                         "analytics", "serve", "data"});
  auto find = [&](const char* key) -> const YamlNode* {
    auto found = top.find(key);
    return found == top.end() ? nullptr : found->second;
  };
  auto require = [&](const char* key, std::string_view example) {
    if (find(key) == nullptr) fail(root, fmt::format("\"{}:\" is missing; write {}", key, example));
    return find(key);
  };
  read_name(require("pipeline", "pipeline: shop"));
  read_clients(require("clients", "clients: with at least one client below"), find("client_defaults"));
  const YamlNode* domains = require("domains", "domains: with at least one domain below");
  read_domains(domains);
  read_views(find("views"));
  names_known = !pipeline.clients.empty() && !pipeline.domains.empty() && all_read(*domains, find("views"));
  read_tests(find("tests"));
  read_stages(top);
  read_serve(find("serve"));
  pipeline.data = "data";
  if (const YamlNode* data = find("data")) {
    auto path = text(*data, "data");
    // The operating system would end the name at a NUL, and take another folder than the one that is written here.
    bool is_folder = path && !path->empty() && path->find('\0') == std::string::npos;
    if (path && !is_folder) fail(*data, "data is a folder; write data: ./data");
    if (is_folder) pipeline.data = *path;
  }
  auto beside_file = std::filesystem::path(file_).parent_path() / pipeline.data;  // an absolute path stays
  pipeline.data = beside_file.lexically_normal().string();
}

bool PipelineReader::all_read(const YamlNode& domains, const YamlNode* views) const {
  std::set<std::string> known;
  for (const ViewConfig& view : pipeline.views) {
    if (view.sql.empty() || pipeline.domains.contains(view.name)) return false;
    known.insert(view.name);
  }
  auto is_domain = [&](const YamlNode& key) { return pipeline.domains.contains(key.text); };
  auto is_view = [&](const YamlNode& key) { return known.contains(key.text); };
  return std::ranges::all_of(domains.keys, is_domain) &&
         (views == nullptr || std::ranges::all_of(views->keys, is_view));
}

void PipelineReader::read_name(const YamlNode* node) {
  if (node == nullptr) return;
  auto name = text(*node, "pipeline");
  if (!name) return;
  if (!is_name(*name)) {
    return fail(*node, fmt::format("\"{}\" is no pipeline name; use a-z, 0-9 and _, at most 40, a letter first",
                                   shown(node->text)));
  }
  pipeline.name = *name;
}

// ---- stages

PipelineReader::Members PipelineReader::read_stage(const YamlNode* node, std::string_view what, StageTarget& target,
                                                   std::initializer_list<std::string_view> targets,
                                                   std::initializer_list<std::string_view> keys) {
  target.at = *targets.begin();
  if (node == nullptr) return {};
  target.place = place(*node);
  Members rest;
  const YamlNode* at = node;
  if (node->kind == YamlNode::Kind::kMap) {
    rest = members(*node, what, keys);
    auto found = rest.find("at");
    if (found == rest.end()) return rest;
    at = found->second;
  }
  auto given = text(*at, what);
  if (!given) return rest;
  target.place = place(*at);
  auto fits = [&](std::string_view known) {
    return known.ends_with("://") ? given->starts_with(known) && given->size() > known.size() : *given == known;
  };
  if (std::none_of(targets.begin(), targets.end(), fits)) {
    fail(*at, fmt::format("{}: \"{}\" is not known; there are: {}", what, shown(at->text), fmt::join(targets, ", ")));
  } else if (given->find("://") != std::string::npos) {
    std::string_view authority = std::string_view(*given).substr(given->find("://") + 3);
    size_t sign = authority.substr(0, authority.find('/')).rfind('@');
    if (sign != std::string_view::npos && authority.substr(0, sign).find(':') != std::string_view::npos) {
      fail(*at, fmt::format("{}: a password in the address would show in logs; take it out and write password: below",
                            what));
    }
  }
  target.at = *given;
  if (auto found = rest.find("password"); found != rest.end()) {
    if (auto password = text(*found->second, "password")) target.password = *password;
  }
  return rest;
}

void PipelineReader::read_stages(const Members& top) {
  auto find = [&](const char* key) -> const YamlNode* {
    auto found = top.find(key);
    return found == top.end() ? nullptr : found->second;
  };
  read_log(find("log"));

  Members process = read_stage(find("process"), "process", pipeline.process.target, {"native", "flink", "flink://"},
                               {"at", "password", "workers", "checkpoint_interval", "memory"});
  count(process, "workers", pipeline.process.workers, 1024);
  auto interval = [](std::string_view text) -> std::optional<std::chrono::milliseconds> {
    auto time = parse_duration(text);
    return time && *time <= checkpoint_interval_max ? time : std::nullopt;
  };
  value(process, "checkpoint_interval", pipeline.process.checkpoint_interval, interval,
        "a duration of at most 10m: nothing is queryable before the next checkpoint");
  size(process, "memory", pipeline.process.memory_bytes_max);

  Members raw =
      read_stage(find("raw"), "raw", pipeline.raw.target, {"embedded", "mongodb://"}, {"at", "password", "ttl"});
  duration(raw, "ttl", pipeline.raw.ttl);

  Members analytics =
      read_stage(find("analytics"), "analytics", pipeline.analytics.target,
                 {"embedded", "clickhouse://", "clickhouse+https://"}, {"at", "password", "memory", "threads"});
  auto memory = [](std::string_view text) -> std::optional<uint64_t> {
    auto bytes = parse_size(text);
    return bytes && *bytes >= engine_memory_bytes_min ? bytes : std::nullopt;
  };
  value(analytics, "memory", pipeline.analytics.memory_bytes_max, memory,
        "a size like 2GiB and of at least 128MiB, which the engine needs");
  count(analytics, "threads", pipeline.analytics.threads, 1024);
}

void PipelineReader::read_serve(const YamlNode* node) {
  if (node == nullptr) return;
  Members rest;
  const YamlNode* at = node;
  if (node->kind == YamlNode::Kind::kMap) {
    rest = members(*node, "serve", {"at"});
    if (!rest.contains("at")) return fail(*node, "serve: \"at:\" is missing; write at: 127.0.0.1:8080");
    at = rest["at"];
  }
  pipeline.serve.place = place(*at);
  auto given = text(*at, "serve");
  if (given && !parse_host_and_port(*given, pipeline.serve.host, pipeline.serve.port)) {
    fail(*at, fmt::format("serve: \"{}\" is no address; write 127.0.0.1:8080", shown(at->text)));
  }
}

}  // namespace tributary
