#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "app/commands.h"
#include "app/control.h"
#include "app/control_releases.h"
#include "app/dead_letter_rows.h"
#include "app/scratch_folder.h"
#include "app/source_schemas.h"
#include "app/status_report.h"
#include "config/views_text.h"
#include "model/row_key.h"
#include "verify/verify.h"

namespace tributary {
namespace {

// What verify() may ask of the pipeline: running, or opened here for it.
class Pipe {
 public:
  static Result<std::unique_ptr<Pipe>> open(const Pipeline& pipeline) {
    RETURN_IF_ERROR(check_data_directory(pipeline, "verify"));
    ASSIGN_OR_RETURN(Reached reached, reach_pipeline(pipeline, {.engine = true}));
    return std::make_unique<Pipe>(pipeline, std::move(reached.opened));
  }
  Pipe(const Pipeline& pipeline, std::unique_ptr<Assembly> opened)
      : pipeline_(pipeline), assembly_(std::move(opened)) {}

  bool running() const { return assembly_ == nullptr; }
  // Whether the pipeline that is judged is still there.
  Status alive() const {
    if (!running() || control_answers(control_socket_path(pipeline_.data))) return {};
    return Error{ErrorCode::kUnavailable, "the pipeline ended while it was verified; verify it again"};
  }

  Status query(const ClientQuery& query, const std::function<void(std::string_view)>& out) {
    return running() ? control_query(pipeline_, query, true, out) : assembly_->validator_queries->query(query, out);
  }
  Result<bool> wait(const ClientId& client, std::chrono::milliseconds limit) {
    ASSIGN_OR_RETURN(Waited waited, control_wait(pipeline_, client, limit));
    if (std::find(waited.stopped.begin(), waited.stopped.end(), client.value) != waited.stopped.end()) {
      return Error{ErrorCode::kUnavailable,
                   fmt::format("the client is stopped, so that its source is ahead: `tributary status {}` says why and "
                               "what to do",
                               pipeline_.file)};
    }
    return waited.queryable;
  }
  // What is live, as config/views_text.h says; empty: nothing was ever run.
  Result<std::string> live_views() {
    if (!running()) {
      ASSIGN_OR_RETURN(Releases releases, Releases::load(*assembly_->storage));
      return releases.none() ? std::string() : releases.live().views;
    }
    return control_live_views(pipeline_);
  }
  Result<std::vector<std::string>> dead_letters(const ClientId& client, const std::string& view) {
    return running() ? control_dead_letters(pipeline_, client, view)
                     : stored_dead_letter_keys(*assembly_->storage, client, view);
  }

 private:
  const Pipeline& pipeline_;
  std::unique_ptr<Assembly> assembly_;  // where it does not run
};

std::vector<VerifyClient> clients_to_verify(const Pipeline& pipeline, const CompiledPipeline& compiled,
                                            const std::string& only) {
  std::vector<VerifyClient> clients;
  auto types = pipeline.attribute_types();
  for (const auto& [id, config] : pipeline.clients) {
    if (!only.empty() && id != only) continue;
    VerifyClient client;
    client.client = ClientId{id};
    client.url = config.verify_source ? config.verify_source->text : config.source.text;
    client.password = config.verify_password.empty() ? config.password : config.verify_password;
    for (const auto& [name, domain] : pipeline.domains) {
      auto relation = compiled.domains.find(name);
      if (relation == compiled.domains.end()) continue;
      const auto& fitting = relation->second.clients;
      if (std::find(fitting.begin(), fitting.end(), id) != fitting.end()) client.tables[name] = domain.table;
    }
    for (const auto& [name, type] : types) {
      auto value = config.attributes.find(name);
      client.attributes.push_back(
          {name, type, value == config.attributes.end() ? std::nullopt : std::optional(value->second.text)});
    }
    clients.push_back(std::move(client));
  }
  return clients;
}

VerifyRequest request_of(const Pipeline& pipeline, const CompiledPipeline& compiled, const VerifyOptions& options) {
  VerifyRequest request;
  request.source_rows_per_second = options.rate;
  request.state_file = options.resume;
  if (options.memory > 0) request.memory_bytes_max = options.memory;
  if (options.wait_seconds > 0)
    request.mark_limit = std::chrono::milliseconds(static_cast<int64_t>(options.wait_seconds * 1000));
  request.clients = clients_to_verify(pipeline, compiled, options.client);
  for (const auto& [name, domain] : compiled.domains) {
    request.domains.push_back({name, domain.relation.columns, domain.relation.key});
  }
  for (const ViewPlan& plan : compiled.views) {
    VerifyView view{
        .name = plan.name, .sql = "SELECT * FROM \"" + plan.name + "\"", .columns = plan.columns(), .key = plan.key};
    for (size_t i = 0; i < view.columns.size() && !plan.options.ttl_column.empty(); ++i) {
      if (view.columns[i].name == plan.options.ttl_column) view.ttl_column = i;
    }
    view.ttl = plan.options.ttl;
    for (const ViewConfig& config : pipeline.views) {
      if (config.name == plan.name) view.sql = config.sql;
    }
    view.compared = options.view.empty() || plan.name == options.view;
    request.views.push_back(std::move(view));
  }
  return request;
}

// What is wanted and was not compared is an error, not a silence: views of domains that a client is set aside for, or of
// which no columns are known.
void report_left_out(const Pipeline& pipeline, const CompiledPipeline& compiled, const VerifyOptions& options,
                     VerifyReport& report) {
  std::map<std::string, std::set<std::string>> domains_of;  // by view, through the views that it reads
  for (const ViewPlan& plan : compiled.views) {
    for (const PlanNode& node : plan.nodes) {
      if (node.kind == NodeKind::kDomain) domains_of[plan.name].insert(node.relation);
      if (node.kind == NodeKind::kView) domains_of[plan.name].merge(std::set(domains_of[node.relation]));
    }
  }
  auto wanted = [&](const std::string& view) { return options.view.empty() || view == options.view; };
  for (ClientReport& client : report.clients) {
    for (const auto& [view, domains] : domains_of) {
      for (const std::string& name : domains) {
        for (const SetAside& aside : compiled.domains.at(name).set_aside) {
          if (aside.client != client.client.value || !wanted(view)) continue;
          std::erase_if(client.views, [&](const ViewReport& known) { return known.view == view; });
          client.views.push_back({.view = view,
                                  .error = fmt::format("the client is set aside for domain {}: {}", name, aside.reason),
                                  .findings = {},
                                  .samples = {},
                                  .excepted_keys = {},
                                  .notes = {}});
        }
      }
    }
    for (const auto& [name, domain] : pipeline.domains) {
      if (compiled.domains.contains(name) || !options.view.empty()) continue;
      client.views.push_back({.view = name,
                              .error = "nothing of this domain was captured: no client's columns of it are known",
                              .findings = {},
                              .samples = {},
                              .excepted_keys = {},
                              .notes = {}});
    }
  }
}

void report_not_compiled(const Pipeline& pipeline, const CompiledPipeline& compiled, const VerifyOptions& options,
                         VerifyReport& report) {
  for (const ViewConfig& view : pipeline.views) {
    bool compiles = std::any_of(compiled.views.begin(), compiled.views.end(),
                                [&](const ViewPlan& plan) { return plan.name == view.name; });
    if (compiles || (!options.view.empty() && options.view != view.name)) continue;
    for (ClientReport& client : report.clients) {
      client.views.push_back({.view = view.name,
                              .error = "it, or a view that it reads, does not compile against the tables of today; "
                                       "`tributary check` says why",
                              .findings = {},
                              .samples = {},
                              .excepted_keys = {},
                              .notes = {}});
    }
  }
}

// A difference may be what `status` warns of: a table that cannot be captured any more keeps the rows that it had.
void note_warnings(const Pipeline& pipeline, VerifyReport& report) {
  nlohmann::json status = known_status(pipeline);
  for (ClientReport& client : report.clients) {
    bool clean = client.error.empty() && std::ranges::all_of(client.views, &ViewReport::clean);
    if (clean) continue;
    for (const nlohmann::json& known : status["clients"]) {
      if (known.value("client", "") != client.client.value) continue;
      std::string reason = known.value("reason", "");
      if (!reason.empty()) client.notes.push_back("status says: " + reason);
      for (const auto& warning : known.value("warnings", std::vector<std::string>()))
        client.notes.push_back("status warns: " + warning);
    }
  }
}

// Of a file whose views are not live, what is live is judged: nullopt where the file says the same.
Result<std::optional<Pipeline>> as_live(const Pipeline& pipeline, Pipe& pipe) {
  ASSIGN_OR_RETURN(std::string views, pipe.live_views());
  if (views.empty() || views == views_text(pipeline.views)) return std::optional<Pipeline>();
  Pipeline live = pipeline;
  live.tests.clear();
  ASSIGN_OR_RETURN(live.views, parse_views_text(views));
  std::fprintf(stderr, "tributary: the views of %s are not live; those that are, are verified\n",
               pipeline.file.c_str());
  return std::optional(std::move(live));
}

}  // namespace

int verify_command(const VerifyOptions& options) {
  auto loaded = load_or_complain(options.file);
  if (int* code = std::get_if<int>(&loaded)) return *code;
  auto pipeline = std::get<Pipeline>(std::move(loaded));
  if (!options.client.empty() && !pipeline.clients.contains(options.client)) {
    std::fprintf(stderr, "tributary: %s has no client %s\n", options.file.c_str(), options.client.c_str());
    return exit_usage;
  }
  if (auto identity = DataDirectory::inspect(pipeline.data); identity.ok() && identity->captures_alone) {
    return print_error({ErrorCode::kUnsupported, asks_processing()});
  }
  ScratchFolder scratch("tributary-verify");
  if (options.against_raw) return verify_against_raw(pipeline, options);
  auto duckdb = DuckDbEngine::open();
  if (!duckdb.ok()) return print_error(duckdb.error());
  CheckResult checked = check_pipeline(options.file, plan_functions(**duckdb));
  print_errors(checked.errors);
  // Views that compile are judged where others do not.
  bool judged = checked.errors.empty() || (checked.lock && !checked.compiled.views.empty());
  if (!judged) return exit_config;
  for (const auto& [id, client] : pipeline.clients) {
    bool wanted = options.client.empty() || id == options.client;
    if (!wanted || client.verify_source || client.source.scheme == "postgresql") continue;
    std::fprintf(stderr,
                 "tributary: client %s is read from a connector's topics; name its database as verify_source: "
                 "postgresql://…, or verify the others with --client\n",
                 id.c_str());
    return exit_config;
  }
  VerifyRequest request = request_of(pipeline, checked.compiled, options);
  if (std::none_of(request.views.begin(), request.views.end(), [](const VerifyView& view) { return view.compared; })) {
    if (Status ran = check_data_directory(pipeline, "verify"); !ran.ok()) return print_error(ran.error());
    if (checked.compiled.views.empty()) {
      std::fprintf(stderr,
                   "tributary: there is no view to verify: the lock file of %s knows no table's columns; `tributary "
                   "check %s --connect` reads them\n",
                   options.file.c_str(), options.file.c_str());
      return exit_config;
    }
    std::fprintf(stderr, "tributary: there is no view %s\n", options.view.c_str());
    return exit_usage;
  }
  auto pipe = Pipe::open(pipeline);
  if (!pipe.ok()) return print_error(pipe.error());
  auto live = as_live(pipeline, **pipe);
  if (!live.ok()) return print_error(live.error());
  if (*live) {
    CompileResult compiled =
        compile_pipeline(**live, checked.lock ? &*checked.lock : nullptr, plan_functions(**duckdb));
    checked.compiled = std::move(compiled.compiled);
    checked.errors = std::move(compiled.errors);
    request = request_of(**live, checked.compiled, options);
    if (std::none_of(request.views.begin(), request.views.end(),
                     [](const VerifyView& view) { return view.compared; })) {
      std::fprintf(stderr, "tributary: view %s is not live\n", options.view.c_str());
      return exit_usage;
    }
  }
  request.scratch_directory = scratch.path();
  request.live = (*pipe)->running();
  VerifyPorts ports{
      .analytics =
          [&](const ClientId& client, std::string_view sql, std::string_view format,
              const std::function<void(std::string_view)>& out) {
            return (*pipe)->query({client, std::string(sql), std::string(format)}, out);
          },
      .wait_until_queryable = [&](const ClientId& client, uint64_t,
                                  std::chrono::milliseconds limit) { return (*pipe)->wait(client, limit); },
      .dead_rows = [&](const ClientId& client, const std::string& view) -> Result<std::vector<VerifyDeadLetter>> {
        ASSIGN_OR_RETURN(auto keys, (*pipe)->dead_letters(client, view));
        std::vector<VerifyDeadLetter> letters;
        for (const ViewPlan& plan : checked.compiled.views) {
          if (plan.name != view) continue;
          for (const std::string& key : keys)
            for (const DeadLetterRow& row : rows_of_dead_letter(plan, key))
              letters.push_back({row.relation, row_key_values(row.key)});
        }
        return letters;
      },
      .progress =
          [&, shown = ::isatty(STDERR_FILENO) != 0](const VerifyProgress& progress) {
            if (shown) {
              std::fprintf(stderr, "\r\033[K%s %s: %lu rows", progress.client.value.c_str(), progress.what.c_str(),
                           progress.rows);
            }
            return (*pipe)->alive();
          }};
  auto report = verify(request, ports);
  if (::isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\033[K");
  if (!report.ok()) return print_error(report.error());
  const Pipeline& judged_pipeline = *live ? **live : pipeline;
  report_left_out(judged_pipeline, checked.compiled, options, *report);
  if (!checked.errors.empty()) report_not_compiled(judged_pipeline, checked.compiled, options, *report);
  note_warnings(judged_pipeline, *report);
  std::string text = options.json ? report_json(*report) + "\n" : report_text(*report);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (report->different()) return exit_difference;
  return report->clean() ? exit_ok : exit_unavailable;
}

}  // namespace tributary
