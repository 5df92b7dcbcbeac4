// The members of an aggregate, by structured bindings: one specialisation for each number of
// members up to 64. Used by detail/aggregate.hpp only. Compile-time tables, no state.
#pragma once

#include <cstddef>

#include "procpool/detail/codec/type_list.hpp"

namespace procpool::detail {

inline constexpr std::size_t max_members = 64;

// bindings<N>::fits<T>: whether T{ {}, {} ... } is valid with N times {}: then T has at least N
// members, provided that T{} is valid too. (The inner braces make an array count once.)
// bindings<N>::fits_more<T, Any>: whether T{ {}, {} ..., Any } is valid.
// bindings<N>::visit(aggregate, f): calls f(each member...).
// bindings<N>::types(aggregate): the declared types of the members, references included.
template <std::size_t N>
struct bindings;

template <>
struct bindings<0> {
  template <class T>
  static constexpr bool fits = requires { T{}; };

  template <class T, class Any>
  static constexpr bool fits_more = requires(Any any) { T{any}; };

  template <class T, class F>
  static constexpr decltype(auto) visit(T&, F&& f) {
    return f();
  }

  template <class T>
  static auto types(T&) -> type_list<>;
};

// clang-format off
// The members stand in rows of eight: m01, m02 ... m08, m11 ... m78. A list is X(01), X(02) ...
// of all full rows, and then of the first n members of the last row.
#define PROCPOOL_DETAIL_BRACES(i) {}
#define PROCPOOL_DETAIL_NAME(i) m##i
#define PROCPOOL_DETAIL_TYPE(i) decltype(m##i)

#define PROCPOOL_DETAIL_ROW_1(X, r) X(r##1)
#define PROCPOOL_DETAIL_ROW_2(X, r) X(r##1), X(r##2)
#define PROCPOOL_DETAIL_ROW_3(X, r) X(r##1), X(r##2), X(r##3)
#define PROCPOOL_DETAIL_ROW_4(X, r) X(r##1), X(r##2), X(r##3), X(r##4)
#define PROCPOOL_DETAIL_ROW_5(X, r) X(r##1), X(r##2), X(r##3), X(r##4), X(r##5)
#define PROCPOOL_DETAIL_ROW_6(X, r) X(r##1), X(r##2), X(r##3), X(r##4), X(r##5), X(r##6)
#define PROCPOOL_DETAIL_ROW_7(X, r) X(r##1), X(r##2), X(r##3), X(r##4), X(r##5), X(r##6), X(r##7)
#define PROCPOOL_DETAIL_ROW_8(X, r) PROCPOOL_DETAIL_ROW_7(X, r), X(r##8)
#define PROCPOOL_DETAIL_ROWS_0(X)
#define PROCPOOL_DETAIL_ROWS_1(X) PROCPOOL_DETAIL_ROW_8(X, 0),
#define PROCPOOL_DETAIL_ROWS_2(X) PROCPOOL_DETAIL_ROWS_1(X) PROCPOOL_DETAIL_ROW_8(X, 1),
#define PROCPOOL_DETAIL_ROWS_3(X) PROCPOOL_DETAIL_ROWS_2(X) PROCPOOL_DETAIL_ROW_8(X, 2),
#define PROCPOOL_DETAIL_ROWS_4(X) PROCPOOL_DETAIL_ROWS_3(X) PROCPOOL_DETAIL_ROW_8(X, 3),
#define PROCPOOL_DETAIL_ROWS_5(X) PROCPOOL_DETAIL_ROWS_4(X) PROCPOOL_DETAIL_ROW_8(X, 4),
#define PROCPOOL_DETAIL_ROWS_6(X) PROCPOOL_DETAIL_ROWS_5(X) PROCPOOL_DETAIL_ROW_8(X, 5),
#define PROCPOOL_DETAIL_ROWS_7(X) PROCPOOL_DETAIL_ROWS_6(X) PROCPOOL_DETAIL_ROW_8(X, 6),
#define PROCPOOL_DETAIL_LIST(X, r, n) PROCPOOL_DETAIL_ROWS_##r(X) PROCPOOL_DETAIL_ROW_##n(X, r)

#define PROCPOOL_DETAIL_BINDINGS(row, n)                                                       \
  template <>                                                                                  \
  struct bindings<row * 8 + n> {                                                               \
    template <class T>                                                                         \
    static constexpr bool fits =                                                               \
        requires { T{PROCPOOL_DETAIL_LIST(PROCPOOL_DETAIL_BRACES, row, n)}; };                 \
                                                                                               \
    template <class T, class Any>                                                              \
    static constexpr bool fits_more =                                                          \
        requires(Any any) { T{PROCPOOL_DETAIL_LIST(PROCPOOL_DETAIL_BRACES, row, n), any}; };   \
                                                                                               \
    template <class T, class F>                                                                \
    static constexpr decltype(auto) visit(T& aggregate, F&& f) {                               \
      auto& [PROCPOOL_DETAIL_LIST(PROCPOOL_DETAIL_NAME, row, n)] = aggregate;                  \
      return f(PROCPOOL_DETAIL_LIST(PROCPOOL_DETAIL_NAME, row, n));                            \
    }                                                                                          \
                                                                                               \
    template <class T>                                                                         \
    static auto types(T& aggregate) {                                                          \
      [[maybe_unused]] auto& [PROCPOOL_DETAIL_LIST(PROCPOOL_DETAIL_NAME, row, n)] = aggregate; \
      return type_list<PROCPOOL_DETAIL_LIST(PROCPOOL_DETAIL_TYPE, row, n)>{};                  \
    }                                                                                          \
  };
#define PROCPOOL_DETAIL_BINDINGS_OF_ROW(row)                                                   \
  PROCPOOL_DETAIL_BINDINGS(row, 1) PROCPOOL_DETAIL_BINDINGS(row, 2)                            \
  PROCPOOL_DETAIL_BINDINGS(row, 3) PROCPOOL_DETAIL_BINDINGS(row, 4)                            \
  PROCPOOL_DETAIL_BINDINGS(row, 5) PROCPOOL_DETAIL_BINDINGS(row, 6)                            \
  PROCPOOL_DETAIL_BINDINGS(row, 7) PROCPOOL_DETAIL_BINDINGS(row, 8)

PROCPOOL_DETAIL_BINDINGS_OF_ROW(0)
PROCPOOL_DETAIL_BINDINGS_OF_ROW(1)
PROCPOOL_DETAIL_BINDINGS_OF_ROW(2)
PROCPOOL_DETAIL_BINDINGS_OF_ROW(3)
PROCPOOL_DETAIL_BINDINGS_OF_ROW(4)
PROCPOOL_DETAIL_BINDINGS_OF_ROW(5)
PROCPOOL_DETAIL_BINDINGS_OF_ROW(6)
PROCPOOL_DETAIL_BINDINGS_OF_ROW(7)

#undef PROCPOOL_DETAIL_BINDINGS_OF_ROW
#undef PROCPOOL_DETAIL_BINDINGS
#undef PROCPOOL_DETAIL_LIST
#undef PROCPOOL_DETAIL_ROWS_0
#undef PROCPOOL_DETAIL_ROWS_1
#undef PROCPOOL_DETAIL_ROWS_2
#undef PROCPOOL_DETAIL_ROWS_3
#undef PROCPOOL_DETAIL_ROWS_4
#undef PROCPOOL_DETAIL_ROWS_5
#undef PROCPOOL_DETAIL_ROWS_6
#undef PROCPOOL_DETAIL_ROWS_7
#undef PROCPOOL_DETAIL_ROW_1
#undef PROCPOOL_DETAIL_ROW_2
#undef PROCPOOL_DETAIL_ROW_3
#undef PROCPOOL_DETAIL_ROW_4
#undef PROCPOOL_DETAIL_ROW_5
#undef PROCPOOL_DETAIL_ROW_6
#undef PROCPOOL_DETAIL_ROW_7
#undef PROCPOOL_DETAIL_ROW_8
#undef PROCPOOL_DETAIL_BRACES
#undef PROCPOOL_DETAIL_NAME
#undef PROCPOOL_DETAIL_TYPE
// clang-format on

}  // namespace procpool::detail
