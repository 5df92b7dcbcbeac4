#ifdef __x86_64__

#include "chaos/disassembly.hpp"

#include <cxxabi.h>
#include <malloc.h>
#include <stdio.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>

namespace procpool::testing {
namespace {

// Where the first byte of the program's file is mapped.
address load_address() {
  std::ifstream maps("/proc/self/maps");
  address begin = 0;
  maps >> std::hex >> begin;
  return begin;
}

std::string demangled(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  return name ? name.get() : symbol;
}

bool has_one_of(const std::string& text, std::initializer_list<const char*> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const char* p) { return text.find(p) != std::string::npos; });
}

// Library functions that end in an exception or in abort().
bool library_throws(const std::string& name) {
  return has_one_of(name, {"__cxa_throw", "__cxa_rethrow", "_Unwind_Resume", "rethrow_exception",
                           "__throw_", "std::terminate", "abort", "__assert_fail",
                           "__stack_chk_fail", "__cxa_bad_cast", "__cxa_call_terminate"}) &&
         name != "__cxa_guard_abort";
}
bool library_ends(const std::string& name) {
  return library_throws(name) || name == "_exit" || name == "exit" || name == "pause";
}

}  // namespace

// _ZN <qualified name>, _ZZN <local name>, with an optional K for const members.
bool disassembly::function::is_ours() const {
  for (const char* prefix : {"_ZN8procpool", "_ZNK8procpool", "_ZZN8procpool", "_ZZNK8procpool"}) {
    if (symbol.starts_with(prefix)) return true;
  }
  return false;
}
bool disassembly::function::is_of_the_standard_library() const {
  if (is_ours()) return false;
  for (const char* prefix : {"_ZNS", "_ZNKS", "_ZS", "_ZN9__gnu_cxx", "_ZNK9__gnu_cxx", "_Zn",
                             "_Zd", "_ZN10__cxxabiv1", "__clang_call_terminate"}) {
    if (symbol.starts_with(prefix)) return true;
  }
  return false;
}

disassembly::disassembly() {
  read_objdump();
  find_what_never_returns();
}

void disassembly::read_objdump() {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen("objdump -d --no-show-raw-insn /proc/$PPID/exe", "r"), &pclose);
  if (!pipe) throw std::runtime_error("objdump cannot be started");
  const address base = load_address();
  function* current = nullptr;
  char buffer[8192];
  while (fgets(buffer, sizeof buffer, pipe.get()) != nullptr) {
    std::string line(buffer);
    line.erase(line.find_last_not_of(" \n") + 1);
    if (line.ends_with(">:")) {
      const auto begin = line.find('<') + 1;
      const std::string symbol = line.substr(begin, line.size() - begin - 2);
      const address entry = base + std::stoull(line, nullptr, 16);
      current = &functions_[entry];
      current->entry = entry;
      current->symbol = symbol;
      if (symbol.ends_with("@plt")) {
        current->is_stub = true;
        current->symbol.resize(symbol.size() - 4);
      }
      // Local symbols are all named alike: they are told apart by where they are.
      current->name = demangled(current->symbol);
      continue;
    }
    if (current != nullptr) add(line, base, *current);
  }
  if (instructions_.empty()) throw std::runtime_error("objdump lists nothing");
}

void disassembly::add(const std::string& line, address base, function& f) {
  using flow = instruction::flow;
  const auto colon = line.find(":\t");
  if (colon == std::string::npos) return;
  const address at = base + std::stoull(line, nullptr, 16);
  instruction i;
  i.text = line.substr(colon + 2);
  // Padding; within a loop it is executed, and nothing happens.
  if (i.text.find("nop") != std::string::npos || i.text.starts_with("xchg   %ax,%ax")) return;
  std::string words = i.text;
  for (const char* prefix : {"notrack ", "bnd ", "repz ", "data16 "}) {
    if (words.starts_with(prefix)) words.erase(0, std::string(prefix).size());
  }
  const auto space = words.find(' ');
  const std::string verb = words.substr(0, space);
  const auto operand = space == std::string::npos ? space : words.find_first_not_of(' ', space);
  const bool direct = operand != std::string::npos && std::isxdigit(words[operand]) != 0;
  if (verb.starts_with("call")) {
    i.kind = flow::call;
  } else if (verb == "jmp") {
    i.kind = direct ? flow::jump : flow::leave;
  } else if (verb.starts_with("j")) {
    i.kind = flow::branch;
  } else if (verb.starts_with("ret")) {
    i.kind = flow::leave;
  } else if (verb == "ud2" || verb == "hlt") {
    i.kind = flow::stop;
  }
  if (verb == "lea") {
    const auto comment = words.find("# ");
    if (comment != std::string::npos)
      i.target = base + std::stoull(words.substr(comment + 2), nullptr, 16);
  } else if (direct && i.kind != flow::straight) {
    i.target = base + std::stoull(words.substr(operand), nullptr, 16);
  }
  if (!f.code.empty()) instructions_.at(f.code.back()).next = at;
  i.function = f.entry;
  f.code.push_back(at);
  instructions_.emplace(at, std::move(i));
}

const std::string* disassembly::stub(address a) const {
  const auto it = functions_.find(a);
  return it == functions_.end() || !it->second.is_stub ? nullptr : &it->second.name;
}

// Within one body of code; a jump to another function's entry leaves it.
std::vector<address> disassembly::successors(address a) const {
  using flow = instruction::flow;
  const instruction& i = instructions_.at(a);
  std::vector<address> out;
  if (i.kind == flow::jump || i.kind == flow::branch) out.push_back(i.target);
  const bool ends = i.kind == flow::jump || i.kind == flow::leave || i.kind == flow::stop ||
                    (i.kind == flow::call && never_returns(i.target));
  if (!ends && i.next != 0) out.push_back(i.next);
  return out;
}

std::set<address> disassembly::can_reach(const std::set<address>& code,
                                         const std::set<address>& ends) const {
  std::map<address, std::vector<address>> from;
  for (const address a : code) {
    for (const address s : successors(a)) from[s].push_back(a);
  }
  std::set<address> out;
  std::vector<address> todo(ends.begin(), ends.end());
  while (!todo.empty()) {
    const address a = todo.back();
    todo.pop_back();
    if (!out.insert(a).second) continue;
    for (const address p : from[a]) todo.push_back(p);
  }
  return out;
}

std::set<address> disassembly::can_leave(const std::set<address>& code) const {
  using flow = instruction::flow;
  std::set<address> exits;
  for (const address a : code) {
    const instruction& i = instructions_.at(a);
    if (i.kind == flow::leave) exits.insert(a);
    if ((i.kind == flow::jump || i.kind == flow::branch) && code.count(i.target) == 0 &&
        !never_returns(i.target)) {
      exits.insert(a);
    }
  }
  return can_reach(code, exits);
}

// Each function with its cold part. Local symbols of one name share all cold parts of that name.
std::vector<std::set<address>> disassembly::bodies() const {
  std::map<std::string, std::vector<const function*>> cold;
  for (const auto& [entry, f] : functions_) {
    if (f.is_cold()) cold[f.symbol].push_back(&f);
  }
  std::vector<std::set<address>> out;
  for (const auto& [entry, f] : functions_) {
    if (f.is_cold() || f.is_stub || f.code.empty()) continue;
    std::set<address>& body = out.emplace_back(f.code.begin(), f.code.end());
    for (const function* c : cold[f.symbol + ".cold"]) body.insert(c->code.begin(), c->code.end());
  }
  return out;
}

void disassembly::find_what_never_returns() {
  for (const auto& [entry, f] : functions_) {
    if (!f.is_stub) continue;
    if (library_ends(f.name)) endless_.insert(entry);
    if (library_throws(f.name)) throwers_.insert(entry);
  }
  const std::vector<std::set<address>> all = bodies();
  const auto entry_of = [this](const std::set<address>& body) {
    for (const address a : body) {
      const function& f = functions_.at(instructions_.at(a).function);
      if (!f.is_cold()) return f.entry;
    }
    return address{0};
  };
  for (bool more = true; more;) {
    more = false;
    for (const std::set<address>& body : all) {
      const address entry = entry_of(body);
      if (never_returns(entry)) continue;
      // One that throws and catches comes back from a handler, to which no jump leads.
      if (!can_leave(body).empty()) continue;
      endless_.insert(entry);
      more = true;
    }
  }
  for (bool more = true; more;) {
    more = false;
    for (const std::set<address>& body : all) {
      std::set<address> ends;
      for (const address a : body) {
        const instruction& i = instructions_.at(a);
        if (i.kind == instruction::flow::stop ||
            (i.kind != instruction::flow::straight && throwers_.count(i.target) != 0)) {
          ends.insert(a);
        }
      }
      const std::set<address> leaves = can_leave(body);
      const bool always_catches =
          leaves.count(entry_of(body)) == 0 && !never_returns(entry_of(body));
      if (always_catches) continue;
      for (const address a : can_reach(body, ends)) {
        if (leaves.count(a) == 0) throwing_.insert(a);
      }
      const address entry = entry_of(body);
      if (throwing_.count(entry) != 0 && throwers_.insert(entry).second) more = true;
    }
  }
}

void disassembly::forget_all_but(const reachable_code& code) {
  std::erase_if(instructions_, [&](const auto& i) { return !code.contains(i.first); });
  std::erase_if(throwing_, [&](address a) { return !code.contains(a); });
  for (auto& [entry, f] : functions_) f.code = {};
  malloc_trim(0);
}

reachable_code::reachable_code(const disassembly& program, const std::vector<std::string>& roots,
                               const std::vector<boundary>& boundaries) {
  std::map<std::string, std::vector<address>> cold;
  std::vector<address> todo;
  for (const auto& [entry, f] : program.functions()) {
    if (f.is_cold()) cold[f.symbol].push_back(entry);
    for (const std::string& r : roots) {
      if (!f.is_cold() && f.name.starts_with(r)) todo.push_back(entry);
    }
  }
  for (const boundary& b : boundaries) unused_.insert(b.function);
  const auto is_boundary = [&](const std::string& name) {
    const auto b = std::find_if(boundaries.begin(), boundaries.end(),
                                [&](const boundary& x) { return name.starts_with(x.function); });
    if (b == boundaries.end()) return false;
    unused_.erase(b->function);
    return true;
  };
  while (!todo.empty()) {
    const address entry = todo.back();
    todo.pop_back();
    const disassembly::function& f = program.functions().at(entry);
    const bool runs_ours = f.is_of_the_standard_library() &&
                           f.name.find("procpool::") != std::string::npos &&
                           f.name.find("{lambda") != std::string::npos;
    if (f.is_stub || functions_.count(entry) != 0 || is_boundary(f.name)) continue;
    if (program.never_returns(entry) && program.only_throws(entry)) continue;
    const bool is_theirs = f.is_of_the_standard_library() && !runs_ours;
    if (!f.is_ours() && !runs_ours && !is_theirs) {
      strangers_.insert(f.name);
      continue;
    }
    functions_.insert(entry);
    if (!is_theirs) names_.insert(f.name);
    for (const address c : cold[f.symbol + ".cold"]) todo.push_back(c);
    for (const address a : f.code) {
      if (!is_theirs) instructions_.insert(a);
      const disassembly::instruction& i = program.instructions().at(a);
      if (i.target == 0) continue;
      const bool taken = i.kind == disassembly::instruction::flow::straight;
      if (taken && !program.is_entry(i.target)) continue;
      const auto to = program.instructions().find(i.target);
      if (to != program.instructions().end()) todo.push_back(to->second.function);
    }
  }
}

bool reachable_code::has_function(const std::string& name_begins) const {
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& n) { return n.starts_with(name_begins); });
}

}  // namespace procpool::testing

#endif  // __x86_64__
