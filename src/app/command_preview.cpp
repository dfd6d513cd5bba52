#include <algorithm>
#include <cstdio>

#include "app/commands.h"
#include "app/conversation.h"
#include "app/diff_text.h"
#include "app/json_line.h"
#include "app/view_names.h"
#include "config/views_text.h"

namespace tributary {
namespace {

using nlohmann::json;

std::string cell_text(const json& cell) {
  if (cell.is_null()) return "NULL";
  return cell.is_string() ? cell.get<std::string>() : cell.dump();
}

void print_rows(const json& preview) {
  std::string line;
  for (const json& column : preview["columns"]) line += (line.empty() ? "" : "\t") + column.get<std::string>();
  std::printf("%s\n", line.c_str());
  for (const json& row : preview["rows"]) {
    line.clear();
    for (const json& cell : row) line += (&cell == &row[0] ? "" : "\t") + cell_text(cell);
    std::printf("%s\n", line.c_str());
  }
}

}  // namespace

int preview_command(const PreviewOptions& options) {
  auto loaded = load_or_complain(options.file, {.environment = {}, .source_passwords = false});
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (!knows_client(pipeline, options.client) || !knows_view(pipeline, options.view)) return exit_usage;
  if (auto code = complain_of_views(pipeline)) return *code;
  if (Status known = check_data_directory(pipeline, "preview"); !known.ok()) return print_error(known.error());
  auto talk = Conversation::begin(pipeline, {.engine = true, .process = true});
  if (!talk.ok()) return print_error(talk.error());
  auto answer = talk->ask({{"command", "preview"},
                           {"client", options.client},
                           {"view", options.view},
                           {"views", views_text(pipeline.views)},
                           {"samples", options.limit}});
  if (!answer.ok()) return print_error(answer.error());
  if (options.json) {
    std::printf("%s\n", json_line(*answer).c_str());
    return exit_ok;
  }
  print_rows((*answer)["preview"]);
  std::printf("\n");
  print_table_diff(*answer, "rows now", "by the file");
  return exit_ok;
}

int verify_against_raw(const Pipeline& pipeline, const VerifyOptions& options) {
  if (Status known = check_data_directory(pipeline, "verify"); !known.ok()) return print_error(known.error());
  auto talk = Conversation::begin(pipeline, {.engine = true, .process = true});
  if (!talk.ok()) return print_error(talk.error());
  auto answer =
      talk->ask({{"command", "compare_with_raw"}, {"client", options.client}, {"view", options.view}, {"samples", 5}});
  if (!answer.ok()) return print_error(answer.error());
  bool different = false;
  for (const json& entry : (*answer)["views"]) {
    bool equal = entry["added"] == 0 && entry["removed"] == 0 && entry["changed"] == 0;
    different = different || !equal;
    if (options.json) continue;
    if (equal) {
      std::printf("%s  %s: %s rows, equal to what %s events of raw give\n", entry["client"].get<std::string>().c_str(),
                  entry["view"].get<std::string>().c_str(), entry["rows_before"].dump().c_str(),
                  entry["events"].dump().c_str());
    } else {
      print_table_diff(entry, "rows now", "by raw");
    }
  }
  if (options.json) std::printf("%s\n", json_line(*answer).c_str());
  return different ? exit_difference : exit_ok;
}

}  // namespace tributary
