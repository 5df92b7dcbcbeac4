#include "demo/options.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include "demo/words.hpp"

namespace demo {

const std::string_view usage = R"(usage: word_stats [options]

Finds the documents that have all the keywords and counts words, over the HTML files below a
folder (over all text files when there are no HTML files): first in this process, then on a pool
of processes. Prints both times and whether both answers are identical.

  --dir DIR          the folder; default: /usr/share/cppreference/doc/html
                     (Debian package cppreference-doc-en-html)
  --keywords A,B,C   the keywords; default: thread,exception; none: --keywords=
  --workers N        worker processes, 1 to 4096; default: one for each CPU
  --top N            how many words and documents to list; default: 10
  --start METHOD     how workers are started: spawn (default), forkserver or fork
  --chaos            kill workers at random during the run
  --quiet            no progress bars, no lists
  --help             this text

Ends with 0 when the answers are identical, 1 when they are not or the run failed, 2 when the
options or the folder are no good.
)";

namespace {

std::size_t parse_number(std::string_view option, std::string_view text, std::size_t least,
                         std::size_t most) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    throw usage_error(std::string(option) + " wants a number from " + std::to_string(least) +
                      " to " + std::to_string(most) + ", not '" + std::string(text) + "'");
  }
  return value;
}

std::vector<std::string> parse_keywords(std::string_view list) {
  std::vector<std::string> keywords;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    if (item.empty()) continue;
    std::optional<std::string> word = as_word(std::string(item));
    if (!word) {
      throw usage_error("the keyword '" + std::string(item) +
                        "' is not a word: letters, digits and '_', not a digit first");
    }
    keywords.push_back(std::move(*word));
  }
  return keywords;
}

std::string parse_start(std::string_view method) {
  if (method != "spawn" && method != "forkserver" && method != "fork") {
    throw usage_error("--start wants spawn, forkserver or fork, not '" + std::string(method) + "'");
  }
  return std::string(method);
}

void set_value(options& parsed, std::string_view name, std::string_view value) {
  if (name == "--dir") {
    if (value.empty()) throw usage_error("--dir wants the name of a folder");
    parsed.dir = value;
  } else if (name == "--keywords") {
    parsed.keywords = parse_keywords(value);
  } else if (name == "--workers") {
    parsed.workers = static_cast<int>(parse_number(name, value, 1, 4096));
  } else if (name == "--top") {
    parsed.top = parse_number(name, value, 0, 1'000'000);
  } else {
    parsed.start = parse_start(value);
  }
}

bool takes_value(std::string_view name) {
  return name == "--dir" || name == "--keywords" || name == "--workers" || name == "--top" ||
         name == "--start";
}

bool set_flag(options& parsed, std::string_view name) {
  if (name == "--chaos") return parsed.chaos = true;
  if (name == "--quiet") return parsed.quiet = true;
  if (name == "--help" || name == "-h") return parsed.help = true;
  return false;
}

}  // namespace

options parse_options(const std::vector<std::string>& arguments) {
  options parsed;
  for (auto next = arguments.begin(); next != arguments.end(); ++next) {
    const std::string_view argument = *next;
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    if (takes_value(name)) {
      if (equals != std::string_view::npos) {
        set_value(parsed, name, argument.substr(equals + 1));
      } else if (++next != arguments.end()) {
        set_value(parsed, name, *next);
      } else {
        throw usage_error(std::string(name) + " wants a value");
      }
    } else if (!set_flag(parsed, argument)) {
      throw usage_error("there is no option '" + std::string(argument) + "'");
    }
  }
  return parsed;
}

}  // namespace demo
