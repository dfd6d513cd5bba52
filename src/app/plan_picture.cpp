#include "app/plan_picture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "process/aggregate_calls.h"

namespace tributary {
namespace {

std::string name_at(const PlanNode& node, uint32_t column) { return node.columns[column].name; }

std::vector<std::string> names_at(const PlanNode& node, const std::vector<uint32_t>& columns) {
  std::vector<std::string> names;
  for (uint32_t column : columns) names.push_back(name_at(node, column));
  return names;
}

// Names that only the plan has ("count#2"), by what they stand for in the view's SQL.
class PlanNames {
 public:
  explicit PlanNames(const ViewPlan& plan) {
    for (const PlanNode& node : plan.nodes) {
      if (node.kind == NodeKind::kMap) {
        for (const MapOutput& output : node.map.outputs) {
          add(output.column.name,
              output.input ? node.map.inputs[*output.input].name : node.map.expressions[*output.expression]);
        }
      }
      if (node.kind != NodeKind::kAggregate) continue;
      const PlanNode& input = plan.nodes[node.inputs[0]];
      for (const AggregateCall& call : node.aggregate.calls) add(call.column.name, call_text(call, input));
    }
  }

  // "n = count(*)"; without a name of its own only what it computes.
  std::string of_call(const AggregateCall& call, const PlanNode& input) const {
    bool named = call.column.name.find('#') == std::string::npos;
    return (named ? call.column.name + " = " : "") + call_text(call, input);
  }

  // The text with what its names stand for, quoted in SQL or plain.
  std::string resolved(std::string text) const {
    for (const auto& [name, meaning] : meanings_) {
      for (const std::string& written : {'"' + name + '"', name}) {
        for (size_t at = text.find(written); at != std::string::npos; at = text.find(written, at + meaning.size())) {
          text.replace(at, written.size(), meaning);
        }
      }
    }
    return text;
  }

 private:
  static constexpr const char* call_names[] = {"count(*)", "count",    "count",   "sum",     "avg",    "min",
                                               "max",      "bool_and", "bool_or", "arg_min", "arg_max"};

  static std::string call_text(const AggregateCall& call, const PlanNode& input) {
    std::string text = call_names[static_cast<size_t>(call.kind)];
    if (call.argument) {
      text += fmt::format("({}{}{})", call.kind == AggregateKind::kCountDistinct ? "DISTINCT " : "",
                          name_at(input, *call.argument), call.order ? ", " + name_at(input, *call.order) : "");
    }
    return call.filter ? fmt::format("{} FILTER ({})", text, name_at(input, *call.filter)) : text;
  }

  void add(const std::string& name, const std::string& meaning) {
    if (name.find('#') != std::string::npos) meanings_.insert_or_assign(name, resolved(meaning));
  }

  std::map<std::string, std::string, std::greater<>> meanings_;  // count#12 before count#1
};

std::vector<std::string> map_lines(const MapPlan& map) {
  std::vector<std::string> lines;
  std::vector<std::string> passed;
  for (const MapOutput& output : map.outputs) {
    if (output.column.name.find('#') != std::string::npos) continue;  // it is where it is used
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

std::string aggregate_state(const AggregatePlan& aggregate) {
  auto keeps = [](const AggregateCall& call) { return keeps_values(call.kind); };
  if (aggregate.calls.empty()) return "how many rows a group has, by group";
  return std::any_of(aggregate.calls.begin(), aggregate.calls.end(), keeps)
             ? "a group's sums and counts, by group, and its values for min, max, arg_min, arg_max and DISTINCT"
             : "a group's sums and counts, by group";
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
                              const std::set<std::string>& kept_domains) {
  PlanNames names(plan);
  const PlanNode& node = plan.nodes[number];
  NodeDescription out;
  switch (node.kind) {
    case NodeKind::kDomain: {
      out.title = "domain " + node.relation;
      auto relation = relations.find(node.relation);
      if (relation != relations.end()) out.key = fmt::format("client_id, {}", fmt::join(relation->second.key, ", "));
      out.state = kept_domains.contains(node.relation) ? "every row, by client_id and row key"
                                                       : "none, but for values that an update may leave out";
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
      for (const AggregateCall& call : node.aggregate.calls) out.lines.push_back(names.of_call(call, input));
      out.key = fmt::format("{}", fmt::join(groups, ", "));
      out.state = aggregate_state(node.aggregate);
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
  for (std::string& line : out.lines) line = names.resolved(std::move(line));
  out.key = names.resolved(std::move(out.key));
  return out;
}

std::string plan_tree(const ViewPlan& plan, const std::map<std::string, Relation>& relations,
                      const std::set<std::string>& kept_domains) {
  std::string out = fmt::format("view {}\n", plan.name);
  std::function<void(size_t, std::string, bool)> add = [&](size_t number, const std::string& indent, bool last) {
    NodeDescription node = describe_node(plan, number, relations, kept_domains);
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

constexpr int box_width_min = 180;
constexpr int character_width = 8;  // of 12 pixels' monospace, rather too wide
constexpr int line_height = 16;
constexpr int gap = 36;
constexpr size_t line_length_max = 64;  // longer ones go on in the next line

// At blanks where there are any.
std::vector<std::string> wrapped(std::string text) {
  std::vector<std::string> lines;
  while (text.size() > line_length_max) {
    size_t end = text.rfind(' ', line_length_max);
    if (end == std::string::npos || end < line_length_max / 2) {
      end = line_length_max;
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // no character in two
    }
    lines.push_back(text.substr(0, end));
    text = "  " + text.substr(text[end] == ' ' ? end + 1 : end);
  }
  lines.push_back(std::move(text));
  return lines;
}

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
  int width = box_width_min;
  int height = 0;
  std::vector<std::string> lines;
};

// Plans below each other.
class Picture {
 public:
  void add(const ViewPlan& plan, const std::map<std::string, Relation>& relations,
           const std::set<std::string>& kept_domains) {
    plan_ = &plan;
    boxes_.assign(plan.nodes.size(), {});
    for (size_t i = 0; i < plan.nodes.size(); ++i) {
      NodeDescription node = describe_node(plan, i, relations, kept_domains);
      Box& box = boxes_[i];
      box.lines.push_back(node.title);
      auto add_line = [&](const std::string& line) {
        for (std::string& part : wrapped(line)) box.lines.push_back(std::move(part));
      };
      for (const std::string& line : node.lines) add_line(line);
      if (!node.key.empty()) add_line("key: " + node.key);
      if (!node.state.empty()) add_line("state: " + node.state);
      for (const std::string& line : box.lines)
        box.width = std::max(box.width, static_cast<int>(line.size()) * character_width + 16);
      box.height = static_cast<int>(box.lines.size()) * line_height + 14;
    }
    int top = height_ + gap;
    body_ += fmt::format("<text x=\"{}\" y=\"{}\" font-size=\"15\" font-weight=\"bold\">{}</text>\n", gap, top,
                         escaped("view " + plan.name));
    width_ = std::max(width_, place(plan.nodes.size() - 1, gap, top + line_height));
    for (size_t i = 0; i < boxes_.size(); ++i) {
      for (uint32_t input : plan.nodes[i].inputs) body_ += arrow(boxes_[input], boxes_[i]);
    }
    for (const Box& box : boxes_) body_ += rectangle(box);
  }

  std::string draw(const std::string& title) const {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
        "font-family=\"monospace\" font-size=\"12\">\n<title>{2}</title>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{3}</svg>\n",
        width_, height_ + gap, escaped(title), body_);
  }

 private:
  // Places the node with its inputs below it; returns where what is right of them may begin.
  int place(size_t number, int x, int y) {
    Box& box = boxes_[number];
    int right = x;
    for (uint32_t input : plan_->nodes[number].inputs) right = place(input, right, y + box.height + gap);
    right = std::max(right, x + box.width + gap);
    box.x = x + (right - gap - x - box.width) / 2;
    box.y = y;
    height_ = std::max(height_, y + box.height);
    return right;
  }

  static std::string arrow(const Box& from, const Box& to) {
    return fmt::format("<path d=\"M{} {} L{} {}\" stroke=\"#555\" fill=\"none\"/>\n", from.x + from.width / 2, from.y,
                       to.x + to.width / 2, to.y + to.height);
  }

  static std::string rectangle(const Box& box) {
    std::string out =
        fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#f4f7fb\" stroke=\"#345\"/>\n",
                    box.x, box.y, box.width, box.height);
    int y = box.y + line_height;
    for (size_t i = 0; i < box.lines.size(); ++i, y += line_height) {
      out += fmt::format("<text x=\"{}\" y=\"{}\" xml:space=\"preserve\"{}>{}</text>\n", box.x + 8, y,
                         i == 0 ? " font-weight=\"bold\"" : "", escaped(box.lines[i]));
    }
    return out;
  }

  const ViewPlan* plan_ = nullptr;  // that is being added
  std::vector<Box> boxes_;
  std::string body_;
  int width_ = 0;
  int height_ = 0;
};

}  // namespace

std::string plan_svg(const std::vector<const ViewPlan*>& plans, const std::map<std::string, Relation>& relations,
                     const std::set<std::string>& kept_domains) {
  Picture picture;
  for (const ViewPlan* plan : plans) picture.add(*plan, relations, kept_domains);
  return picture.draw(plans.size() == 1 ? "view " + plans[0]->name : "views");
}

}  // namespace tributary
