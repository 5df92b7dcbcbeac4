// The exemptions of kill_everywhere_test.cpp, which kills a worker at every instruction of its
// loop: the instructions that no scenario executes, and why that is right.
//
// An entry names a function and its instructions that are not executed, in their order: the first
// word of each, and a bar where executed instructions lie between two groups. Instructions that
// lead to nothing but an exception need no entry: see disassembly::only_throws.
//
// The list is exact for g++ 12.2 with the options of the preset `dev` (PROCPOOL_KNOWN_CODE, set by
// CMakeLists.txt); other compilers and options only compare the share of what is left out. After a
// change of the worker's code, or of the compiler, regenerate it:
//
//   1. cmake --build build/dev --target chaos_kill_everywhere_test
//   2. PROCPOOL_SHOW_MISSED=1 build/dev/tests/chaos_kill_everywhere_test
//      prints each function that has instructions which are not executed, with the text for `code`
//      and the disassembly. The failures name what is not in the list ("not reached in ...") and
//      the entries that are not needed any more ("reached, or gone: ...").
//   3. for what is not in the list: write a scenario that executes it, or an entry, if its reason
//      says why a kill there can do no harm. Remove the entries that are not needed.
#pragma once

namespace procpool::testing {

struct exemption {
  const char* function;
  const char* code;
  const char* reason;
};
inline constexpr const char* shared_objects =
    "shared objects have a test of their own: chaos/object_storm";
inline constexpr const char* emptied =
    "the block is gone already, which the compiler does not know";
inline constexpr const char* at_the_end =
    "what fills a block to its last byte, so that the next one is needed";
inline constexpr const char* never_empty =
    "vectors that are reserved just before, or hold one entry at least";
inline constexpr exemption exempt[] = {
    // And an item with objects, and the end of a run.
    {"detail::thunks<procpool::partial_function<",
     "mov call movzwl | mov call jmp | mov mov call mov lea mov jmp | mov jmp", at_the_end},
    {"detail::chunk_run::end_run",
     "mov mov movb test je push mov shl sub mov imul shl or or lea mov mov mov mov mov sub neg sub "
     "and cmp jb lea mov test je mov test je xor mov add movb cmp jb mov sub mov add pop ret mov "
     "ret | mov mov call mov mov lea mov jmp",
     "the results of this map are not plain bytes; those that are: tests/api/map_runs_test.cpp"},
    {"detail::chunk_run::fail", "mov mov call mov lea mov jmp", at_the_end},
    {"detail::wire<procpool::testing::numbers>::put", "mov call mov jmp mov call mov jmp",
     at_the_end},
    {"detail::wire_writer::write", "add pop pop ret mov mov mov call mov mov lea mov",
     "put_note writes something, and it fits"},
    {"os::file_size_limit", "mov", "getrlimit fails"},
    {"os::futex_wait(std::atomic<unsigned int>", "ret", "a nap without length"},
    {"os::mapping::reset", "mov call", "a mapping goes: those of the arena stay"},
    {"os::kill_this_process", "mov call", "the signal is refused"},
    {"shm::roster::appoint", "jmp | add add cmp jae",
     "a region without workers, and seats that do not exist"},
    {"shm::work_source::share_backlog", "jmp | jmp",
     "a region without workers, and seats that do not exist"},
    {"shm::work_source::try_claim", "mov",
     "a ring whose ends a task has overwritten: tests/chaos/wild_worker_test.cpp"},
    {"shm::work_source::keep_watch", "jmp | jmp",
     "a region without workers, and a watchdog that was appointed since it seized the spinning "
     "role"},
    {"shm::arena_view::at", "jmp | mov | mov mov mov call mov jmp | movq mov movq | movabs mov jmp",
     "a window that another thread has entered, which there is not, and empty or endless vectors"},
    {"shm::block_allocator::allocate", "movdqa mov movups mov call jmp",
     "all that is free has given its memory back"},
    {"shm::block_allocator::allocate_of",
     "mov lea jmp | mov mov mov mov call subq jmp | mov mov call mov | mov mov call mov",
     "blocks that are free and punched, or about to be: free memory, and vectors that are never "
     "empty"},
    {"shm::block_allocator::refill",
     "push push push mov mov mov mov lea add call cmp jne cmp jne mov mov pop mov pop pop "
     "jmp",
     "a block that was punched"},
    {"shm::block_allocator::back", "cmp jae mov mov sub", "the last MiB of a partition"},
    // Both lists were reserved by allocate(), so they do not grow; and more is kept resident than
    // here.
    {"shm::block_allocator::release",
     "mov lea add cmp ja | mov mov mov call mov cmp je mov add mov add pop pop pop pop pop "
     "pop ret movabs mov mov sub mov sar cmp je cmp mov cmovne add jb test jne xor xor mov "
     "lea test jg test jne mov mov mov jmp mov mov movabs sub mov sar cmp je cmp mov "
     "cmovne add jb test jne xor xor mov lea test jg test jne mov mov mov jmp mov mov mov "
     "call mov sub mov call jmp mov mov mov call mov sub mov call jmp mov sub jmp mov sub "
     "jmp movabs cmp cmova lea mov call mov add jmp movabs cmp cmova lea mov call mov add "
     "jmp | movabs jmp movabs jmp",
     never_empty},
    {"os::identify_fd", "xor xor add ret", "the task has closed the region's descriptor"},
    {"wire::encode_exception", "mov mov call mov jmp | mov jmp",
     "private memory: a buffer that is large enough for an origin, and a landing pad"},
    {"wire::encode_exception", "mov mov call", "the same, apart"},
    {"worker::chunk_writer::finish_chunk", "ret", emptied},
    {"worker::chunk_writer::finish_without_room",
     "sub mov pxor movl mov movdqu movups mov mov movups call add ret",
     "a block that is so full that no exception fits: handed out as by finish_chunk"},
    {"worker::chunk_writer::~chunk_writer", "sub mov movdqu mov lea movups mov call add ret",
     emptied},
    {"worker::invoker::fail_rest", "mov call jmp mov mov call mov lea mov jmp", at_the_end},
    {"worker::invoker::fail_rest", "cmp je | call mov mov call jmp",
     "no private memory, where no shared memory has the same end"},
    {"worker::invoker::run_chunk",
     "test jne | movdqu mov sub mov movaps lea mov mov movups call add add pop pop pop pop pop ret "
     "mov jmp",
     emptied},
    {"worker::invoker::run_task",
     "movdqa mov sub mov movaps lea mov mov movups call add sub pop pop pop pop pop ret", emptied},
    {"worker::invoker::payload", "call movl call", "an earlier task has closed descriptors"},
    {"worker::loop::run", "jmp | add pop pop pop pop pop pop ret",
     "a task has closed descriptors, or the process has grown too much: it leaves between tasks"},
    {"worker::invoker::run_task", "mov call jmp", shared_objects},
    {"worker::chunk_writer::write_exception", "call mov call mov pop jmp", shared_objects},
    {"worker::outcome_writer::finish", "call mov jmp", shared_objects},
    {"worker::outcome_writer::~outcome_writer", "sub mov movdqu mov lea movups mov call add ret",
     emptied},
    {"worker::result_blocks::hand_out", "mov mov jmp", "no private memory: a landing pad"},
    {"worker::result_blocks::hand_out", "sub jne call call jmp", "no private memory"},
};

}  // namespace procpool::testing
