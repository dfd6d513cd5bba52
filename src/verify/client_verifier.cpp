#include "verify/client_verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "verify/analytics_rows.h"
#include "verify/value_types.h"

namespace tributary {
namespace {

// Keys in one question to the analytics.
constexpr size_t analytics_keys_max = 1000;

// DuckDB's advice on its memory is about settings that nobody here can change.
std::string without_advice(const Error& error) {
  if (error.code != ErrorCode::kResourceExhausted) return error.message;
  return error.message.substr(0, error.message.find('\n')) + "; allow the comparison more with --memory";
}

std::string position_text(uint64_t position) { return fmt::format("{:X}/{:X}", position >> 32, position & 0xFFFFFFFF); }

}  // namespace

ClientReport ClientVerifier::run() {
  report_.client = client_.client;
  Status status = open();
  if (status.ok()) status = first_reading();
  if (!status.ok()) return failed(status.error());
  for (OpenView& view : views_) {
    if (view.open.empty() || !view.by_domain_key()) continue;
    Status settled = settle_by_key(view);
    if (!settled.ok()) report_.views[*view.report].error = settled.error().message;
  }
  status = settle_whole();
  if (!status.ok()) return failed(status.error());
  return std::move(report_);
}

// No view that was not compared to its end may look equal.
ClientReport ClientVerifier::failed(const Error& error) {
  report_.error = error.message;
  for (const OpenView& view : views_) {
    if (!view.report || view.concluded) continue;
    ViewReport& report = report_.views[*view.report];
    if (report.error.empty() && !report.skipped) report.error = "the client could not be read";
  }
  return std::move(report_);
}

Status ClientVerifier::open() {
  ASSIGN_OR_RETURN(database_, ScratchDatabase::open(request_.scratch_directory, request_.memory_bytes_max));
  ASSIGN_OR_RETURN(reader_, SourceReader::connect(client_.url, client_.password));
  std::vector<std::string> names;
  for (const VerifyDomain& domain : request_.domains) {
    if (client_.tables.contains(domain.name)) names.push_back(domain.name);
  }
  RETURN_IF_ERROR(describe_domains(names));
  return prepare_views();
}

Status ClientVerifier::describe_domains(const std::vector<std::string>& names) {
  for (const VerifyDomain& domain : request_.domains) {
    if (std::find(names.begin(), names.end(), domain.name) == names.end()) continue;
    auto table = reader_->describe(client_.tables.at(domain.name));
    if (!table.ok() && table.error().code == ErrorCode::kUnavailable) return table.error();
    auto described =
        table.ok() ? describe_domain(domain, std::move(table).value()) : Result<DomainTable>(table.error());
    if (described.ok()) {
      domains_.insert_or_assign(lower_case(domain.name), std::move(described).value());
    } else {
      broken_.emplace(lower_case(domain.name), described.error().message);
    }
  }
  return {};
}

Status ClientVerifier::prepare_views() {
  for (auto at = domains_.begin(); at != domains_.end();) {
    Status created = create_domain(*database_, at->second);
    if (!created.ok()) broken_.emplace(at->first, created.error().message);  // columns whose names differ in case only
    at = created.ok() ? std::next(at) : domains_.erase(at);
  }
  for (auto& [name, domain] : domains_) {
    relations_.emplace(name, batch_relation(domain));
    domains_of_[name] = {name};
  }
  for (const VerifyView& view : request_.views) {
    std::string name = lower_case(view.name);
    ViewReport report{.view = view.name};
    report.skipped = view.compared && skip_(view.name);
    OpenView open{.view = &view};
    Status prepared = prepare_open_view(open, report);
    if (!prepared.ok()) {
      if (!report.skipped) report.error = prepared.error().message;
      if (!domains_.contains(name)) broken_[name] = prepared.error().message;
    }
    if (view.compared && (report.skipped || !left_out_.contains(name))) {
      if (!report.skipped) open.report = report_.views.size();
      report_.views.push_back(std::move(report));
    }
    if (!prepared.ok() || left_out_.contains(name)) continue;
    views_.push_back(std::move(open));
  }
  for (OpenView& view : views_) {
    if (domains_.contains(lower_case(view.view->name))) continue;
    const BatchRelation* own = &relations_.at(lower_case(view.view->name));
    view.read_by_others = std::any_of(views_.begin(), views_.end(), [&](const OpenView& other) {
      return std::find(other.reads.begin(), other.reads.end(), own) != other.reads.end();
    });
  }
  return {};
}

// An error is the view's. A view of a domain that the client does not have is put into left_out_.
Status ClientVerifier::prepare_open_view(OpenView& open, ViewReport& report) {
  const VerifyView& view = *open.view;
  std::string name = lower_case(view.name);
  std::map<std::string, std::vector<std::string>> columns;
  std::set<std::string> domains;
  for (const auto& [known, relation] : relations_) {
    for (const auto& column : relation.columns) columns[known].push_back(column.name);
    if (!relation.is_view) domains.insert(known);
  }
  ASSIGN_OR_RETURN(open.prepared, prepare_view(*database_, view.sql, columns, domains, client_.attributes));
  std::set<std::string> all_domains;
  for (const std::string& read :
       std::set<std::string>(open.prepared.relations.begin(), open.prepared.relations.end())) {
    auto relation = relations_.find(read);
    if (relation != relations_.end()) {
      open.reads.push_back(&relation->second);
      all_domains.insert(domains_of_.at(read).begin(), domains_of_.at(read).end());
      continue;
    }
    auto broken = broken_.find(read);
    if (broken != broken_.end()) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("the view reads {}, which cannot be computed: {}", read, broken->second)};
    }
    bool known = left_out_.contains(read) ||
                 std::any_of(request_.domains.begin(), request_.domains.end(),
                             [&](const VerifyDomain& domain) { return lower_case(domain.name) == read; });
    if (!known) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("the view reads {}, which is no domain and no earlier view", read)};
    }
    left_out_.insert(name);
    return {};
  }
  open.domains.assign(all_domains.begin(), all_domains.end());
  for (const std::string& domain : open.domains) {
    const auto& notes = domains_.at(domain).notes;
    report.notes.insert(report.notes.end(), notes.begin(), notes.end());
  }
  ASSIGN_OR_RETURN(std::vector<std::string> types, answer_types(*database_, view, open.prepared, report.notes));
  open.own = batch_relation(view, types);
  RETURN_IF_ERROR(create_answer(*database_, open.own));
  open.key = key_of(open);
  if (domains_.contains(name)) return {};  // a name in SQL is the domain's
  relations_.insert_or_assign(name, open.own);
  domains_of_[name] = std::move(all_domains);
  return show(*database_, open.own);
}

std::vector<size_t> ClientVerifier::key_of(const OpenView& view) const {
  if (view.prepared.by_row) {
    auto key = key_columns(view.prepared, domains_.at(view.domains.at(0)));
    if (!key.empty()) return key;
  }
  std::vector<size_t> key;
  for (const std::string& name : view.view->key) {
    for (size_t i = 0; i < view.view->columns.size(); ++i) {
      const OutputColumn& column = view.view->columns[i];
      // Doubles that are only nearly equal have no common text.
      if (lower_case(column.name) == lower_case(name) && !is_floating(column.type)) key.push_back(i);
    }
  }
  return key.size() == view.view->key.size() ? key : std::vector<size_t>{};
}

Status ClientVerifier::read_snapshot(const std::vector<std::string>& domains, const std::vector<VerifyKey>* keys,
                                     uint64_t& mark) {
  ASSIGN_OR_RETURN(mark, reader_->begin_snapshot());
  for (const std::string& name : domains) {
    DomainTable& domain = domains_.at(name);
    DomainLoadOptions options{.keys = keys, .rows_per_second = request_.source_rows_per_second};
    if (ports_.progress && keys == nullptr) {
      options.progress = [&](uint64_t rows) { return ports_.progress({client_.client, domain.name, rows}); };
    }
    RETURN_IF_ERROR(reader_->begin_part());
    Status loaded = load_domain(*database_, *reader_, domain, options);
    unread_.erase(name);
    if (!loaded.ok()) {
      const std::string& table = client_.tables.at(domain.name);
      if (loaded.error().code == ErrorCode::kUnavailable) return with_context(loaded.error(), table);
      unread_.emplace(name, fmt::format("{} could not be read: {}", table, without_advice(loaded.error())));
      RETURN_IF_ERROR(create_domain(*database_, domain));  // what was read of it
    }
    RETURN_IF_ERROR(reader_->end_part(loaded.ok()));
  }
  return reader_->end_snapshot();
}

Status ClientVerifier::all_read(const OpenView& view) const {
  for (const std::string& domain : view.domains) {
    auto unread = unread_.find(domain);
    if (unread != unread_.end()) return Error{ErrorCode::kInvalidInput, unread->second};
  }
  return {};
}

Result<bool> ClientVerifier::wait_for(uint64_t mark) {
  if (!request_.live || !ports_.wait_until_queryable) return true;
  return ports_.wait_until_queryable(client_.client, mark, request_.mark_limit);
}

Status ClientVerifier::reach(uint64_t mark) {
  ASSIGN_OR_RETURN(bool reached, wait_for(mark));
  if (reached) return {};
  return Error{
      ErrorCode::kTimeout,
      fmt::format("the analytics did not reach the position {} within {} s: see `tributary status`, or allow more time",
                  position_text(mark), request_.mark_limit.count() / 1000)};
}

Status ClientVerifier::first_reading() {
  std::set<std::string> needed;
  for (const OpenView& view : views_) needed.insert(view.domains.begin(), view.domains.end());
  RETURN_IF_ERROR(read_snapshot({needed.begin(), needed.end()}, nullptr, report_.mark));
  for (OpenView& view : views_) {
    if (view.read_by_others) RETURN_IF_ERROR(evaluate_view(view));
  }
  RETURN_IF_ERROR(reach(report_.mark));
  for (OpenView& view : views_) {
    if (!view.report) continue;
    ViewReport& report = report_.views[*view.report];
    if (ports_.progress) RETURN_IF_ERROR(ports_.progress({client_.client, view.view->name, 0}));
    std::vector<RowDifference> differences;
    Status compared = compare_once(view, nullptr, differences);
    if (!compared.ok()) {
      report.error = compared.error().message;
    } else if (!request_.live || differences.empty()) {
      conclude(view, std::move(differences));
    } else {
      for (RowDifference& difference : differences) {
        std::string id = identity(view, difference);
        view.readings[id] = 1;
        view.open.insert_or_assign(std::move(id), std::move(difference));
      }
    }
  }
  return {};
}

Status ClientVerifier::fetch_dead_letters(OpenView& view) {
  view.dead_letters.clear();
  if (ports_.dead_rows) {
    ASSIGN_OR_RETURN(view.dead_letters, ports_.dead_rows(client_.client, view.view->name));
    for (VerifyDeadLetter& letter : view.dead_letters) {  // a view by row has its domain's row key
      if (view.prepared.by_row && letter.relation == view.view->name) letter.relation = view.reads.at(0)->name;
    }
  }
  return {};
}

// An error is not the view's: that is in view.failure.
Status ClientVerifier::evaluate_view(OpenView& view) {
  view.evaluated = true;
  view.failure.clear();
  for (const OpenView& other : views_) {
    bool read = std::any_of(view.reads.begin(), view.reads.end(), [&](const BatchRelation* relation) {
      return relation->is_view && relation->name == other.view->name;
    });
    if (read && !other.failure.empty()) {
      view.failure = fmt::format("the view reads {}, which cannot be computed: {}", other.view->name, other.failure);
      return {};
    }
  }
  if (Status read = all_read(view); !read.ok()) {
    view.failure = read.error().message;
    return {};
  }
  RETURN_IF_ERROR(fetch_dead_letters(view));
  auto evaluation = evaluate(*database_, view.prepared, view.own, view.reads, view.dead_letters);
  if (evaluation.ok()) {
    view.evaluation = std::move(evaluation).value();
  } else {
    view.failure = evaluation.error().message;
  }
  return {};
}

// Into main.__s.
Result<SourceAnswer> ClientVerifier::source_answer(OpenView& view) {
  if (view.prepared.by_row) {
    RETURN_IF_ERROR(all_read(view));
    RETURN_IF_ERROR(fetch_dead_letters(view));
    std::vector<VerifyKey> keys;
    for (const VerifyDeadLetter& letter : view.dead_letters) {
      if (lower_case(letter.relation) != lower_case(view.reads.at(0)->name)) continue;
      VerifyKey& key = keys.emplace_back();
      for (const auto& value : letter.key) key.push_back(value.value_or(""));
    }
    return run_by_row(*database_, *view.view, view.prepared, domains_.at(view.domains.at(0)), keys);
  }
  if (!view.evaluated) RETURN_IF_ERROR(evaluate_view(view));
  if (!view.failure.empty()) return Error{ErrorCode::kInvalidInput, view.failure};
  std::set<std::string> dead;
  for (const VerifyDeadLetter& letter : view.dead_letters) {
    if (lower_case(letter.relation) == lower_case(view.view->name)) dead.insert(key_json_of(letter.key));
  }
  ASSIGN_OR_RETURN(SourceAnswer answer, take_answer(*database_, *view.view, view.key, dead));
  if (!view.read_by_others) {  // makes room
    RETURN_IF_ERROR(create_answer(*database_, view.own));
    view.evaluated = false;
  }
  for (const UncomputedRow& failed : view.evaluation.failed) answer.failed.push_back(failed);
  for (const std::string& key : view.evaluation.excepted) answer.excepted_keys.push_back(key);
  return answer;
}

// One comparison of a view, with the domains as they were read last. `keys`: these rows only.
Status ClientVerifier::compare_once(OpenView& view, const std::vector<VerifyKey>* keys,
                                    std::vector<RowDifference>& differences) {
  ViewReport& report = report_.views[*view.report];
  ASSIGN_OR_RETURN(SourceAnswer answer, source_answer(view));
  RETURN_IF_ERROR(read_analytics(view, keys));
  if (keys != nullptr) {
    std::vector<std::string> texts;
    texts.reserve(view.open.size());
    for (const auto& [id, difference] : view.open) texts.push_back(difference.key);
    RETURN_IF_ERROR(keep_keys(*database_, *view.view, view.key, texts));
  }
  CompareOptions options{
      .key = view.key, .exact_averages = view.prepared.exact_averages, .differences_max = request_.keys_again_max};
  ASSIGN_OR_RETURN(Comparison comparison, compare(*database_, *view.view, options));
  if (keys == nullptr) {
    ASSIGN_OR_RETURN(report.source_rows, database_->number("SELECT count(*) FROM main.__s"));
    ASSIGN_OR_RETURN(report.analytics_rows, database_->number("SELECT count(*) FROM main.__a"));
    ASSIGN_OR_RETURN(uint64_t computed, database_->number("SELECT count(*) FROM main.__s WHERE excepted"));
    report.excepted = answer.excepted_keys.size() - computed + comparison.excepted_absent;
    report.excepted_keys.clear();
    for (const std::string& key : answer.excepted_keys) {
      if (report.excepted_keys.size() == request_.samples_max) break;
      report.excepted_keys.push_back(key_for_people(*view.view, view.key, key));
    }
    view.more = std::move(comparison.more);
  }
  differences = std::move(comparison.differences);
  for (UncomputedRow& failed : answer.failed) {
    differences.push_back(
        {.kind = FindingKind::kFailed, .key = failed.key, .source_version = failed.reason, .reason = failed.reason});
  }
  return {};
}

Status ClientVerifier::read_analytics(const OpenView& view, const std::vector<VerifyKey>* keys) {
  AnalyticsLoader loader(*database_, *view.view);
  RETURN_IF_ERROR(loader.open());
  std::vector<std::string> questions;
  bool whole_view = keys == nullptr || std::any_of(keys->begin(), keys->end(), [&](const VerifyKey& key) {
                      return key.size() != view.key.size();  // a row that failed, or a NULL
                    });
  if (whole_view) {
    questions.push_back(analytics_query(*view.view, view.key, nullptr));
  } else {
    std::string whole = analytics_query(*view.view, view.key, nullptr);
    for (size_t first = 0; first < keys->size(); first += analytics_keys_max) {
      size_t end = std::min(first + analytics_keys_max, keys->size());
      std::vector<VerifyKey> some(keys->begin() + static_cast<ptrdiff_t>(first),
                                  keys->begin() + static_cast<ptrdiff_t>(end));
      questions.push_back(analytics_query(*view.view, view.key, &some));
      if (questions.back() == whole) {  // keys of these types cannot be asked for
        questions = {whole};
        break;
      }
    }
  }
  for (const std::string& question : questions) {
    Status status;
    auto take = [&](std::string_view piece) {
      if (status.ok()) status = loader.feed(piece);
    };
    Status asked = ports_.analytics(client_.client, question, "TabSeparated", take);
    if (!asked.ok()) return with_context(asked.error(), "the analytics cannot be read");
    if (!status.ok()) return with_context(status.error(), "the analytics' answer cannot be read");
  }
  return loader.finish();
}

void ClientVerifier::conclude(OpenView& view, std::vector<RowDifference> differences) {
  view.concluded = true;
  ViewReport& report = report_.views[*view.report];
  for (const auto& [kind, count] : view.more) report.findings[kind] += count;
  std::sort(differences.begin(), differences.end(),
            [](const auto& a, const auto& b) { return std::tie(a.kind, a.key) < std::tie(b.kind, b.key); });
  std::map<FindingKind, size_t> sampled;
  for (RowDifference& difference : differences) {
    ++report.findings[difference.kind];
    if (sampled[difference.kind]++ >= request_.samples_max) continue;
    report.samples.push_back({.kind = difference.kind,
                              .key = key_for_people(*view.view, view.key, difference.key),
                              .cells = std::move(difference.cells),
                              .reason = std::move(difference.reason)});
  }
}

}  // namespace tributary
