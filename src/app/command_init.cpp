#include <algorithm>
#include <cstdio>

#include "app/commands.h"
#include "capture/postgres/inspect.h"
#include "config/environment.h"
#include "config/pipeline_writer.h"

namespace tributary {

int init_command(const std::string& url, const std::string& password_environment, bool password_wanted) {
  if (!url.starts_with("postgresql://") && !url.starts_with("postgres://")) {
    std::fprintf(stderr, "tributary: init looks at PostgreSQL databases: postgresql://user@host:port/database\n");
    return exit_usage;
  }
  std::optional<std::string> password = environment_variable(password_environment);
  if (password_wanted && !password) {
    std::fprintf(stderr, "tributary: the environment variable %s is not set; set it to the password\n",
                 password_environment.c_str());
    return exit_usage;
  }
  auto description = inspect_database(url, password.value_or(""));
  if (!description.ok()) {
    if (!password && description.error().message.find("no password supplied") != std::string::npos) {
      return print_error(with_context(description.error(), "set the variable " + password_environment));
    }
    int code = print_error(description.error());
    return description.error().code == ErrorCode::kInvalidInput ? exit_usage
                                                                : code;  // no address, or one with a password
  }
  if (password) description->password = "${env:" + password_environment + "}";
  std::string text = pipeline_file_for(*description);
  std::fwrite(text.data(), 1, text.size(), stdout);
  bool captures =
      std::ranges::any_of(description->tables, [](const auto& table) { return why_not_captured(table).empty(); });
  if (captures) return exit_ok;
  std::fprintf(
      stderr,
      "tributary: none of the tables of the database %s can be captured as it is, so the file has no domain; %s\n",
      description->database.c_str(),
      description->tables.empty() ? "make tables, and run init again"
                                  : "it says for each what to do; run init again then");
  return exit_data;
}

}  // namespace tributary
