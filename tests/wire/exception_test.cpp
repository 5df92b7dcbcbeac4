// Exceptions on a round trip: caught as what was thrown, with the same text, and with the place in
// a nested remote_error.
#include "procpool/exception.hpp"

#include <gtest/gtest.h>

#include <any>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <variant>

#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/errors.hpp"
#include "wire/exception_codec.hpp"
#include "wire/exception_registry.hpp"

namespace bank {

struct overdrawn : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Adds to its text, which must not be added twice.
struct rejected : std::runtime_error {
  explicit rejected(const std::string& why) : std::runtime_error("rejected: " + why) {}
};

class limit_passed : public std::exception {
 public:
  explicit limit_passed(int amount) : amount_(amount) {}
  int amount() const { return amount_; }
  const char* what() const noexcept override { return "limit passed"; }

 private:
  int amount_;
};

struct stateless : std::exception {
  const char* what() const noexcept override { return "stateless"; }
};

struct final_one final : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct no_exception_at_all {
  int code;
  std::string text;
};

enum class failure_code { none, some };

struct fails_to_encode : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct unknown : std::runtime_error {
  using std::runtime_error::runtime_error;
};

PROCPOOL_EXCEPTION(overdrawn);
PROCPOOL_EXCEPTION(overdrawn);  // twice, as from a header
PROCPOOL_EXCEPTION(rejected);
PROCPOOL_EXCEPTION(stateless);
PROCPOOL_EXCEPTION(final_one);
PROCPOOL_EXCEPTION(no_exception_at_all);
PROCPOOL_EXCEPTION(failure_code);

}  // namespace bank

template <>
struct procpool::codec<bank::limit_passed> {
  static int to_wire(const bank::limit_passed& e) { return e.amount(); }
  static bank::limit_passed from_wire(int amount) { return bank::limit_passed(amount); }
};
template <>
struct procpool::codec<bank::fails_to_encode> {
  static int to_wire(const bank::fails_to_encode&) { throw 1; }
  static bank::fails_to_encode from_wire(int) { return bank::fails_to_encode("rebuilt"); }
};

PROCPOOL_EXCEPTION(bank::limit_passed);
PROCPOOL_EXCEPTION(bank::fails_to_encode);

namespace {

using procpool::codec_error;
using procpool::remote_error;
using procpool::detail::heap_writer;
using procpool::detail::wire_buffer;
using procpool::detail::wire_reader;

constexpr procpool::wire::origin from{.worker = 3, .pid = 4711};

wire_buffer bytes_of(const std::exception_ptr& thrown) {
  heap_writer writer;
  procpool::wire::encode_exception(writer, thrown, from);
  return writer.take();
}

std::exception_ptr revived(const wire_buffer& bytes) {
  wire_reader reader(bytes.data(), bytes.size());
  return procpool::wire::decode_exception(reader, "resize");
}

template <class F>
std::exception_ptr thrown_by(F f) {
  try {
    f();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

template <class F>
std::exception_ptr transported(F f) {
  return revived(bytes_of(thrown_by(f)));
}

template <class T>
std::exception_ptr nested_in(const T& e) {
  const auto* nested = dynamic_cast<const std::nested_exception*>(&e);
  return nested != nullptr ? nested->nested_ptr() : nullptr;
}

// `original` arrives as a T (and nothing more derived from T than what was rebuilt) with its text.
template <class T>
void expect_comes_back(const T& original) {
  SCOPED_TRACE(typeid(T).name());
  try {
    std::rethrow_exception(transported([&] { throw original; }));
    FAIL() << "nothing was thrown";
  } catch (const T& e) {
    EXPECT_STREQ(e.what(), original.what());
    try {
      ASSERT_NE(nested_in<std::exception>(e), nullptr);
      std::rethrow_exception(nested_in<std::exception>(e));
    } catch (const remote_error& where) {
      EXPECT_EQ(where.where(), "worker 3 (pid 4711), task 'resize'");
      EXPECT_NE(std::string(where.what()).find("worker 3 (pid 4711)"), std::string::npos);
      EXPECT_NE(std::string(where.what()).find("resize"), std::string::npos);
    }
  } catch (...) {
    FAIL() << "came back as another type";
  }
}

TEST(exception_codec, standard_exceptions) {
  expect_comes_back(std::logic_error("l"));
  expect_comes_back(std::invalid_argument("i"));
  expect_comes_back(std::domain_error("d"));
  expect_comes_back(std::length_error("l"));
  expect_comes_back(std::out_of_range("o"));
  expect_comes_back(std::runtime_error("r"));
  expect_comes_back(std::range_error("r"));
  expect_comes_back(std::overflow_error("o"));
  expect_comes_back(std::underflow_error("u"));
  expect_comes_back(std::bad_alloc());
  expect_comes_back(std::bad_array_new_length());
  expect_comes_back(std::bad_cast());
  expect_comes_back(std::bad_typeid());
  expect_comes_back(std::bad_exception());
  expect_comes_back(std::bad_any_cast());
  expect_comes_back(std::bad_function_call());
  expect_comes_back(std::bad_optional_access());
  expect_comes_back(std::bad_variant_access());
  expect_comes_back(std::bad_weak_ptr());
  expect_comes_back(std::exception());
}

TEST(exception_codec, standard_exceptions_with_more_than_a_message) {
  const auto code = std::make_error_code(std::errc::permission_denied);
  expect_comes_back(std::system_error(code, "reading"));
  expect_comes_back(std::system_error(code));
  expect_comes_back(std::ios_base::failure("stream"));
  expect_comes_back(std::filesystem::filesystem_error("f", "/one", "/two", code));
  expect_comes_back(std::regex_error(std::regex_constants::error_brack));
  expect_comes_back(std::future_error(std::future_errc::no_state));
}

TEST(exception_codec, error_codes_and_paths_are_encoded_too) {
  const std::error_code code(13, std::system_category());
  try {
    std::rethrow_exception(
        transported([&] { throw std::filesystem::filesystem_error("f", "/one", "/two", code); }));
  } catch (const std::filesystem::filesystem_error& e) {
    EXPECT_EQ(e.code(), code);
    EXPECT_EQ(e.path1(), "/one");
    EXPECT_EQ(e.path2(), "/two");
  }
  try {
    std::rethrow_exception(
        transported([] { throw std::regex_error(std::regex_constants::error_brack); }));
  } catch (const std::regex_error& e) {
    EXPECT_EQ(e.code(), std::regex_constants::error_brack);
  }
}

TEST(exception_codec, exceptions_of_procpool) {
  expect_comes_back(procpool::error("e"));
  expect_comes_back(procpool::cancelled_error());
  expect_comes_back(procpool::timeout_error("t"));
  expect_comes_back(procpool::broken_process_pool("b"));
  expect_comes_back(procpool::shutdown_error("s"));
  expect_comes_back(procpool::nested_use_error("n"));
  expect_comes_back(procpool::invalid_state_error("i"));
  expect_comes_back(procpool::unsafe_fork_error("u"));
  expect_comes_back(procpool::codec_error("c"));
  expect_comes_back(procpool::worker_crashed({.label = "inner", .pid = 5, .signal = 11}));
}

TEST(exception_codec, registered_exceptions) {
  expect_comes_back(bank::overdrawn("by 5"));
  expect_comes_back(bank::rejected("no reason"));
  expect_comes_back(bank::stateless());
  expect_comes_back(bank::limit_passed(7));
  EXPECT_THROW(std::rethrow_exception(transported([] { throw bank::final_one("f"); })),
               bank::final_one);
  try {
    std::rethrow_exception(transported([] { throw bank::limit_passed(42); }));
  } catch (const bank::limit_passed& e) {
    EXPECT_EQ(e.amount(), 42);
  }
}

TEST(exception_codec, registered_values_that_are_no_exceptions) {
  try {
    std::rethrow_exception(transported([] { throw bank::no_exception_at_all{5, "five"}; }));
  } catch (const bank::no_exception_at_all& e) {
    EXPECT_EQ(e.code, 5);
    EXPECT_EQ(e.text, "five");
  }
  try {
    std::rethrow_exception(transported([] { throw bank::failure_code::some; }));
  } catch (const bank::failure_code e) {
    EXPECT_EQ(e, bank::failure_code::some);
  }
}

TEST(exception_codec, unknown_types_become_remote_error) {
  try {
    std::rethrow_exception(transported([] { throw bank::unknown("what it said"); }));
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_EQ(e.type_name(), "bank::unknown");
    EXPECT_STREQ(e.what(),
                 "what it said (of type bank::unknown: to catch it as that type, register it with "
                 "PROCPOOL_EXCEPTION(bank::unknown))");
    EXPECT_EQ(e.where(), "worker 3 (pid 4711), task 'resize'");
  }
  try {
    std::rethrow_exception(transported([] { throw 42; }));
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_EQ(e.type_name(), "int");
    EXPECT_EQ(std::string(e.what()).rfind("an exception of type int (", 0), 0U) << e.what();
  }
}

// The name of its type cannot be written anywhere else.
namespace {
struct hidden : std::runtime_error {
  using std::runtime_error::runtime_error;
};
}  // namespace

TEST(exception_codec, unknown_types_without_a_name_of_their_own) {
  try {
    std::rethrow_exception(transported([] { throw hidden("said"); }));
    FAIL();
  } catch (const remote_error& e) {
    const std::string what = e.what();
    EXPECT_EQ(what, "said (of type " + e.type_name() +
                        ": to catch it as that type, register it with PROCPOOL_EXCEPTION)");
  }
}

// Nested in it is where it was thrown, so its type is derived from the thrown type; the
// name says so.
TEST(exception_codec, the_typeid_of_a_rebuilt_exception) {
  try {
    std::rethrow_exception(transported([] { throw std::out_of_range("key"); }));
    FAIL();
  } catch (const std::out_of_range& e) {
    EXPECT_TRUE(typeid(e) == typeid(procpool::from_task<std::out_of_range>));
    EXPECT_EQ(procpool::wire::exception_type_name(typeid(e)), "std::out_of_range");
    EXPECT_STREQ(e.what(), "key");
    EXPECT_THROW(std::rethrow_if_nested(e), remote_error);
  }
}

TEST(exception_codec, an_exception_whose_encoding_throws_becomes_remote_error) {
  try {
    std::rethrow_exception(transported([] { throw bank::fails_to_encode("text"); }));
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_EQ(e.type_name(), "bank::fails_to_encode");
    EXPECT_STREQ(
        e.what(),
        "text (of type bank::fails_to_encode, which could not be rebuilt in this process)");
  }
}

TEST(exception_codec, an_unknown_error_category_becomes_remote_error) {
  struct category final : std::error_category {
    const char* name() const noexcept override { return "bank"; }
    std::string message(int) const override { return "closed"; }
  };
  static const category bank_category;
  EXPECT_THROW(std::rethrow_exception(
                   transported([] { throw std::system_error(std::error_code(1, bank_category)); })),
               remote_error);
}

TEST(exception_codec, nested_exceptions_are_encoded_too) {
  const auto thrown = transported([] {
    try {
      throw bank::overdrawn("the cause");
    } catch (...) {
      std::throw_with_nested(std::invalid_argument("the effect"));
    }
  });
  try {
    std::rethrow_exception(thrown);
  } catch (const std::invalid_argument& effect) {
    EXPECT_STREQ(effect.what(), "the effect");
    try {
      std::rethrow_if_nested(effect);
      FAIL();
    } catch (const bank::overdrawn& cause) {
      EXPECT_STREQ(cause.what(), "the cause");
      EXPECT_THROW(std::rethrow_if_nested(cause), remote_error);
    }
  }
}

TEST(exception_codec, nesting_without_end_is_cut) {
  auto thrown = thrown_by([] { throw std::runtime_error("innermost"); });
  for (int i = 0; i < 100; ++i) {
    thrown = thrown_by([&] {
      try {
        std::rethrow_exception(thrown);
      } catch (...) {
        std::throw_with_nested(std::runtime_error("outer"));
      }
    });
  }
  int links = 0;
  std::exception_ptr next = revived(bytes_of(thrown));
  while (next != nullptr) {
    ++links;
    try {
      std::rethrow_exception(next);
    } catch (const std::exception& e) {
      next = nested_in(e);
    }
  }
  EXPECT_EQ(links, procpool::wire::max_links + 1);  // and the remote_error
}

TEST(exception_codec, a_decoded_exception_can_be_encoded_again) {
  // A task that has a pool of its own lets an exception of that pool's task through.
  const auto once = transported([] { throw bank::overdrawn("far away"); });
  const auto twice = revived(bytes_of(once));
  EXPECT_THROW(std::rethrow_exception(twice), bank::overdrawn);
}

TEST(exception_codec, long_texts_are_cut) {
  const std::string text(1'000'000, 'x');
  try {
    std::rethrow_exception(transported([&] { throw std::runtime_error(text); }));
  } catch (const std::runtime_error& e) {
    EXPECT_EQ(std::string(e.what()).size(), procpool::wire::max_what);
  }
}

TEST(exception_codec, truncated_bytes_are_a_codec_error) {
  const wire_buffer whole = bytes_of(thrown_by([] { throw bank::limit_passed(7); }));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(std::rethrow_exception(revived(wire_buffer(whole.data(), size))), codec_error);
  }
}

TEST(exception_codec, a_forged_hash_builds_nothing) {
  // The hash of one type, the name of another.
  const wire_buffer honest = bytes_of(thrown_by([] { throw std::runtime_error("r"); }));
  std::vector<std::byte> forged(honest.data(), honest.data() + honest.size());
  forged[8] ^= std::byte{1};
  wire_reader reader(forged.data(), forged.size());
  EXPECT_THROW(std::rethrow_exception(procpool::wire::decode_exception(reader, "")), remote_error);
}

// A writer with room for less than the exception, whose owner has no more.
class tight_writer final : public procpool::detail::wire_writer {
 public:
  tight_writer() : wire_writer(bytes_, bytes_ + sizeof bytes_, &grow) {}

 private:
  static void grow(procpool::detail::wire_writer&, std::size_t) { throw std::bad_alloc(); }
  std::byte bytes_[64];
};

TEST(exception_codec, without_memory_there_is_still_a_note) {
  tight_writer writer;
  procpool::wire::encode_exception(
      writer, thrown_by([] { throw std::runtime_error(std::string(1000, 'x')); }), from);
  wire_reader reader(writer.data(), writer.size());
  try {
    std::rethrow_exception(procpool::wire::decode_exception(reader, "resize"));
    FAIL();
  } catch (const remote_error& e) {
    EXPECT_NE(std::string(e.what()).find("no memory"), std::string::npos);
    EXPECT_EQ(e.where(), "worker 3 (pid 4711), task 'resize'");
  }
}

}  // namespace
