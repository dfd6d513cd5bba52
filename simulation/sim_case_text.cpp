// Cases as text.
//
//   domain d0: id int64 key, ref int64, s text absent       "grows" behind it: see DomainShape
//   client c0: plan='gold'
//   view v0: SELECT …                                       then, where they differ or are not empty:
//   batch v0: SELECT …
//   failing v0: SELECT count(*) …
//   put c0 d0 key=4 values='7' NULL 'az' absent=3,4 delay=2 twice
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "sim_case.h"

namespace tributary::simulation {
namespace {

const std::vector<std::pair<StepKind, std::string>> step_names{{StepKind::kPut, "put"},
                                                               {StepKind::kDelete, "delete"},
                                                               {StepKind::kMove, "move"},
                                                               {StepKind::kTruncate, "truncate"},
                                                               {StepKind::kSnapshot, "snapshot"},
                                                               {StepKind::kGrow, "grow"},
                                                               {StepKind::kAttribute, "attribute"},
                                                               {StepKind::kRound, "round"},
                                                               {StepKind::kRestart, "restart"},
                                                               {StepKind::kChangeFile, "change-file"},
                                                               {StepKind::kRetry, "retry"},
                                                               {StepKind::kDropLetters, "drop-letters"},
                                                               {StepKind::kSend, "send"},
                                                               {StepKind::kReplay, "replay"},
                                                               {StepKind::kSwitch, "switch"},
                                                               {StepKind::kRollBack, "roll-back"},
                                                               {StepKind::kDropRelease, "drop-release"},
                                                               {StepKind::kFailRound, "fail-round"},
                                                               {StepKind::kQuiet, "quiet"}};

bool of_a_table(StepKind kind) { return kind <= StepKind::kGrow; }

bool of_a_view(StepKind kind) {
  return kind == StepKind::kChangeFile || kind == StepKind::kRetry || kind == StepKind::kDropLetters ||
         kind == StepKind::kReplay;
}

bool of_a_release(StepKind kind) { return kind == StepKind::kSwitch || kind == StepKind::kDropRelease; }

std::string quoted(const Value& value) { return value ? "'" + *value + "'" : "NULL"; }

Value unquoted(const std::string& text) {
  if (text == "NULL") return std::nullopt;
  CHECK(text.size() >= 2 && text.front() == '\'', "a value is NULL or in quotes, not {}", text);
  return text.substr(1, text.size() - 2);
}

// Words between spaces that are not in quotes.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words{""};
  bool in_quotes = false;
  for (char c : line) {
    in_quotes = in_quotes != (c == '\'');
    if (c == ' ' && !in_quotes) {
      if (!words.back().empty()) words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::string step_text(const SimCase& sim, const Step& step) {
  auto name = std::find_if(step_names.begin(), step_names.end(), [&](const auto& of) { return of.first == step.kind; });
  std::string out = name->second;
  if (of_a_table(step.kind)) {
    out += fmt::format(" {} {} key={}", sim.clients[step.client], sim.domains[step.domain].name, step.key);
    if (step.kind == StepKind::kMove || step.kind == StepKind::kSnapshot) out += fmt::format(" to={}", step.other_key);
    if (step.kind == StepKind::kPut || step.kind == StepKind::kMove) {
      out += " values=";
      for (size_t i = 0; i < step.values.size(); ++i) out += (i == 0 ? "" : " ") + quoted(step.values[i]);
      if (!step.left_out.empty()) out += fmt::format(" absent={}", fmt::join(step.left_out, ","));
    }
    if (step.delay > 0) out += fmt::format(" delay={}", step.delay);
    if (step.twice) out += " twice";
    if (step.unseen) out += " unseen";
  }
  if (step.kind == StepKind::kAttribute)
    out += fmt::format(" {} {}={}", sim.clients[step.client], step.attribute, quoted(step.value));
  if (of_a_view(step.kind)) {
    if (step.kind != StepKind::kChangeFile) out += " " + sim.clients[step.client];
    out += " view=" + sim.views[step.view].name;
    if (step.kind == StepKind::kReplay && step.twice) out += " twice";
    if (step.kind == StepKind::kReplay && step.unseen) out += " unseen";
  }
  if (of_a_release(step.kind)) out += fmt::format(" key={}", step.key);
  if (step.kind == StepKind::kRestart) out += fmt::format(" workers={}", step.workers);
  return out;
}

template <typename Of>
uint32_t number_of(const std::vector<Of>& all, const std::string& name) {
  for (uint32_t i = 0; i < all.size(); ++i) {
    if constexpr (std::is_same_v<Of, std::string>) {
      if (all[i] == name) return i;
    } else {
      if (all[i].name == name) return i;
    }
  }
  CHECK(false, "there is no {}", name);
  return 0;
}

Step parse_step(const SimCase& sim, const std::vector<std::string>& words) {
  Step step;
  auto kind = std::find_if(step_names.begin(), step_names.end(), [&](const auto& of) { return of.second == words[0]; });
  CHECK(kind != step_names.end(), "no step is called {}", words[0]);
  step.kind = kind->first;
  size_t next = 1;
  if (of_a_table(step.kind) || step.kind == StepKind::kAttribute ||
      (of_a_view(step.kind) && step.kind != StepKind::kChangeFile))
    step.client = number_of(sim.clients, words[next++]);
  if (of_a_table(step.kind)) step.domain = number_of(sim.domains, words[next++]);
  for (; next < words.size(); ++next) {
    size_t equals = words[next].find('=');
    std::string name = words[next].substr(0, equals);
    std::string value = equals == std::string::npos ? "" : words[next].substr(equals + 1);
    if (name == "key") step.key = std::stoll(value);
    if (name == "view") step.view = number_of(sim.views, value);
    if (name == "to") step.other_key = std::stoll(value);
    if (name == "delay") step.delay = static_cast<uint32_t>(std::stoul(value));
    if (name == "twice") step.twice = true;
    if (name == "unseen") step.unseen = true;
    if (name == "workers") step.workers = static_cast<uint32_t>(std::stoul(value));
    if (name == "values") {
      step.values.push_back(unquoted(value));
      while (next + 1 < words.size() && (words[next + 1] == "NULL" || words[next + 1][0] == '\''))
        step.values.push_back(unquoted(words[++next]));
    }
    if (name == "absent") {
      std::istringstream columns(value);
      for (std::string column; std::getline(columns, column, ',');)
        step.left_out.insert(static_cast<uint32_t>(std::stoul(column)));
    }
    if (step.kind == StepKind::kAttribute) {
      step.attribute = name;
      step.value = unquoted(value);
    }
  }
  return step;
}

DomainShape parse_domain(std::vector<std::string> words) {
  DomainShape shape;
  shape.name = words[1].substr(0, words[1].size() - 1);
  if (words.back() == "grows") {
    shape.grows = true;
    words.pop_back();
  }
  for (size_t i = 2; i < words.size();) {
    ColumnSchema column;
    column.name = words[i++];
    bool last = false;
    for (bool first = true; i < words.size() && !last; ++i, first = false) {
      std::string word = words[i];
      last = word.back() == ',';
      if (last) word.pop_back();
      if (first) column.type = *LogicalType::parse(word);
      if (word == "key") column.key = true;
      if (word == "absent") column.may_be_absent = true;
    }
    column.source_type = column.type.to_string();
    if (column.key) shape.key.push_back(static_cast<uint32_t>(shape.columns.size()));
    shape.columns.push_back(std::move(column));
  }
  return shape;
}

}  // namespace

std::string to_text(const SimCase& sim) {
  std::string out = fmt::format("seed {}\n", sim.seed);
  for (const DomainShape& shape : sim.domains) {
    std::string columns;
    for (const ColumnSchema& column : shape.columns) {
      columns += fmt::format("{}{} {}{}{}", columns.empty() ? "" : ", ", column.name, column.type.to_string(),
                             column.key ? " key" : "", column.may_be_absent ? " absent" : "");
    }
    out += fmt::format("domain {}: {}{}\n", shape.name, columns, shape.grows ? " grows" : "");
  }
  for (size_t i = 0; i < sim.clients.size(); ++i) {
    out += "client " + sim.clients[i] + ":";
    for (const auto& [name, value] : sim.attributes[i]) out += fmt::format(" {}={}", name, quoted(value));
    out += "\n";
  }
  for (const ViewText& view : sim.views) {
    out += fmt::format("view {}: {}\n", view.name, view.sql);
    if (view.batch != view.sql) out += fmt::format("batch {}: {}\n", view.name, view.batch);
    if (!view.failing.empty()) out += fmt::format("failing {}: {}\n", view.name, view.failing);
    if (!view.other_sql.empty()) out += fmt::format("other {}: {}\n", view.name, view.other_sql);
    if (!view.other_batch.empty()) out += fmt::format("other-batch {}: {}\n", view.name, view.other_batch);
    if (!view.other_failing.empty()) out += fmt::format("other-failing {}: {}\n", view.name, view.other_failing);
  }
  for (const Step& step : sim.steps) out += step_text(sim, step) + "\n";
  return out;
}

SimCase parse_case(const std::string& text) {
  SimCase sim;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> words = words_of(line);
    std::string rest = line.substr(std::min(line.size(), line.find(": ") + 2));
    if (words[0] == "seed") {
      sim.seed = std::stoull(words[1]);
    } else if (words[0] == "domain") {
      sim.domains.push_back(parse_domain(words));
    } else if (words[0] == "client") {
      sim.clients.push_back(words[1].substr(0, words[1].size() - 1));
      sim.attributes.emplace_back();
      for (size_t i = 2; i < words.size(); ++i) {
        size_t equals = words[i].find('=');
        sim.attributes.back()[words[i].substr(0, equals)] = unquoted(words[i].substr(equals + 1));
      }
    } else if (words[0] == "view") {
      sim.views.push_back({.name = words[1].substr(0, words[1].size() - 1), .sql = rest, .batch = rest});
    } else if (words[0] == "batch") {
      sim.views.back().batch = rest;
    } else if (words[0] == "failing") {
      sim.views.back().failing = rest;
    } else if (words[0] == "other") {
      sim.views.back().other_sql = sim.views.back().other_batch = rest;
    } else if (words[0] == "other-batch") {
      sim.views.back().other_batch = rest;
    } else if (words[0] == "other-failing") {
      sim.views.back().other_failing = rest;
    } else {
      sim.steps.push_back(parse_step(sim, words));
    }
  }
  return sim;
}

}  // namespace tributary::simulation
