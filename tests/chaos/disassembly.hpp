// This program's own instructions, as objdump lists them, and which of them a function can reach.
// x86-64.
//
// Flow is followed along direct calls and jumps, and to each function whose address is taken: that
// is how callbacks are handed over. Where an indirect jump leads is unknown, so it counts as a way
// out; nothing leads to a landing pad but the unwinder, so it belongs to its function by its place.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace procpool::testing {

using address = std::uint64_t;  // in the running process

class reachable_code;

class disassembly {
 public:
  struct instruction {
    std::string text;
    address function = 0;  // its entry
    address next = 0;      // the instruction after it in the same function, or 0
    address target = 0;    // of a direct call or jump, or of an address that is taken
    // A jump has a target or not; a call comes back, unless what it calls never does.
    enum class flow { straight, call, jump, branch, leave, stop } kind = flow::straight;
  };
  struct function {
    address entry = 0;
    std::string symbol;  // mangled
    std::string name;    // demangled, with its parameters
    std::vector<address> code;
    bool is_stub = false;  // of a function in a shared library, which has this `name`
    bool is_cold() const { return symbol.ends_with(".cold"); }
    // By the namespace, not by what stands in its parameters.
    bool is_ours() const;
    bool is_of_the_standard_library() const;
  };

  disassembly();

  const std::map<address, instruction>& instructions() const { return instructions_; }
  const std::map<address, function>& functions() const { return functions_; }
  const function& function_of(address a) const {
    return functions_.at(instructions_.at(a).function);
  }
  bool is_entry(address a) const { return functions_.count(a) != 0; }
  // There the return address is on top of the stack. Cold parts are jumped to, and so is what the
  // stubs have in common.
  bool is_called_at(address a) const {
    const auto it = functions_.find(a);
    return it != functions_.end() && !it->second.is_cold() &&
           it->second.symbol.find("@plt") == std::string::npos;
  }
  // The library function that a stub at this address calls, or null.
  const std::string* stub(address a) const;
  // Whether control never comes back from the function that begins here.
  bool never_returns(address entry) const { return endless_.count(entry) != 0; }
  // Whether it is a function that does nothing but throw, unwind or abort.
  bool throws(address entry) const { return throwers_.count(entry) != 0; }
  // Whether all that can follow this instruction in its function is that something is thrown (or
  // unwinding continues, or the process aborts).
  bool only_throws(address a) const { return throwing_.count(a) != 0; }
  // The other instructions, and gives their memory back: they are most of what a fork copies.
  void forget_all_but(const reachable_code& code);

 private:
  void read_objdump();
  void add(const std::string& line, address base, function& f);
  void find_what_never_returns();
  // The instructions of f (and of its cold part) from which it can be left other than by throwing.
  std::set<address> can_leave(const std::set<address>& code) const;
  std::set<address> can_reach(const std::set<address>& code, const std::set<address>& ends) const;
  std::vector<address> successors(address a) const;
  std::vector<std::set<address>> bodies() const;

  std::map<address, instruction> instructions_;
  std::map<address, function> functions_;
  std::set<address> endless_, throwers_, throwing_;
};

// A function that is called and not followed, by the beginning of its demangled name.
struct boundary {
  const char* function;
  const char* reason;
};

// All functions of procpool:: that those whose names begin with `roots` can reach without crossing
// a boundary, also by way of the standard library's templates. Those are no part of it themselves,
// unless they are made for a lambda of ours.
class reachable_code {
 public:
  reachable_code(const disassembly& program, const std::vector<std::string>& roots,
                 const std::vector<boundary>& boundaries);

  const std::set<address>& instructions() const { return instructions_; }
  bool contains(address a) const { return instructions_.count(a) != 0; }
  bool has_function(const std::string& name_begins) const;
  // What is called and is neither followed nor a boundary.
  const std::set<std::string>& strangers() const { return strangers_; }
  const std::set<std::string>& unused_boundaries() const { return unused_; }

 private:
  std::set<address> functions_, instructions_;
  std::set<std::string> names_, strangers_, unused_;
};

}  // namespace procpool::testing
