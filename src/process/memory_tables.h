// MemoryTables: what the analytics store makes of a graph's output, in memory: of rows with equal sort columns and key the
// greatest version counts. For the simulation and the tests in a pipeline file.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "process/view_graph.h"

namespace tributary {

class MemoryTables {
 public:
  void withdraw(const Withdrawal& withdrawal);
  void insert(const TableDefinition& table, const OutputBatch& rows);
  void drop(const std::string& view);

  // Inserts of a row that differs from one with its key and version: which of them counts is the store's luck. None in a
  // pipeline that is right.
  size_t conflicts() const { return conflicts_; }

  // The client's rows of a view, each as the texts of the cells in `columns`; "\1NULL" for NULL.
  std::vector<std::vector<std::string>> rows(const std::string& view, const ClientId& client,
                                             std::span<const OutputColumn> columns) const;

 private:
  struct Kept {
    Version version;
    bool deleted = false;
    std::map<std::string, std::string> cells;  // by column; of a deleted row they have no meaning

    bool same(const Kept& other) const { return deleted == other.deleted && (deleted || cells == other.cells); }
  };
  struct Id {
    std::string view;
    std::string client;
    std::string sort;
    std::string key;
    friend auto operator<=>(const Id&, const Id&) = default;
  };
  std::map<Id, Kept> kept_;
  size_t conflicts_ = 0;
};

std::string cell_text(const Column& column, size_t row);
inline const std::string null_text = "\1NULL";

}  // namespace tributary
