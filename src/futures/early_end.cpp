// The end of maps, reductions and pipelines that did not finish in time.
#include "procpool/detail/executor/early_end.hpp"

#include <algorithm>
#include <iterator>

#include "procpool/errors.hpp"

namespace procpool::detail {
namespace {

// More than a screen of numbers does not help.
constexpr std::size_t most_names = 16;

std::string name_of_items(const begun_task& t) {
  if (t.count == 1) return "item " + std::to_string(t.first);
  return "one of the items " + std::to_string(t.first) + " to " +
         std::to_string(t.first + t.count - 1);
}

// "item 3, one of the items 4 to 7 and item 9"
std::string names_of_items(const std::vector<begun_task>& tasks) {
  const std::size_t named = std::min(tasks.size(), most_names);
  std::string text;
  for (std::size_t i = 0; i < named; ++i) {
    if (i != 0) text += i + 1 == tasks.size() ? " and " : ", ";
    text += name_of_items(tasks[i]);
  }
  if (named != tasks.size()) text += " and " + std::to_string(tasks.size() - named) + " more";
  return text;
}

}  // namespace

void await_end(task_state& task, const time_point* deadline) noexcept {
  try {
    task.wait_until(deadline);
  } catch (...) {
    constexpr time_point end_of_time = time_point::max();
    const time_point* const end = deadline != nullptr ? deadline : &end_of_time;
    while (!task.wait_until(end) && deadline == nullptr) {
    }
  }
}

void unfinished_items::end(std::span<const begun_task> tasks, early_end how) {
  const auto each = [tasks](auto f) {
    for (const begun_task& t : tasks) f(*t.task);
  };
  const auto runs = [](const begun_task& t) { return t.task->status() < task_status::cancelled; };
  if (how.mode != cancel_mode::kill_running) {
    std::ranges::copy_if(tasks, std::back_inserter(running_), runs);
    return;
  }
  const time_point limit = deadline_after(how.grace);
  each([&limit](task_state& task) { await_end(task, &limit); });
  for (const begun_task& t : tasks) {
    if (t.task->cancel(true)) {
      killed_.push_back(t);
    } else if (runs(t)) {
      running_.push_back(t);  // in a thread
    }
  }
}

void unfinished_items::fail() const {
  std::string text = "the " + std::string(what_) +
                     " did not finish in time: " + std::to_string(unread_) +
                     (unread_ == 1 ? " item is left" : " items are left");
  if (oldest_.count != 0) text += ", the first of them " + name_of_items(oldest_);
  text += "; items that have not begun are cancelled";
  if (!killed_.empty()) {
    text += ", and the workers of running items are killed: " + names_of_items(killed_);
  }
  if (!running_.empty()) {
    text += ", and running items continue: " + names_of_items(running_) +
            "; in processes the option cancel = cancel_mode::kill_running ends them, and so do "
            "cancel(cancel_mode::kill_running) of the results and shutdown with a timeout";
  }
  throw timeout_error(text);
}

}  // namespace procpool::detail
