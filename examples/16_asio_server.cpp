// A server in one thread of Boost.Asio that holds thousands of connections, and leaves what takes
// the CPU to a process pool. A request is a line with a number, its answer a line with that number
// and the steps that the Collatz sequences of the 500 numbers from there on take to reach 1.
//
// A worker that dies costs no client its answer: another worker runs the task again.
//
//   16_asio_server PORT   serves on 127.0.0.1 (0: any port, which it prints) until SIGTERM
//   16_asio_server        answers a few clients of its own, then ends

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <string>
#include <utility>

#include <boost/asio.hpp>

#include <procpool/asio.hpp>
#include <procpool/procpool.hpp>

namespace asio = boost::asio;
namespace pp = procpool;
using asio::ip::tcp;

long steps_from(long first) {
  long steps = 0;
  for (long n = first; n < first + 500; ++n) {
    for (long x = n; x > 1; ++steps) x = x % 2 == 0 ? x / 2 : 3 * x + 1;
  }
  return steps;
}

// One connection: requests are answered one after the other, until the client hangs up, which
// throws.
asio::awaitable<void> talk(tcp::socket client, pp::process_pool_executor& pool) {
  std::string received;
  for (;;) {
    const std::size_t n = co_await asio::async_read_until(
        client, asio::dynamic_buffer(received, 100), '\n', asio::use_awaitable);
    const long number = std::strtol(received.c_str(), nullptr, 10);
    received.erase(0, n);

    std::string answer;
    try {
      const pp::task_options again{.retries = 10};
      pp::future<long> steps = pool.submit(again, steps_from, number);
      // The thread serves other connections until a worker has the answer.
      const long result = co_await pp::async(std::move(steps), asio::use_awaitable);
      answer = std::to_string(number) + " " + std::to_string(result) + "\n";
    } catch (const std::exception& e) {
      answer = std::string("error: ") + e.what() + "\n";
    }
    co_await asio::async_write(client, asio::buffer(answer), asio::use_awaitable);
  }
}

asio::awaitable<void> serve(tcp::acceptor& acceptor, pp::process_pool_executor& pool) {
  asio::steady_timer pause(acceptor.get_executor());
  for (;;) {
    boost::system::error_code failed;
    tcp::socket client =
        co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, failed));
    if (!failed) {
      asio::co_spawn(acceptor.get_executor(), talk(std::move(client), pool), asio::detached);
      continue;
    }
    // Too many descriptors, most likely: a new client waits until another client hangs up.
    pause.expires_after(std::chrono::milliseconds(100));
    co_await pause.async_wait(asio::use_awaitable);
  }
}

asio::awaitable<int> ask(tcp::endpoint server, long number) {
  tcp::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect(server, asio::use_awaitable);
  const std::string request = std::to_string(number) + "\n";
  co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
  std::string answer;
  co_await asio::async_read_until(socket, asio::dynamic_buffer(answer), '\n', asio::use_awaitable);
  std::printf("%s", answer.c_str());
  co_return answer == std::to_string(number) + " " + std::to_string(steps_from(number)) + "\n";
}

// Some clients in the same thread; the number of wrong answers.
asio::awaitable<int> try_it_out(tcp::acceptor& acceptor, asio::io_context& context) {
  int wrong = 0;
  for (const long number : {1L, 1000L, 1000000L}) {
    const int right = co_await ask(acceptor.local_endpoint(), number);
    wrong += 1 - right;
  }
  context.stop();
  co_return wrong;
}

int main(int argc, char** argv) {
  // A connection is a descriptor.
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  pp::process_pool_executor pool;
  asio::io_context context(1);
  const auto port = static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 0);
  tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), port));
  asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code&, int) { context.stop(); });
  asio::co_spawn(context, serve(acceptor, pool), asio::detached);

  if (argc > 1) {
    std::printf("listening on port %d\n", acceptor.local_endpoint().port());
    std::fflush(stdout);
    context.run();
    return 0;
  }
  std::future<int> wrong = asio::co_spawn(context, try_it_out(acceptor, context), asio::use_future);
  context.run();
  return wrong.get();
}
