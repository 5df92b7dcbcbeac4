// A call that does not fit names both sides: the function and the arguments.
#include "procpool/procpool.hpp"

using namespace procpool;

struct length {};
struct weight {};
struct counter {
  int operator()(int by) { return count += by; }
  int count = 0;
};
struct adder {  // may change, need not
  int operator()(int by) { return sum += by; }
  int operator()(int by) const { return sum + by; }
  int sum = 0;
};

int measure(length);
int both(length, weight);
void fill(length&);
int twice(int);
double twice(double);

void use(process_pool_executor& pool) {
#if !MISTAKE
  (void)pool.submit(measure, length{});
  (void)pool.submit([](int x) { return twice(x); }, 1);
  (void)pool.submit([](auto x) { return x; }, 1);
  (void)pool.submit(adder{}, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments; named here are the
  // error: call_does_not_fit<int (*)(length), procpool::detail::type_list<length>,
  // error: procpool::detail::type_list<weight> >
  (void)pool.submit(measure, weight{});
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: type_list<length>, procpool::detail::type_list<> >
  (void)pool.submit(measure);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: type_list<length, weight>, procpool::detail::type_list<weight, length> >
  (void)pool.submit(both, weight{}, length{});
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: as rvalues of their stored types
  // error: type_list<length&>, procpool::detail::type_list<length> >
  length l;
  (void)pool.submit(fill, l);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: type_list<length>, procpool::detail::type_list<weight> >
  (void)pool.submit([](length) { return 1; }, weight{});
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: procpool::detail::type_list<weight>, procpool::detail::type_list<length> >
  (void)pool.submit(partial(both, length{}), length{});
#endif
#if MISTAKE == __LINE__
  // error: no matching
  // error: overloaded_function_name_wrap_it_in_a_captureless_lambda
  (void)pool.submit(twice, 1);
#endif
#if MISTAKE == __LINE__
  // error: no matching
  // error: overloaded_function_name_wrap_it_in_a_captureless_lambda
  (void)pool.map(twice, {1, 2});
#endif
#if MISTAKE == __LINE__
  // error: procpool: this is not a function: a task is a function, a captureless lambda, a pointer
  (void)pool.submit(42);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const: a lambda that is mutable, or a function
  (void)pool.submit([](int a) mutable { return ++a; }, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const
  (void)pool.submit([](auto a) mutable { return ++a; }, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const
  (void)pool.submit(counter{}, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const
  (void)pool.submit(partial([](int a, int b) mutable { return a + b; }, 1), 2);
#endif
}
