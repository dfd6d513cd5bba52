#include "config/lock_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "contracts/text_place.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr int lock_format = 1;

std::string quoted(const std::string& text) { return json(text).dump(-1, ' ', false, json::error_handler_t::replace); }

// A member that is missing or of another kind: caught in lock_from_text.
struct Malformed {
  std::string message;
};

const json& member(const json& object, const char* name, json::value_t kind, const std::string& where) {
  auto found = object.find(name);
  bool fits = found != object.end() &&
              (found->type() == kind || (kind == json::value_t::number_unsigned && found->is_number_integer()));
  if (!fits) throw Malformed{fmt::format("{}: \"{}\" is missing or of the wrong kind", where, name)};
  return *found;
}

std::string text_member(const json& object, const char* name, const std::string& where) {
  return member(object, name, json::value_t::string, where).get<std::string>();
}

TableSchema table_from(const json& object, const std::string& where) {
  if (!object.is_object()) throw Malformed{where + ": is no object"};
  TableSchema schema;
  schema.table = text_member(object, "table", where);
  std::string image = text_member(object, "old_image", where);
  if (image != "key" && image != "full") throw Malformed{where + ": \"old_image\" is key or full"};
  schema.old_image = image == "full" ? OldImage::kFull : OldImage::kKey;
  for (const json& item : member(object, "columns", json::value_t::array, where)) {
    if (!item.is_object()) throw Malformed{where + ": a column is no object"};
    ColumnSchema column;
    column.name = text_member(item, "name", where);
    std::string type = text_member(item, "type", where);
    auto parsed = LogicalType::parse(type);
    if (!parsed)
      throw Malformed{fmt::format("{}: column {} has the type {}, which there is not", where, column.name, type)};
    column.type = *parsed;
    column.source_type = text_member(item, "source_type", where);
    column.may_be_absent = item.value("may_be_absent", json(false)) == json(true);
    schema.columns.push_back(std::move(column));
  }
  for (const json& name : member(object, "key", json::value_t::array, where)) {
    auto index = name.is_string() ? schema.find(name.get<std::string>()) : std::nullopt;
    if (!index) throw Malformed{where + ": \"key\" names no column"};
    schema.columns[*index].key = true;
    schema.key_columns.push_back(*index);
  }
  if (schema.key_columns.empty()) throw Malformed{where + ": \"key\" is empty"};
  return schema;
}

LockFile lock_from(const json& document) {
  LockFile lock;
  if (!document.is_object()) throw Malformed{"the file is no JSON object"};
  const json& format = member(document, "format", json::value_t::number_unsigned, "the file");
  if (format != json(lock_format)) {
    throw Malformed{fmt::format("format {} was written by another version of tributary; this one reads {}",
                                format.dump(), lock_format)};
  }
  lock.pipeline = text_member(document, "pipeline", "the file");
  for (const auto& [domain, clients] : member(document, "domains", json::value_t::object, "the file").items()) {
    if (!clients.is_object()) throw Malformed{domain + ": is no object"};
    auto& tables = lock.domains[domain];
    for (const auto& [client, table] : clients.items()) {
      tables.emplace(client, table_from(table, domain + "/" + client));
      auto as_it_fit = table.find("as_it_fit");
      if (as_it_fit != table.end()) {
        auto& before = lock.as_it_fit[domain][client];
        if (!as_it_fit->is_null()) before = table_from(*as_it_fit, domain + "/" + client + "/as_it_fit");
      }
      auto changed = table.find("changed");
      if (changed == table.end()) continue;
      if (!changed->is_number_unsigned()) throw Malformed{domain + "/" + client + ": \"changed\" is no number"};
      lock.changed[domain][client] = changed->get<uint64_t>();
    }
  }
  return lock;
}

uint64_t changed_of(const LockFile& lock, const std::string& domain, const std::string& client) {
  auto known = lock.changed.find(domain);
  if (known == lock.changed.end()) return 0;
  auto at = known->second.find(client);
  return at == known->second.end() ? 0 : at->second;
}

// Another table, key or type, or a new column; one that went does not count.
bool is_changed(const TableSchema& before, const TableSchema& now) {
  if (before.table != now.table || key_names(before) != key_names(now)) return true;
  return std::any_of(now.columns.begin(), now.columns.end(), [&](const ColumnSchema& column) {
    auto index = before.find(column.name);
    return !index || before.columns[*index].type != column.type;
  });
}

void append_table(std::string& out, const TableSchema& schema, uint64_t changed, std::string_view indent) {
  out += fmt::format("{}\"table\": {},\n", indent, quoted(schema.table));
  if (changed != 0) out += fmt::format("{}\"changed\": {},\n", indent, changed);
  out += fmt::format("{0}\"old_image\": \"{1}\",\n{0}\"key\": [", indent,
                     schema.old_image == OldImage::kFull ? "full" : "key");
  for (size_t i = 0; i < schema.key_columns.size(); ++i) {
    out += (i == 0 ? "" : ", ") + quoted(schema.columns[schema.key_columns[i]].name);
  }
  out += fmt::format("],\n{}\"columns\": [\n", indent);
  for (size_t i = 0; i < schema.columns.size(); ++i) {
    const ColumnSchema& column = schema.columns[i];
    out +=
        fmt::format("{}  {{ \"name\": {}, \"type\": \"{}\", \"source_type\": {}{} }}{}\n", indent, quoted(column.name),
                    column.type.to_string(), quoted(column.source_type),
                    column.may_be_absent ? ", \"may_be_absent\": true" : "", i + 1 < schema.columns.size() ? "," : "");
  }
  out += fmt::format("{}]", indent);
}

// Where the client's table does not fit: the one that did.
void append_as_it_fit(std::string& out, const LockFile& lock, const std::string& domain, const std::string& client) {
  auto marks = lock.as_it_fit.find(domain);
  if (marks == lock.as_it_fit.end()) return;
  auto before = marks->second.find(client);
  if (before == marks->second.end()) return;
  if (!before->second) {
    out += ",\n        \"as_it_fit\": null";
    return;
  }
  out += ",\n        \"as_it_fit\": {\n";
  append_table(out, *before->second, 0, "          ");
  out += "\n        }";
}

}  // namespace

std::vector<std::string> key_names(const TableSchema& schema) {
  std::vector<std::string> names;
  for (uint32_t index : schema.key_columns) names.push_back(schema.columns[index].name);
  return names;
}

void note_table(LockFile& lock, const LockFile& before, const std::string& domain, const std::string& client,
                TableSchema schema) {
  auto others = before.domains.find(domain);
  if (others != before.domains.end() && !others->second.empty()) {
    auto known = others->second.find(client);
    bool is_new = known == others->second.end() || known->second.table != schema.table;
    if (is_new || is_changed(known->second, schema)) {
      std::optional<TableSchema> until_now;
      if (!is_new) until_now = known->second;
      lock.as_it_fit[domain].try_emplace(client, std::move(until_now));
      uint64_t newest = 0;
      for (const auto& [other, table] : others->second) newest = std::max(newest, changed_of(before, domain, other));
      lock.changed[domain][client] = newest + 1;
    }
  }
  lock.domains[domain][client] = std::move(schema);
}

std::string lock_path(const std::string& pipeline_path) {
  return std::filesystem::path(pipeline_path).replace_extension(".lock").string();
}

std::string lock_to_text(const LockFile& lock) {
  std::string out = fmt::format("{{\n  \"format\": {},\n  \"pipeline\": {},\n  \"domains\": {{\n", lock_format,
                                quoted(lock.pipeline));
  size_t domains_left = lock.domains.size();
  for (const auto& [domain, clients] : lock.domains) {
    out += fmt::format("    {}: {{\n", quoted(domain));
    size_t clients_left = clients.size();
    for (const auto& [client, schema] : clients) {
      out += fmt::format("      {}: {{\n", quoted(client));
      append_table(out, schema, changed_of(lock, domain, client), "        ");
      append_as_it_fit(out, lock, domain, client);
      out += "\n";
      out += --clients_left > 0 ? "      },\n" : "      }\n";
    }
    out += --domains_left > 0 ? "    },\n" : "    }\n";
  }
  out += "  }\n}\n";
  return out;
}

std::variant<LockFile, std::vector<FileError>> lock_from_text(const std::string& path, std::string_view text) {
  auto fail = [&](TextPlace place, std::string message) {
    return std::vector<FileError>{
        {path, place, message + "; `tributary check --connect` writes the file anew, once it is moved away"}};
  };
  if (text.size() > lock_bytes_max) return fail({}, fmt::format("larger than {} bytes", lock_bytes_max));
  try {
    return lock_from(json::parse(text));
  } catch (const Malformed& malformed) {
    return fail({}, malformed.message);
  } catch (const json::parse_error& error) {
    return fail(place_at(text, error.byte == 0 ? 0 : error.byte - 1), "not JSON");
  } catch (const json::exception& error) {
    return fail({}, error.what());
  }
}

std::variant<std::optional<LockFile>, std::vector<FileError>> read_lock(const std::string& path) {
  std::error_code status;
  if (!std::filesystem::exists(path, status)) return std::optional<LockFile>();
  std::ifstream file(path, std::ios::binary);
  size_t bytes =
      static_cast<size_t>(std::min<std::uintmax_t>(std::filesystem::file_size(path, status), lock_bytes_max));
  std::string text(status ? 0 : bytes + 1, '\0');  // one more than is expected, to see a file that is too large
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (!file.is_open() || file.bad() || status) {
    return std::vector<FileError>{{path, {}, "the lock file cannot be read; make it readable for this user"}};
  }
  auto lock = lock_from_text(path, text);
  if (auto* errors = std::get_if<std::vector<FileError>>(&lock)) return std::move(*errors);
  return std::optional<LockFile>(std::move(std::get<LockFile>(lock)));
}

Status write_lock(const std::string& path, const LockFile& lock) {
  std::string text = lock_to_text(lock);
  {
    std::ifstream old(path, std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(old)), std::istreambuf_iterator<char>());
    if (old.is_open() && content == text) return {};
  }
  std::string temporary = path + ".new";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    std::remove(temporary.c_str());
    return Error{ErrorCode::kPermissionDenied,
                 fmt::format("{} cannot be written; is its folder writable, and the disk not full?", path)};
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) {
    std::remove(temporary.c_str());
    return Error{ErrorCode::kPermissionDenied, fmt::format("{} cannot be replaced: {}", path, error.message())};
  }
  return {};
}

}  // namespace tributary
