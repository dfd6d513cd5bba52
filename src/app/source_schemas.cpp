#include "app/source_schemas.h"

#include <algorithm>
#include <set>
#include <thread>

#include "app/assembly.h"
#include "app/control.h"
#include "app/pipeline_plan.h"
#include "app/source_choice.h"
#include "config/views_text.h"

namespace tributary {
namespace {

constexpr std::chrono::seconds look_limit{10};
constexpr size_t looks_at_once = 8;

struct Look {
  CaptureClient client;
  Result<std::vector<TableLook>> tables = Error{ErrorCode::kUnavailable, "not looked at"};
};

// Calls look(i) for each i below `count`, some at once.
void look_at_all(size_t count, const std::function<void(size_t)>& look) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(looks_at_once, count); ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < count; at = next++) look(at);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

SchemaReading read_source_schemas(const Pipeline& pipeline, LockFile lock) {
  const LockFile before = lock;
  SchemaReading reading{std::move(lock), {}};
  reading.lock.pipeline = pipeline.name;
  std::vector<Look> looks;
  for (CaptureClient& client : capture_clients(pipeline)) looks.push_back({std::move(client)});
  look_at_all(looks.size(), [&](size_t i) { looks[i].tables = describe_source(looks[i].client, look_limit); });
  for (Look& look : looks) {
    if (!look.tables.ok()) {
      reading.unreachable.push_back({fmt::format("client {}: {}", look.client.client, look.tables.error().message),
                                     retryable(look.tables.error().code)});
      continue;
    }
    for (TableLook& table : *look.tables) {
      if (table.schema) {
        note_table(reading.lock, before, table.table.domain, look.client.client.value, *std::move(table.schema));
      } else {
        reading.unreachable.push_back(
            {fmt::format("client {}: table {}: {}", look.client.client, table.table.table, table.refusal)});
      }
    }
  }
  note_who_fits(pipeline, reading.lock);
  return reading;
}

std::vector<SourceTrouble> source_troubles(const Pipeline& pipeline) {
  std::vector<CaptureClient> clients = capture_clients(pipeline);
  std::vector<SourceTrouble> troubles(clients.size());
  look_at_all(clients.size(), [&](size_t i) {
    bool away = false;
    std::string trouble = source_trouble(clients[i], look_limit, away);
    if (!trouble.empty()) troubles[i] = {fmt::format("client {}: {}", clients[i].client, trouble), away};
  });
  std::erase_if(troubles, [](const SourceTrouble& trouble) { return trouble.text.empty(); });
  return troubles;
}

namespace {

// Whether each view that does not compile is live with the same text, so that it is no mistake of the file's.
Result<bool> compiled_once(const Pipeline& pipeline, const CompiledPipeline& compiled) {
  Status known = check_data_directory(pipeline, "run");
  if (!known.ok()) return false;
  ASSIGN_OR_RETURN(Reached reached, reach_pipeline(pipeline, {}));
  if (reached.running()) return false;
  ASSIGN_OR_RETURN(Releases releases, Releases::load(*reached.opened->storage));
  if (releases.none()) return false;
  ASSIGN_OR_RETURN(std::vector<ViewConfig> views, parse_views_text(releases.live().views));
  std::set<std::string> live;
  for (const ViewConfig& view : views) live.insert(views_text({view}));
  size_t broken = 0;
  for (const ViewConfig& view : pipeline.views) {
    bool compiles = std::any_of(compiled.views.begin(), compiled.views.end(),
                                [&](const ViewPlan& plan) { return plan.name == view.name; });
    if (compiles) continue;
    if (!live.contains(views_text({view}))) return false;
    ++broken;
  }
  return broken > 0;
}

}  // namespace

std::variant<LockFile, std::vector<FileError>> schemas_without_sources(const Pipeline& pipeline) {
  auto stored = read_lock(lock_path(pipeline.file));
  if (auto* errors = std::get_if<std::vector<FileError>>(&stored)) return std::move(*errors);
  LockFile known = std::get<std::optional<LockFile>>(std::move(stored)).value_or(LockFile{});
  auto duckdb = DuckDbEngine::open();
  if (!duckdb.ok()) return std::vector<FileError>{{pipeline.file, {}, duckdb.error().message}};
  CompileResult offline = compile_pipeline(pipeline, nullptr, plan_functions(**duckdb));
  if (!offline.errors.empty()) return std::move(offline.errors);
  return known;
}

std::variant<LockFile, std::vector<FileError>> schemas_for_run(const Pipeline& pipeline) {
  auto stored = read_lock(lock_path(pipeline.file));
  if (auto* errors = std::get_if<std::vector<FileError>>(&stored)) return std::move(*errors);
  LockFile known = std::get<std::optional<LockFile>>(std::move(stored)).value_or(LockFile{});
  auto duckdb = DuckDbEngine::open();
  if (!duckdb.ok()) return std::vector<FileError>{{pipeline.file, {}, duckdb.error().message}};
  PlanFunctions functions = plan_functions(**duckdb);
  // What is wrong without any database is told without asking one.
  CompileResult offline = compile_pipeline(pipeline, nullptr, functions);
  if (!offline.errors.empty()) return std::move(offline.errors);
  SchemaReading reading = read_source_schemas(pipeline, std::move(known));
  CompileResult compiled = compile_pipeline(pipeline, &reading.lock, functions);
  if (!compiled.errors.empty()) {
    auto once = compiled_once(pipeline, compiled.compiled);
    if (!once.ok()) compiled.errors.push_back({pipeline.file, {}, once.error().message});
    if (!once.ok() || !*once) return std::move(compiled.errors);
  }
  return std::move(reading.lock);
}

}  // namespace tributary
