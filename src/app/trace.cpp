#include "app/trace.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "app/dead_letter_list.h"
#include "app/event_reader.h"
#include "app/scratch_views.h"
#include "app/store_answer.h"
#include "app/view_origin.h"
#include "base/clickhouse_tokens.h"
#include "base/hex.h"
#include "codec/block.h"
#include "codec/postgres/text_values.h"
#include "model/partitioning.h"
#include "model/row_key.h"
#include "runtime/dead_letters.h"
#include "runtime/progress_journal.h"
#include "store/clickhouse/clickhouse_types.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr size_t log_bytes_read_max = size_t{256} << 20;  // looked through for an event's place
constexpr size_t bytes_of_event = 100;  // at least, of blocks that do not hold their bytes
constexpr size_t read_bytes = 1 << 20;

// Just before it.
Position before(Position position) {
  if (position.ordinal-- != 0) return position;
  if (position.change-- != 0) return position;
  if (position.commit-- != 0) return position;
  --position.epoch;
  return position;
}

json seen_json(const SeenBetween& seen) {
  return {{"after_micros", seen.after_micros == 0 ? json(nullptr) : json(seen.after_micros)},
          {"by_micros", seen.by_micros}};
}

class Tracer {
 public:
  Tracer(const Assembly& assembly, ClientId client, size_t limit, const std::function<bool()>& wanted)
      : assembly_(assembly), client_(std::move(client)), limit_(limit), wanted_(wanted) {}

  Result<json> trace(const std::string& relation, const std::vector<std::string>& key) {
    for (const auto& release : assembly_.runtime->releases()) {
      if (release.live) release_ = release.number;
    }
    ASSIGN_OR_RETURN(views_, ScratchViews::make(assembly_, live_views(assembly_), wanted_));
    const ViewPlan* view = views_->view(relation);
    bool is_domain = assembly_.pipeline.domains.contains(relation);
    // Without `views:` in the file each domain is a view of its name: its rows are the domain's.
    if (is_domain) return domain_row(relation, key);
    if (view != nullptr) return view_row(*view, key);
    return Error{ErrorCode::kInvalidInput, fmt::format("there is no domain and no live view {}", relation)};
  }

 private:
  Result<json> domain_row(const std::string& domain, const std::vector<std::string>& key) {
    ASSIGN_OR_RETURN(std::string bytes, key_bytes(domain, key));
    json answer{
        {"client", client_.value}, {"domain", domain}, {"key", row_key_to_string(bytes)}, {"release", release_}};
    ASSIGN_OR_RETURN(json events, events_of(domain, bytes));
    answer["events_in_all"] = events.size();
    while (events.size() > limit_) events.erase(events.begin());
    RETURN_IF_ERROR(add_places(domain, bytes, events));
    RETURN_IF_ERROR(add_views({domain, bytes}, events));
    answer["events"] = std::move(events);
    ASSIGN_OR_RETURN(answer["dead_letters"], dead_letters_of({domain, bytes}));
    return answer;
  }

  Result<std::string> key_bytes(const std::string& domain, const std::vector<std::string>& key) {
    const std::string& table = assembly_.pipeline.domains.at(domain).table;
    ASSIGN_OR_RETURN(auto schemas, assembly_.log->newest_schemas(client_));
    for (const SchemaPtr& schema : schemas) {
      if (schema->table != table) continue;
      if (schema->key_columns.size() != key.size()) {
        std::string names;
        for (uint32_t index : schema->key_columns) names += (names.empty() ? "" : ", ") + schema->columns[index].name;
        return Error{ErrorCode::kInvalidInput,
                     fmt::format("the key of {} is ({}): {} values are given", domain, names, key.size())};
      }
      std::string bytes;
      for (size_t i = 0; i < key.size(); ++i) {
        Column column(schema->columns[schema->key_columns[i]].type);
        append_postgres_text(column, key[i]);
        append_key_part(bytes, column, 0);
      }
      return bytes;
    }
    return Error{ErrorCode::kNotFound, fmt::format("nothing of {} of client {} was captured yet", table, client_)};
  }

  // Debezium's envelopes by position, oldest first; a range that the row fell with is one of them.
  Result<json> events_of(const std::string& domain, const std::string& key) {
    EventReader reader(assembly_.pipeline, *assembly_.log, assembly_.raw);
    TapOptions options{.client = client_.value,
                       .from_start = true,
                       .from_micros = {},
                       .follow = false,
                       .raw = true,
                       .key = key,
                       .domain = domain};
    std::vector<std::pair<Position, json>> found;
    RETURN_IF_ERROR(reader.read(
        options,
        [&](std::string_view line) {
          json event = json::parse(line, nullptr, false);
          auto position = Position::parse(event.value("position", ""));
          if (!position) return true;
          found.emplace_back(
              *position, json{{"event", event["event"]}, {"position", event["position"]}, {"value", event["value"]}});
          return true;
        },
        wanted_));
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    json events = json::array();
    for (auto& [position, event] : found) events.push_back(std::move(event));
    return events;
  }

  // Where in the log they are, as far as it still has them. Those of before `partitions` was changed may be in any partition.
  Status add_places(const std::string& domain, const std::string& key, json& events) {
    std::map<std::string, json*> wanted;
    for (json& event : events) wanted[event["position"].get<std::string>()] = &event;
    Partitioning partitioning{assembly_.pipeline.log.partitions, assembly_.pipeline.log.partitions_per_client};
    PartitionId partition = partition_of(client_partitions(partitioning, client_.value, domain), client_.value, key);
    std::unique_ptr<LogReader> reader = assembly_.log->open_reader();
    size_t left = log_bytes_read_max;
    std::map<TopicPartition, Offset> ends = assembly_.log->ends();
    for (bool others : {false, true}) {
      for (const auto& [at, end] : ends) {
        if ((at.partition != partition) != others) continue;
        RETURN_IF_ERROR(add_places_of(*reader, at, end, domain, key, wanted, left));
        bool all = std::all_of(wanted.begin(), wanted.end(), [](const auto& of) { return of.second->contains("log"); });
        if (all) return {};
      }
    }
    return {};
  }

  Status add_places_of(LogReader& reader, const TopicPartition& at, Offset end, const std::string& domain,
                       const std::string& key, const std::map<std::string, json*>& wanted, size_t& left) {
    Offset next{0};
    while (next < end && left > 0 && wanted_()) {
      ASSIGN_OR_RETURN(std::vector<LogBlock> blocks, reader.read(at, next, read_bytes));
      if (blocks.empty()) break;
      for (const LogBlock& block : blocks) {
        next = block.next;
        left -= std::min(left, std::max<size_t>(block.bytes.size(), size_t{block.events} * bytes_of_event));
        auto header = read_block_header(block.bytes);
        if (header.ok() && (header->client != client_ || header->domain != domain)) continue;
        ASSIGN_OR_RETURN(std::shared_ptr<const EventBatch> batch, assembly_.log->events_of(block));
        if (batch->client != client_ || batch->domain != domain) continue;
        bool without_gaps = block.first.value + block.events == block.next.value;
        for (size_t row = 0; row < batch->rows(); ++row) {
          auto event = wanted.find(batch->positions[row].to_string());
          if (event == wanted.end() || batch->row_key(row) != key) continue;
          json place{{"topic", at.topic}, {"partition", at.partition.value}};
          if (without_gaps) {
            place["offset"] = block.first.value + row;
            RETURN_IF_ERROR(add_times(at, Offset{block.first.value + row}, *event->second));
          }
          (*event->second)["log"] = std::move(place);
        }
      }
    }
    return {};
  }

  // When it was captured, processed and stored, as far as a run noted it.
  Status add_times(const TopicPartition& partition, Offset offset, json& event) {
    ASSIGN_OR_RETURN(EventTimes times, times_of(*assembly_.storage, partition, offset));
    if (times.captured) event["captured"] = seen_json(*times.captured);
    if (times.processed) event["processed"] = seen_json(*times.processed);
    if (times.stored) event["stored"] = seen_json(*times.stored);
    return {};
  }

  Result<std::map<std::string, json>> rows_by_key(const std::string& view, const std::set<std::string>& keys) {
    std::string in;
    for (const std::string& key : keys) in += fmt::format("{}unhex('{}')", in.empty() ? "" : ", ", to_hex(key));
    std::string columns;
    for (const OutputColumn& column : views_->view(view)->columns()) columns += ", " + quote_identifier(column.name);
    ASSIGN_OR_RETURN(
        StoreAnswer answer,
        ask_store(*assembly_.store,
                  fmt::format("SELECT lower(hex({})){} FROM {} FINAL WHERE {} = {} AND {} IN ({}) SETTINGS "
                              "output_format_json_quote_decimals = 1",
                              key_column, columns, quote_identifier(ScratchViews::table_of(view)), client_id_column,
                              quote_text(client_.value), key_column, in)));
    std::map<std::string, json> rows;
    for (const json& row : answer.rows) {
      json& one = rows[row[0].get<std::string>()] = json::object();
      for (size_t i = 1; i < row.size(); ++i) one[answer.columns[i]] = row[i];
    }
    return rows;
  }

  // What each event did to each view, by computing everything before it and then it alone.
  Status add_views(const Recompute::Row& row, json& events) {
    for (json& event : events) event["views"] = json::array();
    if (events.empty()) return {};
    ASSIGN_OR_RETURN(Recompute * of, views_->begin(client_, views_->view_names()));
    std::optional<Position> done;
    for (size_t i = 0; i < events.size(); ++i) {
      Position at = *Position::parse(events[i]["position"].get<std::string>());
      if (done && at <= *done) continue;  // a key change: both of its events have one position
      RETURN_IF_ERROR(of->feed(done, before(at)));
      RETURN_IF_ERROR(of->flush());
      // All rows of a piece that was read from a table have one position.
      bool is_read = events[i]["value"].is_object() && events[i]["value"].value("op", "") == "r";
      ASSIGN_OR_RETURN(Recompute::Written written,
                       of->feed_and_tell(before(at), at, is_read ? std::optional(row) : std::nullopt));
      std::map<std::string, std::map<std::string, json>> rows_before;
      for (const auto& [view, keys] : written) {
        ASSIGN_OR_RETURN(rows_before[view], rows_by_key(view, keys));
      }
      RETURN_IF_ERROR(of->flush());
      for (const auto& [view, keys] : written) {
        ASSIGN_OR_RETURN(auto rows_after, rows_by_key(view, keys));
        for (const std::string& key : keys) {
          std::string hex = to_hex(key);
          auto now = rows_after.find(hex);
          auto old = rows_before[view].find(hex);
          json before_row = old == rows_before[view].end() ? json(nullptr) : old->second;
          json after_row = now == rows_after.end() ? json(nullptr) : now->second;
          if (before_row.is_null() && after_row.is_null()) continue;
          events[i]["views"].push_back(
              {{"view", view}, {"before", std::move(before_row)}, {"after", std::move(after_row)}});
        }
      }
      done = at;
    }
    return {};
  }

  Result<json> dead_letters_of(const DeadLetterRow& row) {
    ASSIGN_OR_RETURN(json letters, list_dead_letters(assembly_.pipeline, *assembly_.storage, *assembly_.log,
                                                     *assembly_.raw, {.client = client_.value, .row = row}));
    letters.erase(std::remove_if(letters.begin(), letters.end(), [](const json& of) { return !of.contains("id"); }),
                  letters.end());
    return letters;
  }

  Result<json> live_row(const ViewPlan& view, const std::vector<std::string>& key) {
    if (view.key.size() != key.size()) {
      return Error{ErrorCode::kInvalidInput,
                   view.key.empty()
                       ? fmt::format("view {} has no columns that are unique together, so that no row of it can "
                                     "be named; name a row of a domain that it reads",
                                     view.name)
                       : fmt::format("the key of view {} is ({}): {} values are given", view.name,
                                     fmt::join(view.key, ", "), key.size())};
    }
    std::string condition = condition_of(view.key, key);
    std::string columns;
    for (const OutputColumn& column : view.columns()) columns += quote_identifier(column.name) + ", ";
    ASSIGN_OR_RETURN(
        StoreAnswer answer,
        ask_store(*assembly_.store,
                  fmt::format("SELECT {}toString({}) FROM {} FINAL WHERE {} = {} AND ({}) LIMIT 1 SETTINGS "
                              "output_format_json_quote_decimals = 1",
                              columns, version_column, quote_identifier(live_table(assembly_, view.name)),
                              client_id_column, quote_text(client_.value), condition)));
    if (answer.rows.empty()) return json(nullptr);
    json row = json::object();
    for (size_t i = 0; i < view.columns().size(); ++i) row[view.columns()[i].name] = answer.rows[0][i];
    return row;
  }

  Result<json> view_row(const ViewPlan& view, const std::vector<std::string>& key) {
    ASSIGN_OR_RETURN(json row, live_row(view, key));
    json answer{{"client", client_.value}, {"view", view.name}, {"row", row}, {"release", release_}};
    if (auto origin = aggregate_origin(view)) {
      ASSIGN_OR_RETURN(answer["from"], counted_rows(*origin, view, key, row));
      return answer;
    }
    // One row of a domain, under its key.
    if (auto of = domain_of_row(view)) {
      ASSIGN_OR_RETURN(answer["of"], domain_row(*of, key));
    } else {
      answer["note"] = "its rows are made of several rows: trace a row of one of the domains that it reads";
    }
    return answer;
  }

  Result<json> counted_rows(const AggregateOrigin& origin, const ViewPlan& view, const std::vector<std::string>& key,
                            const json& row) {
    std::string name = origin.rows.name;
    std::vector<std::string> columns;
    for (const std::string& column : view.key) {
      auto at = origin.input_of_column.find(column);
      if (at == origin.input_of_column.end())
        return Error{ErrorCode::kUnsupported,
                     fmt::format("{} is computed from the groups, so that the rows are not to be told", column)};
      columns.push_back(at->second);
    }
    std::vector<AggregateOrigin::Call> calls = origin.calls;
    views_->plan().views.push_back(origin.rows);
    ASSIGN_OR_RETURN(uint64_t events, views_->compute(client_, {name}));
    std::string condition = columns.empty() ? "1" : condition_of(columns, key);
    std::vector<std::string> labels = origin.labels;
    ASSIGN_OR_RETURN(json from, rows_with_keys(name, condition));
    from["columns"] = labels;
    from["columns"].insert(from["columns"].begin(), "key");
    from["events"] = events;
    from["calls"] = json::array();
    if (!row.is_object()) return from;
    for (const AggregateOrigin::Call& call : calls) {
      ASSIGN_OR_RETURN(std::string answer,
                       assembly_.store->execute(fmt::format("SELECT toString({}) FROM {} FINAL WHERE {} = {} AND ({})",
                                                            call.sql, quote_identifier(ScratchViews::table_of(name)),
                                                            client_id_column, quote_text(client_.value), condition),
                                                "TabSeparatedRaw"));
      while (!answer.empty() && answer.back() == '\n') answer.pop_back();
      if (answer == "\\N") answer = "null";
      json live = row.value(call.column, json(nullptr));
      from["calls"].push_back(
          {{"column", call.column}, {"live", live}, {"from_rows", answer}, {"equal", same_value(live, answer)}});
    }
    return from;
  }

  // Each with the key of the source row that it is of, or the keys.
  Result<json> rows_with_keys(const std::string& view, const std::string& condition) {
    std::string columns;
    for (const OutputColumn& column : views_->view(view)->columns()) columns += ", " + quote_identifier(column.name);
    ASSIGN_OR_RETURN(
        StoreAnswer answer,
        ask_store(
            *assembly_.store,
            fmt::format("SELECT lower(hex({})){} FROM {} FINAL WHERE {} = {} AND ({}) ORDER BY {} LIMIT {} SETTINGS "
                        "output_format_json_quote_decimals = 1",
                        key_column, columns, quote_identifier(ScratchViews::table_of(view)), client_id_column,
                        quote_text(client_.value), condition, key_column, limit_)));
    for (json& row : answer.rows) {
      std::optional<std::string> key = from_hex(row[0].get<std::string>());
      if (key) row[0] = row_key_to_string(*key);
    }
    return json{{"rows", std::move(answer.rows)}};
  }

  // Floats have the digits of two programs.
  static bool same_value(const json& live, const std::string& text) {
    if ((live.is_string() ? live.get<std::string>() : live.dump()) == text) return true;
    if (!live.is_number_float() || text.empty()) return false;
    char* end = nullptr;
    double value = std::strtod(text.c_str(), &end);
    double shown = live.get<double>();
    return *end == '\0' && std::abs(value - shown) <= 1e-12 * std::max(std::abs(value), std::abs(shown));
  }

  static std::string condition_of(const std::vector<std::string>& columns, const std::vector<std::string>& values) {
    std::string condition;
    for (size_t i = 0; i < columns.size(); ++i) {
      std::string column = quote_identifier(columns[i]);
      condition += condition.empty() ? "" : " AND ";
      condition += values[i] == "NULL" ? fmt::format("{} IS NULL", column)
                                       : fmt::format("toString({}) = {}", column, quote_text(values[i]));
    }
    return condition.empty() ? "1" : condition;
  }

  const Assembly& assembly_;
  ClientId client_;
  size_t limit_;
  const std::function<bool()>& wanted_;
  uint32_t release_ = 0;
  std::unique_ptr<ScratchViews> views_;
};

}  // namespace

std::optional<Result<json>> answer_trace_request(const Assembly& assembly, const json& request,
                                                 const std::function<bool()>& wanted) {
  if (request.value("command", "") != "trace") return std::nullopt;
  if (assembly.runtime == nullptr || assembly.store == nullptr)
    return Result<json>(Error{ErrorCode::kUnsupported, "the running pipeline does not process, or has no analytics"});
  Tracer tracer(assembly, ClientId{request.value("client", "")}, request.value("limit", size_t{20}), wanted);
  return tracer.trace(request.value("relation", ""), request.value("key", std::vector<std::string>()));
}

}  // namespace tributary
