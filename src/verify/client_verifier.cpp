#include "verify/client_verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

namespace tributary {
namespace {

// Before the n-th round it waits n pauses, so that the source's rows come to rest.
constexpr std::chrono::milliseconds round_pause{20};
constexpr int round_pauses_max = 8;
// Keys in one question to the analytics.
constexpr size_t analytics_keys_max = 1000;

VerifyKey parse_key(const std::string& json) {
  VerifyKey key;
  nlohmann::json values = nlohmann::json::parse(json, nullptr, false);
  if (!values.is_array()) return key;
  for (const auto& value : values) key.push_back(value.is_string() ? value.get<std::string>() : "");
  return key;
}

std::string position_text(uint64_t position) { return fmt::format("{:X}/{:X}", position >> 32, position & 0xFFFFFFFF); }

}  // namespace

ClientReport ClientVerifier::run() {
  report_.client = client_.client;
  Status status = open();
  if (status.ok()) status = first_reading();
  if (!status.ok()) {
    report_.error = status.error().message;
    return std::move(report_);
  }
  for (OpenView& view : views_) {
    if (view.open.empty()) continue;
    Status settled = settle(view);
    if (!settled.ok()) report_.views[view.report].error = settled.error().message;
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
    ASSIGN_OR_RETURN(SourceTable table, reader_->describe(client_.tables.at(domain.name)));
    ASSIGN_OR_RETURN(DomainTable described, describe_domain(domain, std::move(table)));
    domains_.insert_or_assign(lower_case(domain.name), std::move(described));
  }
  return {};
}

Status ClientVerifier::prepare_views() {
  std::map<std::string, std::vector<std::string>> columns;
  for (const auto& [name, domain] : domains_) {
    for (const DomainColumn& column : domain.columns) columns[name].push_back(column.column.name);
  }
  for (const VerifyView& view : request_.views) {
    ViewReport report{.view = view.name};
    if (skip_(view.name)) {
      report.skipped = true;
      report_.views.push_back(std::move(report));
      continue;
    }
    auto prepared = prepare_view(*database_, view.sql, columns, client_.attributes);
    if (!prepared.ok()) {
      report.error = prepared.error().message;
      report_.views.push_back(std::move(report));
      continue;
    }
    OpenView open{.view = &view, .report = report_.views.size(), .prepared = std::move(prepared).value()};
    std::set<std::string> relations(open.prepared.relations.begin(), open.prepared.relations.end());
    open.domains.assign(relations.begin(), relations.end());
    auto missing = std::find_if(open.domains.begin(), open.domains.end(),
                                [&](const auto& name) { return !domains_.contains(name); });
    if (missing != open.domains.end()) {
      bool known = std::any_of(request_.domains.begin(), request_.domains.end(),
                               [&](const VerifyDomain& domain) { return lower_case(domain.name) == *missing; });
      if (known) continue;  // the client has no such table: nothing to compare
      report.error = fmt::format("the view reads {}, which is no domain", *missing);
      report_.views.push_back(std::move(report));
      continue;
    }
    for (const std::string& name : open.domains) {
      const auto& notes = domains_.at(name).notes;
      report.notes.insert(report.notes.end(), notes.begin(), notes.end());
    }
    if (const DomainTable* domain = domain_of(open)) open.key = key_columns(open.prepared, *domain);
    report_.views.push_back(std::move(report));
    views_.push_back(std::move(open));
  }
  return {};
}

const DomainTable* ClientVerifier::domain_of(const OpenView& view) const {
  return view.prepared.by_row ? &domains_.at(view.domains.at(0)) : nullptr;
}

Status ClientVerifier::read_snapshot(const std::vector<std::string>& domains, const std::vector<VerifyKey>* keys,
                                     uint64_t& mark) {
  ASSIGN_OR_RETURN(mark, reader_->begin_snapshot());
  for (const std::string& name : domains) {
    DomainTable& domain = domains_.at(name);
    LoadOptions options{.keys = keys, .rows_per_second = request_.source_rows_per_second};
    if (ports_.progress && keys == nullptr) {
      options.progress = [&](uint64_t rows) { ports_.progress({client_.client, domain.name, rows}); };
    }
    Status loaded = load_domain(*database_, *reader_, domain, options);
    if (!loaded.ok()) return with_context(loaded.error(), client_.tables.at(domain.name));
  }
  return reader_->end_snapshot();
}

Result<bool> ClientVerifier::wait_for(uint64_t mark) {
  if (!request_.live || !ports_.wait_until_queryable) return true;
  return ports_.wait_until_queryable(client_.client, mark, request_.mark_limit);
}

Status ClientVerifier::first_reading() {
  std::set<std::string> needed;
  for (const OpenView& view : views_) needed.insert(view.domains.begin(), view.domains.end());
  RETURN_IF_ERROR(read_snapshot({needed.begin(), needed.end()}, nullptr, report_.mark));
  ASSIGN_OR_RETURN(bool reached, wait_for(report_.mark));
  if (!reached) {
    return Error{
        ErrorCode::kTimeout,
        fmt::format(
            "the analytics did not reach the position {} within {} s: see `tributary status`, or allow more time",
            position_text(report_.mark), request_.mark_limit.count() / 1000)};
  }
  for (OpenView& view : views_) {
    ViewReport& report = report_.views[view.report];
    if (ports_.progress) ports_.progress({client_.client, view.view->name, 0});
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

// One comparison of a view, with the domains as they were read last. `keys`: these rows only.
Status ClientVerifier::compare_once(OpenView& view, const std::vector<VerifyKey>* keys,
                                    std::vector<RowDifference>& differences) {
  ViewReport& report = report_.views[view.report];
  std::vector<VerifyKey> dead_letters;
  if (ports_.dead_letters) {
    ASSIGN_OR_RETURN(dead_letters, ports_.dead_letters(client_.client, view.view->name));
  }
  ASSIGN_OR_RETURN(SourceAnswer answer, run_view(*database_, *view.view, view.prepared, domain_of(view), dead_letters));
  RETURN_IF_ERROR(read_analytics(view, keys));
  if (keys != nullptr) {
    std::vector<std::string> texts;
    for (const auto& [id, difference] : view.open) texts.push_back(difference.key);
    RETURN_IF_ERROR(keep_keys(*database_, *view.view, view.key, texts));
  }
  ASSIGN_OR_RETURN(Comparison comparison, compare(*database_, *view.view, view.key, request_.keys_again_max));
  if (keys == nullptr) {
    ASSIGN_OR_RETURN(report.source_rows, database_->number("SELECT count(*) FROM main.s"));
    ASSIGN_OR_RETURN(report.analytics_rows, database_->number("SELECT count(*) FROM main.a"));
    ASSIGN_OR_RETURN(uint64_t computed, database_->number("SELECT count(*) FROM main.s WHERE excepted"));
    report.excepted = answer.excepted_keys.size() - computed + comparison.excepted_absent;
    report.excepted_keys.clear();
    for (const std::string& key : answer.excepted_keys) {
      if (report.excepted_keys.size() == request_.samples_max) break;
      report.excepted_keys.push_back(key_for_people(*view.view, view.key, key));
    }
    view.more = std::move(comparison.more);
    if (report.rounds == 1) report.notes.insert(report.notes.end(), answer.notes.begin(), answer.notes.end());
  }
  differences = std::move(comparison.differences);
  for (FailedRow& failed : answer.failed) {
    differences.push_back(
        {.kind = FindingKind::kFailed, .key = failed.key, .source_version = failed.reason, .reason = failed.reason});
  }
  return {};
}

Status ClientVerifier::read_analytics(const OpenView& view, const std::vector<VerifyKey>* keys) {
  AnalyticsLoader loader(*database_, *view.view);
  RETURN_IF_ERROR(loader.open());
  std::vector<std::string> questions;
  if (keys == nullptr) {
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

std::string ClientVerifier::identity(const OpenView& view, const RowDifference& difference) {
  // A multiset has no keys: the same row on the same side is the same finding.
  if (view.key.empty()) return fmt::format("{}{}", static_cast<int>(difference.kind), difference.key);
  return difference.key;
}

std::vector<VerifyKey> ClientVerifier::open_keys(const OpenView& view) {
  std::vector<VerifyKey> keys;
  for (const auto& [id, difference] : view.open) keys.push_back(parse_key(difference.key));
  return keys;
}

// Reads again what differs, both sides, each time at a newer mark, until it agrees or is confirmed.
Status ClientVerifier::settle(OpenView& view) {
  ViewReport& report = report_.views[view.report];
  std::vector<RowDifference> confirmed;
  for (int round = 1; round <= request_.rounds_max && !view.open.empty(); ++round) {
    std::this_thread::sleep_for(round_pause * std::min(round, round_pauses_max));
    std::vector<VerifyKey> keys = open_keys(view);
    const std::vector<VerifyKey>* only = view.key.empty() ? nullptr : &keys;
    uint64_t mark = 0;
    RETURN_IF_ERROR(read_snapshot(view.domains, only, mark));
    ASSIGN_OR_RETURN(bool reached, wait_for(mark));
    if (!reached) {
      return Error{ErrorCode::kTimeout, fmt::format("the analytics did not reach the position {} within {} s",
                                                    position_text(mark), request_.mark_limit.count() / 1000)};
    }
    std::vector<RowDifference> again;
    RETURN_IF_ERROR(compare_once(view, only, again));
    ++report.rounds;
    judge(view, std::move(again), confirmed);
  }
  report.unsettled = view.open.size();
  if (!view.more.empty()) {
    report.error =
        fmt::format("more than {} rows differed at first: only these were read again; verify with the writers stopped",
                    request_.keys_again_max);
    view.more.clear();
  }
  conclude(view, std::move(confirmed));
  return {};
}

void ClientVerifier::judge(OpenView& view, std::vector<RowDifference> again, std::vector<RowDifference>& confirmed) {
  std::map<std::string, RowDifference> still;
  std::set<std::string> seen;
  for (RowDifference& difference : again) {
    std::string id = identity(view, difference);
    if (!seen.insert(id).second) continue;  // doubled and different: one reading
    auto before = view.open.find(id);
    // Rows that were not asked for (an analytics that ignores the condition), or that came up only now.
    if (before == view.open.end()) continue;
    bool unchanged = before->second.source_version == difference.source_version;
    int readings = unchanged ? view.readings[id] + 1 : 1;
    view.readings[id] = readings;
    if (readings >= request_.attempts) {
      confirmed.push_back(std::move(difference));
    } else {
      still.insert_or_assign(std::move(id), std::move(difference));
    }
  }
  view.open = std::move(still);
}

void ClientVerifier::conclude(OpenView& view, std::vector<RowDifference> differences) {
  ViewReport& report = report_.views[view.report];
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
