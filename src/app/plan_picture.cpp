#include "app/plan_picture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

namespace tributary {
namespace {

std::string name_at(const PlanNode& node, uint32_t column) { return node.columns[column].name; }

std::vector<std::string> names_at(const PlanNode& node, const std::vector<uint32_t>& columns) {
  std::vector<std::string> names;
  for (uint32_t column : columns) names.push_back(name_at(node, column));
  return names;
}

std::string cut(const std::string& text, size_t length_max) {
  return text.size() <= length_max ? text : text.substr(0, length_max - 3) + "...";
}

std::vector<std::string> map_lines(const MapPlan& map) {
  std::vector<std::string> lines;
  std::vector<std::string> passed;
  for (const MapOutput& output : map.outputs) {
    if (output.input && map.inputs[*output.input].name == output.column.name) {
      passed.push_back(output.column.name);
    } else {
      lines.push_back(fmt::format("{} = {}", output.column.name,
                                  output.input ? map.inputs[*output.input].name : map.expressions[*output.expression]));
    }
  }
  if (!passed.empty()) lines.insert(lines.begin(), fmt::format("passes {}", fmt::join(passed, ", ")));
  if (map.filter) lines.push_back("where " + map.expressions[*map.filter]);
  return lines;
}

std::string call_text(const AggregateCall& call, const PlanNode& input) {
  constexpr const char* names[] = {"count(*)", "count",    "count(DISTINCT)", "sum",     "avg",    "min",
                                   "max",      "bool_and", "bool_or",         "arg_min", "arg_max"};
  std::string text = names[static_cast<size_t>(call.kind)];
  if (call.argument) text += fmt::format(" of {}", name_at(input, *call.argument));
  if (call.order) text += fmt::format(" by {}", name_at(input, *call.order));
  if (call.filter) text += fmt::format(" where {}", name_at(input, *call.filter));
  return fmt::format("{} = {}", call.column.name, text);
}

void describe_join(const ViewPlan& plan, const PlanNode& node, NodeDescription& out) {
  const PlanNode& left = plan.nodes[node.inputs[0]];
  const PlanNode& right = plan.nodes[node.inputs[1]];
  out.title = node.join.kind == JoinKind::kLeft ? "left join" : "inner join";
  for (size_t i = 0; i < node.join.left_key.size(); ++i) {
    out.lines.push_back(
        fmt::format("on {} = {}", name_at(left, node.join.left_key[i]), name_at(right, node.join.right_key[i])));
  }
  out.key = node.join.right_unique ? "the left row's" : "the left row's and the right row's";
  out.state = "rows of both sides, by client_id and join key";
}

}  // namespace

NodeDescription describe_node(const ViewPlan& plan, size_t number, const std::map<std::string, Relation>& relations,
                              bool keeps_rows) {
  const PlanNode& node = plan.nodes[number];
  NodeDescription out;
  switch (node.kind) {
    case NodeKind::kDomain: {
      out.title = "domain " + node.relation;
      auto relation = relations.find(node.relation);
      if (relation != relations.end()) out.key = fmt::format("client_id, {}", fmt::join(relation->second.key, ", "));
      out.state =
          keeps_rows ? "every row, by client_id and row key" : "none, but for values that an update may leave out";
      break;
    }
    case NodeKind::kView:
      out.title = "view " + node.relation;
      out.key = "the view's";
      break;
    case NodeKind::kMap:
      out.title = node.map.filter ? "filter and compute" : "compute";
      out.lines = map_lines(node.map);
      out.key = "the input's";
      break;
    case NodeKind::kJoin: describe_join(plan, node, out); break;
    case NodeKind::kAggregate: {
      const PlanNode& input = plan.nodes[node.inputs[0]];
      std::vector<std::string> groups{"client_id"};
      for (uint32_t i = 0; i < node.aggregate.group_columns; ++i) groups.push_back(name_at(input, i));
      out.title = node.aggregate.calls.empty() ? "distinct" : "aggregate";
      for (const AggregateCall& call : node.aggregate.calls) out.lines.push_back(call_text(call, input));
      out.key = fmt::format("{}", fmt::join(groups, ", "));
      out.state = "a group's sums and counts, by group; for min, max, arg_min, arg_max and DISTINCT also its values";
      break;
    }
    case NodeKind::kFirstRow: {
      const PlanNode& input = plan.nodes[node.inputs[0]];
      out.title = "first row";
      for (const OrderColumn& order : node.first_row.order) {
        out.lines.push_back(fmt::format("by {}{}{}", name_at(input, order.column), order.descending ? " DESC" : "",
                                        order.nulls_first ? " NULLS FIRST" : ""));
      }
      std::vector<std::string> partition = names_at(input, node.first_row.partition);
      partition.insert(partition.begin(), "client_id");
      out.key = fmt::format("{}", fmt::join(partition, ", "));
      out.state = "every row of a partition, in order";
      break;
    }
    case NodeKind::kUnion:
      out.title = "union all";
      out.key = "the branch, and the input's";
      break;
  }
  return out;
}

std::string plan_tree(const ViewPlan& plan, const std::map<std::string, Relation>& relations, bool keeps_rows) {
  std::string out = fmt::format("view {}\n", plan.name);
  std::function<void(size_t, std::string, bool)> add = [&](size_t number, const std::string& indent, bool last) {
    NodeDescription node = describe_node(plan, number, relations, keeps_rows);
    std::string below = indent + (last ? "   " : "│  ");
    out += fmt::format("{}{}{}\n", indent, last ? "└─ " : "├─ ", node.title);
    const auto& inputs = plan.nodes[number].inputs;
    std::string bar = below + (inputs.empty() ? "   " : "│  ");
    for (const std::string& line : node.lines) out += bar + line + "\n";
    if (!node.key.empty()) out += fmt::format("{}key: {}\n", bar, node.key);
    if (!node.state.empty()) out += fmt::format("{}state: {}\n", bar, node.state);
    for (size_t i = 0; i < inputs.size(); ++i) add(inputs[i], below, i + 1 == inputs.size());
  };
  add(plan.nodes.size() - 1, "", true);
  return out;
}

namespace {

constexpr int box_width = 300;
constexpr int line_height = 16;
constexpr int gap = 36;
constexpr size_t line_length_max = 44;

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

struct Box {
  int x = 0;
  int y = 0;
  int height = 0;
  std::vector<std::string> lines;
};

class Picture {
 public:
  Picture(const ViewPlan& plan, const std::map<std::string, Relation>& relations, bool keeps_rows) : plan_(plan) {
    boxes_.resize(plan.nodes.size());
    for (size_t i = 0; i < plan.nodes.size(); ++i) {
      NodeDescription node = describe_node(plan, i, relations, keeps_rows);
      Box& box = boxes_[i];
      box.lines.push_back(node.title);
      for (const std::string& line : node.lines) box.lines.push_back(cut(line, line_length_max));
      if (!node.key.empty()) box.lines.push_back(cut("key: " + node.key, line_length_max));
      if (!node.state.empty()) box.lines.push_back(cut("state: " + node.state, line_length_max));
      box.height = static_cast<int>(box.lines.size()) * line_height + 14;
    }
  }

  std::string draw() {
    width_ = place(plan_.nodes.size() - 1, gap, gap);
    std::string body;
    for (size_t i = 0; i < boxes_.size(); ++i) {
      for (uint32_t input : plan_.nodes[i].inputs) body += arrow(boxes_[input], boxes_[i]);
    }
    for (const Box& box : boxes_) body += rectangle(box);
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"monospace\" font-size=\"12\">\n<title>{2}</title>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{3}</svg>\n",
        width_, height_ + gap, escaped("view " + plan_.name), body);
  }

 private:
  // Places the node with its inputs below it; returns where what is right of them may begin.
  int place(size_t number, int x, int y) {
    Box& box = boxes_[number];
    int right = x;
    for (uint32_t input : plan_.nodes[number].inputs) right = place(input, right, y + box.height + gap);
    right = std::max(right, x + box_width + gap);
    box.x = x + (right - gap - x - box_width) / 2;
    box.y = y;
    height_ = std::max(height_, y + box.height);
    return right;
  }

  static std::string arrow(const Box& from, const Box& to) {
    return fmt::format("<path d=\"M{} {} L{} {}\" stroke=\"#555\" fill=\"none\"/>\n", from.x + box_width / 2, from.y,
                       to.x + box_width / 2, to.y + to.height);
  }

  static std::string rectangle(const Box& box) {
    std::string out =
        fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#f4f7fb\" stroke=\"#345\"/>\n",
                    box.x, box.y, box_width, box.height);
    int y = box.y + line_height;
    for (size_t i = 0; i < box.lines.size(); ++i, y += line_height) {
      out += fmt::format("<text x=\"{}\" y=\"{}\"{}>{}</text>\n", box.x + 8, y, i == 0 ? " font-weight=\"bold\"" : "",
                         escaped(box.lines[i]));
    }
    return out;
  }

  const ViewPlan& plan_;
  std::vector<Box> boxes_;
  int width_ = 0;
  int height_ = 0;
};

}  // namespace

std::string plan_svg(const ViewPlan& plan, const std::map<std::string, Relation>& relations, bool keeps_rows) {
  return Picture(plan, relations, keeps_rows).draw();
}

}  // namespace tributary
