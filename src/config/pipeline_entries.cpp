// The parts of PipelineReader that read what the user names: clients, domains, views, tests.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/nearest_name.h"
#include "config/pipeline_reader.h"
#include "config/scalars.h"

namespace tributary {
namespace {

constexpr std::string_view name_form = "use a-z, 0-9 and _, at most 40, a letter first";

// Databases of the analytics engine's own.
constexpr std::string_view reserved_clients[] = {"system", "default", "information_schema", "tributary"};

constexpr size_t attributes_max = 200;

std::string missing(const std::string& wanted, const std::vector<std::string>& names) {
  if (auto nearest = nearest_name(wanted, names)) return fmt::format("did you mean \"{}\"?", *nearest);
  return fmt::format("there are: {}", fmt::join(names, ", "));
}

}  // namespace

void PipelineReader::read_clients(const YamlNode* clients, const YamlNode* defaults) {
  ClientConfig shared;
  if (defaults != nullptr) {
    read_client_members(members(*defaults, "client_defaults",
                                {"source", "password", "attributes", "limits", "verify_source", "verify_password"}),
                        shared);
  }
  if (clients == nullptr) return;
  auto entries = named(*clients, "clients");
  if (entries.empty() && clients->kind != YamlNode::Kind::kScalar && clients->kind != YamlNode::Kind::kList) {
    fail(*clients, "there are no clients; write one: acme: { source: postgresql://user@host/database }");
  }
  for (const auto& [key, value] : entries) read_client(*key, *value, shared);
  check_shared_databases();
}

void PipelineReader::read_client(const YamlNode& key, const YamlNode& node, const ClientConfig& defaults) {
  std::string what = fmt::format("client {}", shown(key.text));
  if (!is_name(key.text)) {
    fail(key, fmt::format("\"{}\" is no client id; {}", shown(key.text), name_form));
  } else if (std::find(std::begin(reserved_clients), std::end(reserved_clients), key.text) !=
             std::end(reserved_clients)) {
    fail(key, fmt::format("\"{}\" is a database of the analytics engine's own; choose another client id", key.text));
  }
  ClientConfig client = defaults;
  client.id = ClientId(key.text);
  client.place = place(key);
  Members values =
      members(node, what, {"source", "password", "attributes", "limits", "verify_source", "verify_password"});
  read_client_members(values, client);
  if (client.source.text.empty() && !values.contains("source")) {
    fail(key, fmt::format("{}: \"source:\" is missing; write source: postgresql://user@host/database", what));
  }
  pipeline.clients.emplace(key.text, std::move(client));
}

void PipelineReader::read_client_members(const Members& values, ClientConfig& client) {
  auto find = [&](const char* key) -> const YamlNode* {
    auto found = values.find(key);
    return found == values.end() ? nullptr : found->second;
  };
  if (const YamlNode* source = find("source")) read_source(*source, client.source, "source");
  if (const YamlNode* source = find("verify_source")) {
    read_source(*source, client.verify_source.emplace(), "verify_source");
  }
  for (auto [name, into] : {std::pair{"password", &client.password}, {"verify_password", &client.verify_password}}) {
    const YamlNode* password = find(name);
    if (password == nullptr) continue;
    optional_secrets_ = !options_.source_passwords;
    if (auto value = text(*password, name)) *into = *value;
    optional_secrets_ = false;
    if (password->kind == YamlNode::Kind::kScalar && password->text.find("${") == std::string::npos) {
      pipeline.notes.push_back({pipeline.file, place(*password),
                                fmt::format("the {} is written in this file; ${{env:NAME}} or ${{file:/path}} keeps it "
                                            "out of backups and version control",
                                            name)});
    }
  }
  if (const YamlNode* attributes = find("attributes")) read_attributes(*attributes, client.attributes);
  if (const YamlNode* limits = find("limits")) read_limits(*limits, client.limits);
}

void PipelineReader::read_source(const YamlNode& node, SourceUrl& into, std::string_view what) {
  auto given = text(node, what);
  if (!given) return;
  auto url = parse_source_url(*given);
  if (!url.ok()) return fail(node, fmt::format("{}: {}", what, url.error().message));
  into = std::move(url).value();
  into.place = place(node);
}

void PipelineReader::read_attributes(const YamlNode& node, Attributes& into) {
  for (const auto& [key, value] : named(node, "attributes")) {
    if (!is_name(key->text)) {
      fail(*key, fmt::format("\"{}\" is no attribute name; {}", shown(key->text), name_form));
      continue;
    }
    if (value->kind == YamlNode::Kind::kNull) {
      into.erase(key->text);  // takes a default back
      continue;
    }
    auto given = text(*value, fmt::format("attribute {}", key->text));
    if (!given) continue;
    into[key->text] = {*given, value->quoted ? LogicalType{TypeId::kText} : attribute_type(*given)};
  }
  if (into.size() > attributes_max) fail(node, fmt::format("a client has at most {} attributes", attributes_max));
}

void PipelineReader::read_limits(const YamlNode& node, ClientLimits& into) {
  Members values = members(node, "limits",
                           {"rows_per_second", "snapshot_rows_per_second", "retained_wal_max", "queries_at_once",
                            "query_memory_max", "query_time_max"});
  count(values, "rows_per_second", into.rows_per_second);
  count(values, "snapshot_rows_per_second", into.snapshot_rows_per_second);
  size(values, "retained_wal_max", into.retained_wal_bytes_max);
  count(values, "queries_at_once", into.queries_at_once);
  size(values, "query_memory_max", into.query_memory_bytes_max);
  duration(values, "query_time_max", into.query_time_max);
}

void PipelineReader::check_shared_databases() {
  std::vector<const ClientConfig*> clients;
  for (const auto& [id, client] : pipeline.clients) {
    if (!client.source.text.empty() && client.source.scheme != "debezium+kafka") clients.push_back(&client);
  }
  std::sort(clients.begin(), clients.end(), [](const ClientConfig* a, const ClientConfig* b) {
    return std::tie(a->place.line, a->place.column) < std::tie(b->place.line, b->place.column);
  });
  std::map<std::string, const ClientConfig*> owners;
  for (const ClientConfig* client : clients) {
    auto [owner, fresh] = owners.emplace(client->source.identity(), client);
    if (fresh) continue;
    errors.push_back(
        {file_, client->place,
         fmt::format("client {} reads the same database as client {} (line {}); a client has a database of "
                     "its own, take one out",
                     client->id, owner->second->id, owner->second->place.line)});
  }
}

void PipelineReader::read_domains(const YamlNode* node) {
  if (node == nullptr) return;
  auto entries = named(*node, "domains");
  if (entries.empty() && node->kind != YamlNode::Kind::kScalar && node->kind != YamlNode::Kind::kList) {
    fail(*node, "there are no domains; write one: orders: { table: public.orders, event: order }");
  }
  std::map<std::string, std::string> tables;
  std::map<std::string, std::string> events;
  for (const auto& [key, value] : entries) {
    DomainConfig domain;
    domain.name = key->text;
    domain.place = place(*key);
    std::string what = fmt::format("domain {}", shown(key->text));
    if (!is_name(key->text) || key->text == "client") {
      fail(*key, fmt::format("\"{}\" is no domain name; {}{}", shown(key->text), name_form,
                             key->text == "client" ? ", and client names the attributes" : ""));
    }
    Members values = members(*value, what, {"table", "event", "history", "columns"});
    auto table = [](std::string_view text) { return is_table(text) ? std::optional(std::string(text)) : std::nullopt; };
    auto name = [](std::string_view text) { return is_name(text) ? std::optional(std::string(text)) : std::nullopt; };
    this->value(values, "table", domain.table, table, "schema.table, like public.orders");
    this->value(values, "event", domain.event, name, fmt::format("an event name; {}", name_form));
    flag(values, "history", domain.history);
    if (auto columns = values.find("columns"); columns != values.end()) {
      for (const auto& [column, type] : named(*columns->second, fmt::format("{}: columns", what))) {
        auto name = text(*type, fmt::format("{}: column {}", what, shown(column->text)));
        if (name && name->empty())
          fail(*type,
               fmt::format("{}: column {} has no type; write one, like numeric(12,2)", what, shown(column->text)));
        if (name) domain.columns[column->text] = *name;
      }
    }
    if (!values.contains("table"))
      fail(*key, fmt::format("{}: \"table:\" is missing; write table: public.{}", what, key->text));
    if (!values.contains("event")) domain.event = key->text;
    if (!domain.table.empty()) {
      auto [other, fresh] = tables.emplace(domain.table, domain.name);
      if (!fresh) {
        fail(*value, fmt::format("{} reads the same table as domain {}; take one out", what, other->second));
      }
    }
    if (!domain.event.empty()) {
      auto [other, fresh] = events.emplace(domain.event, domain.name);
      if (!fresh) {
        fail(*value,
             fmt::format("{} has the event name of domain {} (\"{}\"), so their topics would mix; choose another", what,
                         other->second, domain.event));
      }
    }
    pipeline.domains.emplace(domain.name, std::move(domain));
  }
}

void PipelineReader::read_views(const YamlNode* node) {
  if (node == nullptr) return;
  for (const auto& [key, value] : named(*node, "views")) read_view(*key, *value);
}

void PipelineReader::read_view(const YamlNode& key, const YamlNode& node) {
  std::string what = fmt::format("view {}", shown(key.text));
  ViewConfig view;
  view.name = key.text;
  view.place = place(key);
  if (!is_name(key.text) || key.text == "client") {
    fail(key, fmt::format("\"{}\" is no view name; {}", shown(key.text), name_form));
  } else if (pipeline.domains.contains(key.text)) {
    fail(key, fmt::format("{} is also a domain; SQL could not tell them apart, choose another name", what));
  }
  const YamlNode* sql = &node;
  Members values;
  if (node.kind != YamlNode::Kind::kScalar) {
    values = members(node, what, {"sql", "order_by", "partition_by", "ttl", "settings", "history"});
    auto found = values.find("sql");
    sql = found == values.end() ? nullptr : found->second;
  }
  if (sql == nullptr || sql->kind != YamlNode::Kind::kScalar) {
    fail(sql == nullptr ? key : *sql, fmt::format("{}: \"sql:\" is {}; write sql: SELECT … FROM a domain", what,
                                                  sql == nullptr ? "missing" : "a text"));
  } else {
    view.sql = sql->text;
    view.sql_offsets = scalar_offsets(*document_, sql->offset, sql->text);
  }
  auto any = [](std::string_view text) { return text.empty() ? std::nullopt : std::optional(std::string(text)); };
  value(values, "partition_by", view.partition_by, any, "an expression");
  if (auto found = values.find("partition_by"); found != values.end()) {
    view.partition_offsets = scalar_offsets(*document_, found->second->offset, found->second->text);
  }
  std::pair<std::string, std::chrono::milliseconds> ttl;
  value(values, "ttl", ttl, parse_ttl, "a column and a duration like placed_at + 90d, or a duration alone");
  if (ttl.second.count() != 0) std::tie(view.ttl_column, view.ttl) = ttl;
  for (const char* name : {"order_by", "ttl", "history"}) {
    if (auto found = values.find(name); found != values.end()) view.places[name] = place(*found->second);
  }
  flag(values, "history", view.history);
  if (auto found = values.find("order_by"); found != values.end()) {
    const YamlNode& list = *found->second;
    if (list.kind == YamlNode::Kind::kList) {
      for (const YamlNode& item : list.items) {
        if (auto column = text(item, "order_by")) view.order_by.push_back(*column);
      }
    } else if (auto column = text(list, "order_by")) {
      view.order_by.push_back(*column);
    }
  }
  if (auto found = values.find("settings"); found != values.end()) {
    for (const auto& [name, value] : named(*found->second, "settings")) {
      if (auto given = text(*value, name->text)) view.settings.emplace(name->text, *given);
      view.places["settings." + name->text] = place(*name);
    }
  }
  pipeline.views.push_back(std::move(view));
}

void PipelineReader::read_tests(const YamlNode* node) {
  if (node == nullptr || node->kind == YamlNode::Kind::kNull) return;
  if (node->kind != YamlNode::Kind::kList) {
    return fail(*node, "tests must be a list; write \"- given: …\" and \"  expect: …\" lines below it");
  }
  std::vector<std::string> domains;
  std::vector<std::string> views;
  for (const auto& [name, domain] : pipeline.domains) domains.push_back(name);
  for (const ViewConfig& view : pipeline.views) views.push_back(view.name);
  if (views.empty()) views = domains;
  for (const YamlNode& item : node->items) {
    TestCase test;
    test.place = place(item);
    Members values = members(item, "test", {"name", "client", "given", "changes", "expect"});
    auto any = [](std::string_view text) { return std::optional(std::string(text)); };
    value(values, "name", test.name, any, "a text");
    auto client = [&](std::string_view text) {
      return pipeline.clients.contains(std::string(text)) ? std::optional(std::string(text)) : std::nullopt;
    };
    value(values, "client", test.client, client, "a client of this file");
    for (const char* key : {"given", "expect"}) {
      if (values.contains(key)) continue;
      if (item.kind == YamlNode::Kind::kMap) fail(item, fmt::format("test: \"{}:\" is missing", key));
    }
    if (values.contains("given")) test.given = read_test_tables(*values["given"], "given", domains);
    if (values.contains("changes")) read_test_changes(*values["changes"], domains, test.changes);
    if (values.contains("expect")) test.expect = read_test_tables(*values["expect"], "expect", views);
    pipeline.tests.push_back(std::move(test));
  }
}

void PipelineReader::read_test_changes(const YamlNode& node, const std::vector<std::string>& domains,
                                       std::vector<TestChange>& changes) {
  if (node.kind != YamlNode::Kind::kList) {
    return fail(node, "changes must be a list; write \"- insert: { orders: [{ id: 1 }] }\"; also update and delete");
  }
  for (const YamlNode& item : node.items) {
    Members values = members(item, "change", {"insert", "update", "delete"});
    for (auto [name, kind] :
         {std::pair("insert", TestChangeKind::kInsert), std::pair("update", TestChangeKind::kUpdate),
          std::pair("delete", TestChangeKind::kDelete)}) {
      if (values.contains(name)) changes.push_back({kind, read_test_tables(*values[name], name, domains)});
    }
  }
}

std::map<std::string, std::vector<TestRow>> PipelineReader::read_test_tables(const YamlNode& node,
                                                                             std::string_view what,
                                                                             const std::vector<std::string>& known) {
  std::map<std::string, std::vector<TestRow>> tables;
  for (const auto& [key, list] : named(node, what)) {
    if (std::find(known.begin(), known.end(), key->text) == known.end()) {
      fail(*key, fmt::format("{}: \"{}\" is not known; {}", what, shown(key->text), missing(key->text, known)));
    }
    std::vector<TestRow>& rows = tables[key->text];
    if (list->kind != YamlNode::Kind::kList) {
      fail(*list,
           fmt::format("{}: {} must be a list of rows; write [{{ id: 1 }}], or [] for none", what, shown(key->text)));
      continue;
    }
    for (const YamlNode& item : list->items) {
      if (item.kind != YamlNode::Kind::kMap) {
        fail(item, fmt::format("{}: a row must be a map of columns; write {{ id: 1, status: test }}", what));
        continue;
      }
      TestRow row;
      for (const auto& [column, value] : named(item, what)) {
        if (value->kind == YamlNode::Kind::kList || value->kind == YamlNode::Kind::kMap) {
          fail(*value, fmt::format("{}: column {} is no single value; write nested ones as JSON in quotes", what,
                                   shown(column->text)));
          continue;
        }
        row.emplace_back(column->text, TestValue{value->kind == YamlNode::Kind::kNull, value->text});
      }
      rows.push_back(std::move(row));
    }
  }
  return tables;
}

}  // namespace tributary
