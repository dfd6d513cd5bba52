// MemoryTables: what the analytics store makes of a graph's output, in memory: of rows with equal sort columns and key the
// greatest version counts. For the simulation and the tests in a pipeline file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "process/view_graph.h"

namespace tributary {

class MemoryTables {
 public:
  void withdraw(const Withdrawal& withdrawal);
  void insert(const std::string& view, const ViewPlan& plan, const OutputBatch& rows);

  // The client's rows of a view, each as the cells' texts; "\1NULL" for NULL.
  std::vector<std::vector<std::string>> rows(const std::string& view, const ClientId& client) const;

 private:
  struct Kept {
    Version version;
    bool deleted = false;
    std::vector<std::string> cells;
  };
  struct Id {
    std::string view;
    std::string client;
    std::string sort;
    std::string key;
    friend auto operator<=>(const Id&, const Id&) = default;
  };
  std::map<Id, Kept> kept_;
};

std::string cell_text(const Column& column, size_t row);
inline const std::string null_text = "\1NULL";

}  // namespace tributary
