#include "process/view_stage.h"

#include <algorithm>

namespace tributary {
namespace {

constexpr std::string_view attribute_prefix = "client.";

void append_all(Column& to, const Column& from) {
  for (size_t row = 0; row < from.rows(); ++row) to.append_from(from, row);
}

uint32_t client_index(OutputBatch& batch, const ClientId& client) {
  auto at = std::find(batch.clients.begin(), batch.clients.end(), client);
  if (at == batch.clients.end()) at = batch.clients.insert(at, client);
  return static_cast<uint32_t>(at - batch.clients.begin());
}

// Appends keys, clients and versions of `rows`, all with the same deleted flag.
void append_rows(OutputBatch& batch, const MergedRows& rows, const std::map<ClientId, ClientAttributes>& attributes,
                 uint8_t deleted) {
  std::vector<uint32_t> index;
  std::vector<uint32_t> revision;
  for (const ClientId& client : rows.clients) {
    index.push_back(client_index(batch, client));
    auto at = attributes.find(client);
    revision.push_back(at == attributes.end() ? 0 : at->second.revision);
  }
  for (size_t row = 0; row < rows.rows(); ++row) {
    uint32_t client = rows.client_of_row[row];
    batch.client_of_row.push_back(index[client]);
    batch.keys.push_back(rows.keys[row]);
    batch.versions.push_back(Version::of_row(rows.positions[row], revision[client], rows.fills[row]));
    batch.deleted.push_back(deleted);
  }
}

}  // namespace

ViewStage::ViewStage(ViewPlan plan, Relation relation, std::unique_ptr<ExpressionProgram> program)
    : plan_(std::move(plan)), relation_(std::move(relation)), program_(std::move(program)) {
  CHECK(plan_.expressions.empty() == (program_ == nullptr));
  for (const InputColumn& input : plan_.inputs) {
    auto at = std::find_if(relation_.columns.begin(), relation_.columns.end(),
                           [&](const OutputColumn& column) { return column.name == input.name; });
    bool attribute = input.name.starts_with(attribute_prefix) && at == relation_.columns.end();
    CHECK(attribute || at != relation_.columns.end(), "view {} reads {}, which {} has not", plan_.name, input.name,
          relation_.name);
    input_column_.push_back(attribute ? std::nullopt
                                      : std::optional(static_cast<uint32_t>(at - relation_.columns.begin())));
  }
}

Column ViewStage::attribute_column(size_t input, const MergedRows& rows,
                                   const std::map<ClientId, ClientAttributes>& attributes) const {
  Column column(plan_.inputs[input].type);
  std::string name = plan_.inputs[input].name.substr(attribute_prefix.size());
  std::vector<const Column*> of_client;
  for (const ClientId& client : rows.clients) {
    const Column*& value = of_client.emplace_back(nullptr);
    auto known = attributes.find(client);
    if (known == attributes.end()) continue;
    auto at = known->second.values.find(name);
    if (at != known->second.values.end() && at->second.type() == column.type()) value = &at->second;
  }
  for (uint32_t client : rows.client_of_row) {
    if (of_client[client] == nullptr) {
      column.append_null();
    } else {
      column.append_from(*of_client[client], 0);
    }
  }
  return column;
}

Result<ExpressionOutput> ViewStage::compute(const MergedRows& live,
                                            const std::map<ClientId, ClientAttributes>& attributes) {
  std::vector<Column> attribute_columns;
  attribute_columns.reserve(plan_.inputs.size());
  std::vector<const Column*> inputs;
  for (size_t i = 0; i < plan_.inputs.size(); ++i) {
    if (input_column_[i]) {
      inputs.push_back(&live.columns[*input_column_[i]]);
    } else {
      inputs.push_back(&attribute_columns.emplace_back(attribute_column(i, live, attributes)));
    }
  }
  return program_->run(inputs, live.rows(), live.client_of_row);
}

Result<ViewOutputRows> ViewStage::run(const MergedRows& live, const MergedRows& gone,
                                      const std::map<ClientId, ClientAttributes>& attributes) {
  ExpressionOutput computed;
  if (program_ != nullptr && live.rows() > 0) {
    ASSIGN_OR_RETURN(computed, compute(live, attributes));
  }
  ViewOutputRows out;
  append_rows(out.rows, live, attributes, 0);
  for (const RowError& error : computed.errors) {
    out.rows.deleted[error.row] = 1;
    out.dead.push_back({live.clients[live.client_of_row[error.row]], live.keys[error.row], live.positions[error.row],
                        error.message});
  }
  if (plan_.filter && live.rows() > 0) {
    const Column& passes = computed.columns[*plan_.filter];
    for (size_t row = 0; row < live.rows(); ++row) {
      if (!passes.is_value(row) || passes.fixed<uint8_t>(row) == 0) out.rows.deleted[row] = 1;
    }
  }
  append_rows(out.rows, gone, attributes, 1);

  for (const ViewOutput& output : plan_.outputs) {
    Column& column = out.rows.columns.emplace_back(output.column.type);
    if (output.input) {
      std::optional<uint32_t> from = input_column_[*output.input];
      for (const MergedRows* rows : {&live, &gone}) {
        if (rows->rows() == 0) continue;
        append_all(column, from ? rows->columns[*from] : attribute_column(*output.input, *rows, attributes));
      }
      continue;
    }
    CHECK(output.expression, "output {} of view {} is neither a column nor an expression", output.column.name, plan_.name);
    if (live.rows() > 0) append_all(column, computed.columns[*output.expression]);
    for (size_t row = 0; row < gone.rows(); ++row) column.append_null();
  }
  return out;
}

}  // namespace tributary
