// Practice 4: independent functions as tasks. A task runs in another process: it cannot share
// variables with this one, so the compiler rejects what would try:
//
//   int hits = 0;
//   pool.submit([&] { ++hits; });        // a task cannot capture: pass data as arguments
//   pool.submit(find, &text, 'x');       // a pointer means nothing in another process
//   std::function<int()> f = ...;
//   pool.submit(f);                      // might capture anything
//
// What a task needs comes as arguments, what it finds goes back as its result.

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

// Loaded once for each worker by the initializer, not once for each task.
std::vector<std::string> stop_words;

void load_stop_words(const std::vector<std::string>& words) { stop_words = words; }

// A view as a parameter reads the argument where it arrived, without a copy.
int count_long_words(std::size_t least, std::string_view text) {
  int count = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    bool stopped = false;
    for (const std::string& stop : stop_words) stopped = stopped || stop == word;
    if (word.size() >= least && !stopped) ++count;
    text.remove_prefix(word.size() < text.size() ? word.size() + 1 : word.size());
  }
  return count;
}

int main() {
  const std::vector<std::string> stops = {"there", "their"};
  pp::process_pool_executor pool({.initializer = pp::partial(load_stop_words, stops)});

  // partial binds the leading arguments, which are sent once for each chunk of the map.
  const std::vector<std::string> texts = {
      "there goes another worker", "their tasks are independent", "nothing here is shared", ""};
  const std::vector<int> counts = pool.map(pp::partial(count_long_words, 5u), texts).to_vector();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::printf("%d long words in '%s'\n", counts[i], texts[i].c_str());
  }

  // A lambda without captures is a function as well.
  const int sum = pool.submit([](int a, int b) { return a + b; }, counts[0], counts[1]).get();
  return counts == std::vector<int>{2, 2, 2, 0} && sum == 4 ? 0 : 1;
}
