#include <cstdio>
#include <cstdlib>

#include "app/commands.h"
#include "capture/postgres/inspect.h"
#include "config/pipeline_writer.h"

namespace tributary {

int init_command(const std::string& url, const std::string& password_environment) {
  if (!url.starts_with("postgresql://") && !url.starts_with("postgres://")) {
    return print_error(
        {ErrorCode::kInvalidInput, "init looks at PostgreSQL databases: postgresql://user@host:port/database"});
  }
  const char* password = std::getenv(password_environment.c_str());
  auto description = inspect_database(url, password == nullptr ? "" : password);
  if (!description.ok()) {
    if (password == nullptr && description.error().message.find("no password supplied") != std::string::npos) {
      return print_error(with_context(description.error(), "set the variable " + password_environment));
    }
    return print_error(description.error());
  }
  if (password != nullptr) description->password = "${env:" + password_environment + "}";
  std::string text = pipeline_file_for(*description);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return exit_ok;
}

}  // namespace tributary
