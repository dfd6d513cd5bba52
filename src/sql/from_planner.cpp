#include "sql/from_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "sql/join_key_type.h"

namespace tributary {
namespace {

std::string refusal(JoinForm form) {
  switch (form) {
    case JoinForm::kInner:
    case JoinForm::kLeft: return {};
    case JoinForm::kRight: return "RIGHT JOIN is not supported; swap the sides and write LEFT JOIN";
    case JoinForm::kFull:
      return "FULL JOIN is not supported; write LEFT JOIN, and a second view for the rows of the other side";
    case JoinForm::kSemi:
      return "SEMI JOIN is not supported; write JOIN with a view of SELECT DISTINCT over the right side's key";
    case JoinForm::kAnti: return "ANTI JOIN is not supported; write LEFT JOIN … WHERE the right side's key IS NULL";
    case JoinForm::kCross: return "every row with every row is not supported; write JOIN … ON a.id = b.id";
    case JoinForm::kNatural:
      return "NATURAL JOIN changes with the tables' columns; write ON a.id = b.id, or USING (id)";
    case JoinForm::kAsof:
      return "ASOF JOIN is not supported; write ON a.id = b.id, with a view that keeps the row wanted: QUALIFY "
             "row_number() OVER (PARTITION BY … ORDER BY …) = 1";
    case JoinForm::kPositional:
      return "POSITIONAL JOIN has no meaning in a view, which is a set of rows; write ON a.id = b.id";
    case JoinForm::kNested:
      return "joins inside of joins are not supported; write them one after another: a JOIN b ON … JOIN c ON …";
    case JoinForm::kOther: return "this join is not supported; write JOIN … ON a.id = b.id";
  }
  return {};
}

bool is_and(const Expression& expression) {
  return expression.kind == ExpressionKind::kConjunction && expression.name == "CONJUNCTION_AND";
}

void split(const Expression& condition, std::vector<const Expression*>& parts) {
  if (!is_and(condition)) return parts.push_back(&condition);
  for (const Expression& part : condition.children) split(part, parts);
}

size_t last_relation(uint64_t relations) {
  return relations == 0 ? 0 : static_cast<size_t>(std::bit_width(relations)) - 1;
}

// Whether DuckDB can be given every value of the type: none is held as text, or is no UTF-8.
bool takes_all_values(const LogicalType& type) {
  switch (type.id) {
    case TypeId::kBool:
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kUInt64:
    case TypeId::kFloat32:
    case TypeId::kFloat64:
    case TypeId::kUuid:
    case TypeId::kBytes: return true;
    default: return false;
  }
}

}  // namespace

void FromPlanner::check_forms() {
  for (const Join& join : select_.joins) {
    if (std::string refused = refusal(join.form); !refused.empty()) context_.fail(join.offset, refused);
  }
}

void FromPlanner::read_where(const Expression& where) {
  std::vector<const Expression*> parts;
  if (select_.joins.empty()) {
    parts.push_back(&where);
  } else {
    split(where, parts);
  }
  for (const Expression* part : parts) add_filter(*part, "WHERE");
}

void FromPlanner::add_filter(const Expression& condition, std::string_view clause) {
  auto typed = type_condition(context_, scope_.types(), condition, clause);
  if (!typed) return;
  uint64_t relations = scope_.relations_in(condition);
  size_t level = last_relation(relations);
  std::optional<size_t> leaf;
  if (std::popcount(relations) <= 1 && !scope_.relations()[level].null_extended) leaf = level;
  filters_.push_back({*std::move(typed), leaf, level});
}

void FromPlanner::read_join(size_t join, const Expression* condition) {
  size_t errors = context_.errors.size();
  for (const auto& [left, right] : scope_.using_pairs(join)) {
    size_t offset = select_.joins[join].offset;
    add_pair(join, *type_expression(context_, scope_.types(), column_expression(left->name, offset)),
             *type_expression(context_, scope_.types(), column_expression(right->name, offset)), offset);
  }
  std::vector<const Expression*> parts;
  if (condition != nullptr) split(*condition, parts);
  for (const Expression* part : parts) read_on(join, *part);
  choose_conditional(join);
  if (joins_[join].pairs.empty() && context_.errors.size() == errors) {
    const std::string& alias = scope_.relations()[join + 1].alias;
    context_.fail(select_.joins[join].offset,
                  fmt::format("a join needs an equality between its two sides; write ON {}.id = {}.id",
                              scope_.relations()[0].alias, alias));
  }
}

// Where left_only is not true, a left row has NULL in one part of its key: that is computed, and so is none whose column
// may have values that only pass through. Where all parts are such columns, one more is 1 on both sides.
void FromPlanner::choose_conditional(size_t join) {
  JoinConditions& conditions = joins_[join];
  if (conditions.left_only.empty() || conditions.pairs.empty()) return;
  auto fits = std::find_if(conditions.pairs.begin(), conditions.pairs.end(),
                           [](const KeyPair& pair) { return !pair.left.column || takes_all_values(pair.left.type); });
  conditions.conditional = static_cast<size_t>(fits - conditions.pairs.begin());
  if (fits != conditions.pairs.end()) return;
  size_t offset = conditions.pairs[0].offset;
  auto one = type_expression(context_, scope_.types(), one_expression(offset));
  if (one) conditions.pairs.push_back({*one, *one, offset});
}

void FromPlanner::read_on(size_t join, const Expression& condition) {
  if (read_pair(join, condition)) return;
  uint64_t relations = scope_.relations_in(condition);
  uint64_t right = uint64_t{1} << (join + 1);
  bool left_join = select_.joins[join].form == JoinForm::kLeft;
  if (!left_join && relations != right) return add_filter(condition, "ON");
  if (relations != right && (relations & right) != 0) {
    return context_.fail(
        condition.offset,
        "in a LEFT JOIN, a condition on both sides is an equality of one with the other; write the equality "
        "in ON, and this as CASE WHEN … END in SELECT, or write JOIN");
  }
  auto typed = type_condition(context_, scope_.types(), condition, "ON");
  if (!typed) return;
  (relations == right ? joins_[join].right_only : joins_[join].left_only).push_back(*std::move(typed));
}

// left = right, where each uses its own side only.
bool FromPlanner::read_pair(size_t join, const Expression& equality) {
  if (equality.kind != ExpressionKind::kComparison || equality.name != "COMPARE_EQUAL") return false;
  uint64_t right = uint64_t{1} << (join + 1);
  const Expression* sides[] = {&equality.children[0], &equality.children[1]};
  uint64_t uses[] = {scope_.relations_in(*sides[0]), scope_.relations_in(*sides[1])};
  if (uses[0] == right) {
    std::swap(sides[0], sides[1]);
    std::swap(uses[0], uses[1]);
  }
  if (uses[1] != right || uses[0] == 0 || (uses[0] & right) != 0) return false;
  auto left_typed = type_expression(context_, scope_.types(), *sides[0]);
  auto right_typed = type_expression(context_, scope_.types(), *sides[1]);
  if (left_typed && right_typed) add_pair(join, *std::move(left_typed), *std::move(right_typed), equality.offset);
  return true;
}

void FromPlanner::add_pair(size_t join, TypedExpression left, TypedExpression right, size_t offset) {
  auto type = join_key_type(context_.engine, left, right);
  if (!type.ok()) return context_.fail(offset, type.error().message);
  if (*type) {
    left = cast_to(std::move(left), **type);
    right = cast_to(std::move(right), **type);
  }
  joins_[join].pairs.push_back({std::move(left), std::move(right), offset});
}

void FromPlanner::add_uses(const Expression& expression, std::set<std::string>& uses) const {
  for_each_column(expression, [&](const Expression& column) { uses.insert(column.name_parts[0]); });
}

// By level: the columns that are needed above it, filters at that level included.
std::vector<std::set<std::string>> FromPlanner::needs(const std::set<std::string>& used) const {
  size_t joins = joins_.size();
  std::vector<std::set<std::string>> needed(joins + 1);
  needed[joins] = used;
  for (size_t level = joins + 1; level-- > 0;) {
    if (level < joins) {
      for (const std::string& name : needed[level + 1]) {
        if (scope_.column(name).relation <= level) needed[level].insert(name);
      }
      for (const KeyPair& pair : joins_[level].pairs) add_uses(pair.left.expression, needed[level]);
      for (const TypedExpression& condition : joins_[level].left_only) add_uses(condition.expression, needed[level]);
    }
    for (const Filter& filter : filters_) {
      if (!filter.leaf && filter.level == level) add_uses(filter.condition.expression, needed[level]);
    }
  }
  return needed;
}

std::vector<TypedExpression> FromPlanner::filters_at(size_t level) const {
  std::vector<TypedExpression> found;
  for (const Filter& filter : filters_) {
    if (!filter.leaf && filter.level == level) found.push_back(filter.condition);
  }
  return found;
}

std::vector<TypedExpression> FromPlanner::filters_of_leaf(size_t relation) const {
  std::vector<TypedExpression> found;
  for (const Filter& filter : filters_) {
    if (filter.leaf == relation) found.push_back(filter.condition);
  }
  return found;
}

Pipe FromPlanner::build(const std::set<std::string>& used) {
  std::vector<std::set<std::string>> needed = needs(used);
  Pipe pipe = leaf_pipe(scope_, 0);
  pipe.filters = filters_of_leaf(0);
  for (size_t i = 0; i < joins_.size(); ++i) {
    // What the join's output is asked for: by what is above it, and by the filters right behind it.
    std::vector<uint32_t> left_key;
    std::vector<uint32_t> right_key;
    Pipe left = left_side(pipe, i, needed[i + 1], left_key);
    Pipe right = right_side(i, needed[i + 1], right_key);
    pipe = join(left, right, i, std::move(left_key), std::move(right_key));
    pipe.filters = filters_at(i + 1);
  }
  return pipe;
}

Pipe FromPlanner::left_side(const Pipe& pipe, size_t join, const std::set<std::string>& above,
                            std::vector<uint32_t>& key) {
  MapBuilder map(context_, pipe);
  std::vector<std::string> names;
  auto carry = [&](const std::string& name) {
    auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<uint32_t>(found - names.begin());
    map.pass_through(name, name);
    names.push_back(name);
    return static_cast<uint32_t>(names.size() - 1);
  };
  for (const Pipe::Column& column : pipe.columns) {
    if (above.contains(column.column.name)) carry(column.column.name);
  }
  const JoinConditions& conditions = joins_[join];
  for (size_t i = 0; i < conditions.pairs.size(); ++i) {
    const TypedExpression& left = conditions.pairs[i].left;
    bool conditional = i == conditions.conditional && !conditions.left_only.empty();
    if (left.column && !conditional) {
      key.push_back(carry(*left.column));
      continue;
    }
    key.push_back(static_cast<uint32_t>(map.size()));
    names.push_back(context_.fresh_name("key"));
    if (conditional) {
      map.add_where(names.back(), left, conditions.left_only);
    } else {
      map.add(names.back(), left);
    }
  }
  return map.is_identity() ? pipe : map.finish();
}

Pipe FromPlanner::right_side(size_t join, const std::set<std::string>& above, std::vector<uint32_t>& key) {
  Pipe pipe = leaf_pipe(scope_, join + 1);
  pipe.filters = filters_of_leaf(join + 1);
  const JoinConditions& conditions = joins_[join];
  pipe.filters.insert(pipe.filters.end(), conditions.right_only.begin(), conditions.right_only.end());
  MapBuilder map(context_, pipe);
  std::map<std::string, uint32_t> carried;
  auto carry = [&](const std::string& name) {
    auto [found, fresh] = carried.emplace(name, static_cast<uint32_t>(map.size()));
    if (fresh) map.pass_through(name, name);
    return found->second;
  };
  for (const Pipe::Column& column : pipe.columns) {
    bool own = !scope_.column(column.column.name).attribute;
    if (own && above.contains(column.column.name)) carry(column.column.name);
  }
  for (const KeyPair& pair : conditions.pairs) {
    if (pair.right.column) {
      key.push_back(carry(*pair.right.column));
    } else {
      key.push_back(static_cast<uint32_t>(map.size()));
      map.add(context_.fresh_name("key"), pair.right);
    }
  }
  return map.finish();
}

Pipe FromPlanner::join(const Pipe& left, const Pipe& right, size_t join, std::vector<uint32_t> left_key,
                       std::vector<uint32_t> right_key) {
  bool left_join = select_.joins[join].form == JoinForm::kLeft;
  PlanNode node{.kind = NodeKind::kJoin, .inputs = {left.node, right.node}};
  node.join = {.kind = left_join ? JoinKind::kLeft : JoinKind::kInner,
               .left_key = std::move(left_key),
               .right_key = std::move(right_key),
               .right_unique = right_is_unique(join)};
  node.columns = context_.nodes[left.node].columns;
  for (OutputColumn column : context_.nodes[right.node].columns) {
    column.nullable = column.nullable || left_join;
    node.columns.push_back(std::move(column));
  }
  std::vector<Pipe::Key> keys;
  if (node.join.right_unique) {
    keys = left.keys;
  } else if (!left.keys.empty() && !right.keys.empty()) {
    // A left row may stand under its old and its new join key at once (process/join.h).
    keys = {{left.keys[0].columns, false}};
    keys[0].columns.insert(keys[0].columns.end(), right.keys[0].columns.begin(), right.keys[0].columns.end());
  }
  Pipe out = node_pipe(context_, context_.add_node(std::move(node)));
  out.keys = std::move(keys);
  return out;
}

bool FromPlanner::right_is_unique(size_t join) const {
  const Relation& relation = *scope_.relations()[join + 1].relation;
  if (relation.key.empty() || !relation.key_always) return false;
  return std::all_of(relation.key.begin(), relation.key.end(), [&](const std::string& name) {
    return std::any_of(joins_[join].pairs.begin(), joins_[join].pairs.end(), [&](const KeyPair& pair) {
      return pair.right.column && scope_.column(*pair.right.column).source == name;
    });
  });
}

}  // namespace tributary
