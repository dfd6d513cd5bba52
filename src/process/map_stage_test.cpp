#include "process/map_stage.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

// "positive" (bool, NULL of NULL) and "half" (int64) of the first input; "half" fails for an odd number.
class ScriptedProgram : public ExpressionProgram {
 public:
  explicit ScriptedProgram(const std::vector<std::string>& expressions) : expressions_(expressions) {
    for (const std::string& of : expressions) {
      types_.push_back({of == "positive" ? TypeId::kBool : TypeId::kInt64});
    }
  }
  const std::vector<LogicalType>& types() const override { return types_; }
  Result<ExpressionOutput> run(std::span<const Column* const> inputs, size_t rows,
                               std::span<const uint32_t> /*groups*/) override {
    ++runs;
    ExpressionOutput out;
    const Column& value = *inputs[0];
    for (size_t i = 0; i < expressions_.size(); ++i) {
      Column& column = out.columns.emplace_back(types_[i]);
      for (size_t row = 0; row < rows; ++row) {
        bool known = value.is_value(row);
        if (known && expressions_[i] == "positive") {
          column.append_fixed<uint8_t>(value.fixed<int64_t>(row) > 0 ? 1 : 0);
        } else if (known && value.fixed<int64_t>(row) % 2 == 0) {
          column.append_fixed<int64_t>(value.fixed<int64_t>(row) / 2);
        } else {
          column.append_null();
          if (known) out.errors.push_back({static_cast<uint32_t>(row), "odd"});
        }
      }
    }
    return out;
  }

  int runs = 0;

 private:
  std::vector<std::string> expressions_;
  std::vector<LogicalType> types_;
};

class ScriptedEngine : public ExpressionEngine {
 public:
  Result<std::unique_ptr<ExpressionProgram>> prepare(const std::vector<InputColumn>& /*inputs*/,
                                                     const std::vector<std::string>& expressions) override {
    auto program = std::make_unique<ScriptedProgram>(expressions);
    programs.push_back(program.get());
    return std::unique_ptr<ExpressionProgram>(std::move(program));
  }
  std::vector<ScriptedProgram*> programs;  // owned by the stage
};

const std::vector<OutputColumn> layout{{"note", {TypeId::kText}}, {"n", {TypeId::kInt64}}};

class MapStageTest : public testing::Test {
 protected:
  MapStageTest() : columns_{Column({TypeId::kText}), Column({TypeId::kInt64})} {}

  void row(const std::string& note, std::optional<int64_t> n) {
    columns_[0].append_bytes(note);
    if (n) {
      columns_[1].append_fixed(*n);
    } else {
      columns_[1].append_null();
    }
    groups_.push_back(0);
  }
  MapStage stage(MapPlan plan, size_t workers = 1) {
    auto made = MapStage::prepare(std::move(plan), layout, engine_, workers);
    CHECK(made.ok(), "{}", made.error().message);
    return std::move(made).value();
  }
  MappedRows run(const MapStage& of, size_t worker = 0) {
    auto done = of.run(columns_, groups_.size(), groups_, worker);
    CHECK(done.ok(), "{}", done.error().message);
    return std::move(done).value();
  }

  ScriptedEngine engine_;
  std::vector<Column> columns_;
  std::vector<uint32_t> groups_;
};

MapPlan positives() {
  return {.inputs = {{"n", {TypeId::kInt64}}},
          .expressions = {"positive"},
          .filter = 0,
          .outputs = {{{"n", {TypeId::kInt64}}, 0, std::nullopt}}};
}

TEST_F(MapStageTest, ARowPassesWhereTheFilterIsTrueNotWhereItIsNull) {
  row("a", 3);
  row("b", -3);
  row("c", std::nullopt);
  MappedRows out = run(stage(positives()));
  EXPECT_EQ(out.passes, (std::vector<uint8_t>{1, 0, 0}));
  EXPECT_TRUE(out.errors.empty());
  EXPECT_EQ(out.columns[0].fixed<int64_t>(0), 3);
  EXPECT_EQ(out.columns[0].state(2), CellState::kNull);
}

TEST_F(MapStageTest, ARowThatFailsDoesNotPassAndTheOthersDo) {
  MapPlan plan = positives();
  plan.expressions.emplace_back("half");
  plan.outputs = {{{"half", {TypeId::kInt64}}, std::nullopt, 1}};
  row("a", 4);
  row("b", 5);
  row("c", 6);
  MappedRows out = run(stage(plan));
  EXPECT_EQ(out.passes, (std::vector<uint8_t>{1, 0, 1}));
  ASSERT_EQ(out.errors.size(), 1u);
  EXPECT_EQ(out.errors[0].row, 1u);
  EXPECT_EQ(out.columns[0].fixed<int64_t>(2), 3);
}

// What DuckDB's types cannot hold does not go through it.
TEST_F(MapStageTest, ColumnsThatPassThroughAreAsTheyWere) {
  columns_[0].append_bytes("a");
  columns_[1].append_text("1e400");
  groups_.push_back(0);
  MappedRows out = run(
      stage({.inputs = {{"n", {TypeId::kInt64}}, {"note", {TypeId::kText}}},
             .expressions = {},
             .filter = std::nullopt,
             .outputs = {{{"other", {TypeId::kText}}, 1, std::nullopt}, {{"n", {TypeId::kInt64}}, 0, std::nullopt}}}));
  EXPECT_TRUE(engine_.programs.empty());
  EXPECT_EQ(out.columns[0].bytes(0), "a");
  EXPECT_EQ(out.columns[1].state(0), CellState::kText);
  EXPECT_EQ(out.columns[1].text(0), "1e400");
  EXPECT_EQ(out.passes, (std::vector<uint8_t>{1}));
}

TEST_F(MapStageTest, EachWorkerHasAProgramOfItsOwn) {
  row("a", 3);
  MapStage of = stage(positives(), 3);
  run(of, 2);
  ASSERT_EQ(engine_.programs.size(), 3u);
  EXPECT_EQ(engine_.programs[0]->runs, 0);
  EXPECT_EQ(engine_.programs[2]->runs, 1);
}

TEST_F(MapStageTest, OfNoRowsNothingIsComputed) {
  MapPlan plan = positives();
  plan.outputs.push_back({{"positive", {TypeId::kBool}}, std::nullopt, 0});
  MapStage of = stage(plan);
  MappedRows out = run(of);
  ASSERT_EQ(out.columns.size(), 2u);
  EXPECT_EQ(out.columns[1].type().id, TypeId::kBool);
  EXPECT_EQ(engine_.programs[0]->runs, 0);
}

}  // namespace
}  // namespace tributary
